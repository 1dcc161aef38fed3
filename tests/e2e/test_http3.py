"""HTTP/3 through `seawall up`, with a real client: told of by TCP, served over UDP, gone when the policy is."""

import asyncio

import pytest

from tests.support.door import HOST, door, policy
from tests.support.http3 import get3

pytestmark = pytest.mark.e2e


def test_http3_is_told_of_and_served_from_the_same_routes() -> None:
    async def run() -> None:
        async with door() as edge:
            assert "alt-svc" not in (await edge.get(tls=True)).headers
            early = {"set": [{"name": "x-env", "value": "prod"}]}
            edge.put(policy(http3={"maxAge": "1h"}, earlyHeaders=early, ja4Header="x-ja4"))

            async def is_told() -> bool:
                told = (await edge.get(tls=True)).headers.get("alt-svc")
                return bool(told == f'h3=":{edge.tls_port}"; ma=3600')

            await edge.until(is_told)
            await edge.instance.well()
            status, headers, body = await get3(edge.tls_port, HOST, "/a", edge.authority.pem)
            assert status == 200
            assert headers["server"] == "backend"
            assert b'"x-env": "prod"' in body
            # What a fingerprint would be on QUIC, Envoy does not say; a forged one must not pass for it.
            assert b'"x-ja4"' not in body
            assert "alt-svc" not in (await edge.get()).headers

            edge.put(policy())

            async def is_over() -> bool:
                try:
                    await get3(edge.tls_port, HOST, "/a", edge.authority.pem)
                except (ConnectionError, TimeoutError):
                    return True
                return False

            await edge.until(is_over)
            assert "alt-svc" not in (await edge.get(tls=True)).headers

    asyncio.run(run())
