"""RLS: a rate limit service as Envoy asks one, one call a request, with Redis behind it: what a limit costs elsewhere.

    python -m bench.support.rls PORT REDIS_SOCKET LIMIT

A fixed window of one second for each descriptor. As little as such a service can do: one INCR for each request, sent with
all that wait at the same moment.
"""

import asyncio
import sys
import time
from collections import deque

import grpc
import grpc.aio

from seawall.envoy.proto import message

_REQUEST = message("envoy.service.ratelimit.v3.RateLimitRequest")
_RESPONSE = message("envoy.service.ratelimit.v3.RateLimitResponse")
_OK, _OVER = 1, 2


class Redis:
    """One connection, answers in order of the questions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: deque[asyncio.Future[int]] = deque()

    async def increment(self, key: str) -> int:
        """Count one more; the key is gone two seconds after its first."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        name = key.encode()
        self._writer.write(
            b"*2\r\n$4\r\nINCR\r\n$%d\r\n%b\r\n*4\r\n$6\r\nEXPIRE\r\n$%d\r\n%b\r\n$1\r\n2\r\n$2\r\nNX\r\n"
            % (len(name), name, len(name), name)
        )
        self._waiting.append(answer)
        return await answer

    async def read(self) -> None:
        """Hand out answers until the connection ends."""
        while line := await self._reader.readline():
            await self._reader.readline()
            answer = self._waiting.popleft()
            # Envoy has given up on a request whose client is gone.
            if not answer.done():
                answer.set_result(int(line[1:]))


async def main(port: int, socket: str, limit: int) -> None:
    """Serve until killed."""
    redis = Redis(*await asyncio.open_unix_connection(socket))

    async def should_rate_limit(raw: bytes, _: object) -> bytes:
        asked = _REQUEST.FromString(raw)
        entries = asked.descriptors[0].entries  # type: ignore[attr-defined]  # built from Envoy's schema at run time
        key = "|".join(f"{one.key}={one.value}" for one in entries)
        count = await redis.increment(f"{key}|{int(time.time())}")
        code = _OK if count <= limit else _OVER
        return _RESPONSE(overall_code=code, statuses=[{"code": code}]).SerializeToString()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(should_rate_limit)
    service = "envoy.service.ratelimit.v3.RateLimitService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"ShouldRateLimit": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(redis.read(), name="redis")
        group.create_task(server.wait_for_termination(), name="server")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
