"""Entrance: what an AccessPolicy amounts to for a route.

Pure. Next room: `gateway.access` fills it, `gateway.graph` carries it, `envoy.access` builds it.
"""

from typing import Literal

import msgspec

from seawall.gateway.resources.access import AccessRule, Addresses, Csrf, KeySource, Mode
from seawall.gateway.resources.filters import CORSFilter
from seawall.gateway.resources.tokens import TokenProvider
from seawall.kit.secret import Secret


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Who is known by a key: clients with their keys."""

    clients: tuple[tuple[str, Secret], ...]
    sources: tuple[KeySource, ...]
    client_header: str = ""


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Who is known by a password: lines of htpasswd, hashed."""

    lines: Secret
    user_header: str = ""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues tokens, with his public keys: in `keys`, or of a server in `cluster`."""

    written: TokenProvider
    keys: str = ""
    cluster: str = ""
    host: str = ""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Who is known by a token."""

    providers: tuple[Provider, ...]
    is_optional: bool = False
    mode: Mode = "enforce"

    @property
    def own_headers(self) -> tuple[str, ...]:
        """Name the headers that carry claims."""
        return tuple(one.header.lower() for provider in self.providers for one in provider.written.claim_headers)


class ExternalAuth(msgspec.Struct, frozen=True, kw_only=True):
    """A service that is asked about each request: a cluster, in which words, and what it sees of the request.

    Args:
        headers: those of the client that it sees; none: all, over gRPC, and over HTTP none but what says what is asked for.
        answered: over HTTP, those of its answer that the backend gets; none: all but those of the connection.
        body: so many bytes of a request it sees, and larger requests are refused; 0: none.
    """

    protocol: Literal["HTTP", "GRPC"]
    cluster: str
    prefix: str = ""
    headers: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    body: int = 0

    @property
    def own_headers(self) -> tuple[str, ...]:
        """Name the headers that only the service may set: those it may answer with and does not see of a client."""
        return tuple(name for name in self.answered if name not in {"authorization", *self.headers})


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may send what. `name` is `namespace/name`. `fault`: it cannot be followed, so nothing passes."""

    name: str
    origin: str
    addresses: Addresses | None = None
    keys: Keys | None = None
    users: Users | None = None
    tokens: Tokens | None = None
    external_auth: ExternalAuth | None = None
    cors: CORSFilter | None = None
    csrf: Csrf | None = None
    rules: tuple[AccessRule, ...] = ()
    fault: str = ""

    @property
    def own_headers(self) -> tuple[str, ...]:
        """Name the headers that tell a backend who the client is: nobody but us may set them."""
        found = [self.keys.client_header] if self.keys is not None else []
        found += [self.users.user_header] if self.users is not None else []
        found += self.tokens.own_headers if self.tokens is not None else []
        found += self.external_auth.own_headers if self.external_auth is not None else []
        return tuple(sorted({name for name in found if name}))


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The access policy of a route. `over` are policies that would apply were this one not more specific, or older."""

    by: Access
    over: tuple[str, ...] = ()
