"""HTTP exchange: what is sent and what comes back, whatever version carries it.

`http1` and `http2` do the talking; `follow` asks again where a redirect points.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urljoin, urlsplit

import msgspec

from tests.conformance.clients.dial import Target

DEFAULT_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 10


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `trailers` only from HTTP/2."""

    status: int
    protocol: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """Return a header's values joined by commas, None if it is absent."""
        return joined(self.headers, name)


def joined(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Join the values of a header by commas, None if it is absent."""
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ",".join(values) if values else None


Exchange = Callable[[Target, Outgoing], Awaitable[Incoming]]


async def follow(exchange: Exchange, target: Target, request: Outgoing, scheme: str) -> Incoming:
    """Ask, and go where redirects point, at the gateway's own address: hosts of the suite resolve nowhere."""
    for _ in range(_MOST_REDIRECTS):
        answer = await exchange(target, request)
        location = answer.header("location")
        if answer.status not in (301, 302, 303, 307, 308) or location is None:
            return answer
        url = urlsplit(urljoin(f"{scheme}://{request.host}{request.path}", location))
        if url.scheme != scheme:
            raise ConnectionError(f"the redirect to {location} changes the scheme and cannot be followed")
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        target = msgspec.structs.replace(target, port=url.port or DEFAULT_PORTS[scheme])
        request = msgspec.structs.replace(request, path=path, host=url.netloc)
        if answer.status == 303:
            request = msgspec.structs.replace(request, method="GET", body=b"")
    raise ConnectionError(f"more than {_MOST_REDIRECTS} redirects")
