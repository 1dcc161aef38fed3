"""JSON Web Tokens (RFC 7519) of an AccessPolicy: who issues them, where they are, and what backends are told. Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.resources.scalars import FILTER_NAME, URI_PATH, Duration, HeaderName, ObjectName, PreciseHostname

ParameterName = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!$&'*+\-.^_|~]+\Z")]
ClaimPath = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^.\s]+(\.[^.\s]+)*\Z")]
"""A claim; below another one with a dot between them: `realm_access.roles`."""
Text = Annotated[str, Meta(min_length=1, max_length=2048)]


class KeysInConfigMap(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A ConfigMap of the policy's own namespace: its entry `key` is the key set."""

    name: ObjectName
    key: Annotated[str, Meta(min_length=1, max_length=253)] = "jwks.json"


class RemoteKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A server that has the key set, asked by every edge each `refresh`, beside the requests.

    `backendRef` is a Service or a Backend of the policy's own namespace, over TLS if a BackendTLSPolicy or the Backend says so;
    `host` is what it is called to itself. While it does not answer, the keys that are known are used on.
    """

    backend_ref: BackendObjectReference
    path: Annotated[str, Meta(min_length=1, max_length=1024, pattern=URI_PATH)] = "/.well-known/jwks.json"
    host: PreciseHostname | None = None
    refresh: Duration = "5m"


class KeySet(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Public keys (RFC 7517): exactly one of a text, a ConfigMap and a server."""

    inline: Annotated[str, Meta(min_length=1, max_length=65_536)] | None = None
    config_map: KeysInConfigMap | None = None
    remote: RemoteKeys | None = None


class TokenSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where a client puts its token: exactly one of a header (after `prefix`), a query parameter and a cookie."""

    header: HeaderName | None = None
    prefix: Annotated[str, Meta(max_length=64)] | None = None
    query: ParameterName | None = None
    cookie: ParameterName | None = None


class ClaimHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Tell the backend a claim: a text, a number or a truth value as it is, anything else as base64url of its JSON."""

    claim: ClaimPath
    header: HeaderName


class TokenProvider(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who issues tokens. `issuer` is the claim `iss`; without `audiences` a token for anybody is good.

    The first of `sources` that a request has counts. The token is not sent on unless `forward` says so.
    """

    name: Annotated[str, Meta(min_length=1, max_length=63, pattern=FILTER_NAME)]
    keys: KeySet
    issuer: Text | None = None
    audiences: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()
    sources: Annotated[tuple[TokenSource, ...], Meta(min_length=1, max_length=4)] = (
        TokenSource(header="authorization", prefix="Bearer "),
    )
    claim_headers: Annotated[tuple[ClaimHeader, ...], Meta(max_length=32)] = ()
    clock_skew: Duration = "60s"
    forward: bool = False
