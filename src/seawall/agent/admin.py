"""Envoy's admin endpoint, over its unix socket.

Talks HTTP to Envoy. Only the agent can: the socket has mode 0600.
"""

from urllib.parse import quote

import httpx
import msgspec

from seawall.envoy.counts import FILTER
from seawall.kit.errors import UnavailableError


class _SocketAddress(msgspec.Struct, frozen=True):
    address: str = ""
    port_value: int = 0


class _Address(msgspec.Struct, frozen=True):
    socket_address: _SocketAddress = _SocketAddress()


class _ListenerStatus(msgspec.Struct, frozen=True):
    name: str
    local_address: _Address = _Address()


class _Listeners(msgspec.Struct, frozen=True):
    listener_statuses: list[_ListenerStatus] = []


class Bound(msgspec.Struct, frozen=True):
    """An address and port that Envoy listens on."""

    address: str
    port: int


class Admin:
    """A client; raises UnavailableError where Envoy does not answer."""

    def __init__(self, socket: str) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://envoy", timeout=2.0
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def is_live(self) -> bool:
        """Envoy has initialised, and is not draining."""
        try:
            return (await self._http.get("/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    async def is_answering(self) -> bool:
        """The endpoint answers, whatever it says."""
        try:
            await self._http.get("/ready")
        except httpx.HTTPError:
            return False
        return True

    async def metrics(self) -> str:
        return await self._get("/stats?usedonly&format=prometheus", seconds=10.0)

    async def counts(self) -> bytes:
        """Return what `envoy.counts` reads. Costs Envoy's main thread about 1 ms, and more with many backends."""
        path = f"/stats?format=json&usedonly&histogram_buckets=detailed&filter={quote(FILTER)}"
        return (await self._get(path)).encode()

    async def connections(self) -> int:
        text = await self._get("/stats?filter=^server\\.total_connections$")
        return int(text.split(":", 1)[1]) if ":" in text else 0

    async def listeners(self) -> frozenset[str]:
        """Return the names of the listeners that are bound."""
        return frozenset(status.name for status in (await self._listeners()).listener_statuses)

    async def addresses(self) -> tuple[Bound, ...]:
        """Return where Envoy listens for traffic."""
        sockets = (status.local_address.socket_address for status in (await self._listeners()).listener_statuses)
        return tuple(Bound(one.address, one.port_value) for one in sockets if one.port_value)

    async def ports(self) -> dict[str, int]:
        """Return the port of each listener, by name; 0 where it listens on no port."""
        statuses = (await self._listeners()).listener_statuses
        return {status.name: status.local_address.socket_address.port_value for status in statuses}

    async def numbers(self, pattern: str) -> dict[str, float]:
        """Return the counters and gauges whose names match a regular expression."""
        text = await self._get(f"/stats?format=json&usedonly&filter={quote(pattern)}")
        stats = msgspec.json.decode(text, type=dict[str, list[dict[str, object]]])["stats"]
        return {str(one["name"]): float(str(one["value"])) for one in stats if "value" in one}

    async def _listeners(self) -> _Listeners:
        return msgspec.json.decode(await self._get("/listeners?format=json"), type=_Listeners)

    async def fail_health_checks(self) -> None:
        """Tell clients and load balancers to go elsewhere: every answer from now on closes its connection."""
        await self._post("/healthcheck/fail")

    async def pass_health_checks(self) -> None:
        await self._post("/healthcheck/ok")

    async def reopen_logs(self) -> None:
        """Have Envoy open its files anew: after one was renamed."""
        await self._post("/reopen_logs")

    async def set_runtime(self, key: str, value: int) -> None:
        """Set a runtime value of this Envoy alone, until it ends."""
        await self._post(f"/runtime_modify?{quote(key)}={value}")

    async def drain_listeners(self) -> None:
        await self._post("/drain_listeners?graceful")

    async def _get(self, path: str, *, seconds: float = 2.0) -> str:
        try:
            answer = await self._http.get(path, timeout=seconds)
            answer.raise_for_status()
        except httpx.HTTPError as exc:
            raise UnavailableError(f"Envoy's admin endpoint did not answer {path.partition('?')[0]}: {exc!r}.") from exc
        return answer.text

    async def _post(self, path: str) -> None:
        try:
            (await self._http.post(path)).raise_for_status()
        except httpx.HTTPError as exc:
            raise UnavailableError(f"Envoy's admin endpoint did not answer {path}: {exc!r}.") from exc
