"""What the filters of HTTPRoutes and GRPCRoutes hold.

Pure. In each filter exactly the field that `type` names is set; `gateway.rules` sees to it.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.resources.scalars import (
    HEADER_NAME,
    INT32_MAX,
    ORIGIN,
    URI_PATH,
    Duration,
    HeaderName,
    HeaderValue,
    Port,
    PositiveInt32,
    PreciseHostname,
)

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
_CorsHeader = Annotated[str, Meta(min_length=1, max_length=256, pattern=HEADER_NAME)]
_CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]
_CorsOrigin = Annotated[str, Meta(min_length=1, max_length=253, pattern=ORIGIN)]


class Header(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A header to set or add."""

    name: HeaderName
    value: HeaderValue


class HeaderFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Changes to the headers of requests or responses."""

    set: Annotated[tuple[Header, ...], Meta(max_length=16)] = ()
    add: Annotated[tuple[Header, ...], Meta(max_length=16)] = ()
    remove: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


class Fraction(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`numerator` of `denominator`."""

    numerator: Annotated[int, Meta(ge=0, le=INT32_MAX)]
    denominator: PositiveInt32 = 100


class RequestMirrorFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Copy requests; neither percent nor fraction means all of them."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None


class PathModifier(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new path, or a new prefix in place of the one that matched."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Annotated[str, Meta(max_length=1024)] | None = None
    replace_prefix_match: Annotated[str, Meta(max_length=1024)] | None = None


class RequestRedirectFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Answer with a redirect; what is not given stays as the request had it."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: PathModifier | None = None
    port: Port | None = None
    status_code: Literal[301, 302, 303, 307, 308] = 302


class URLRewriteFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Change host and path of the request on its way to the backend."""

    hostname: PreciseHostname | None = None
    path: PathModifier | None = None


class CORSFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Answers to cross-origin requests."""

    allow_origins: Annotated[tuple[_CorsOrigin, ...], Meta(max_length=64)] = ()
    allow_credentials: bool | None = None
    allow_methods: Annotated[tuple[_CorsMethod, ...], Meta(max_length=9)] = ()
    allow_headers: Annotated[tuple[_CorsHeader, ...], Meta(max_length=64)] = ()
    expose_headers: Annotated[tuple[_CorsHeader, ...], Meta(max_length=64)] = ()
    max_age: PositiveInt32 = 5


class GRPCAuthConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which request headers the authorization service sees; none given means all."""

    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class HTTPAuthConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How to ask over HTTP: `path` goes before the request's path."""

    path: Annotated[str, Meta(max_length=1024, pattern=URI_PATH)] | None = None
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    allowed_response_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class ForwardBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Send the request's body along, up to `max_size` bytes; None or 0 sends none."""

    max_size: Annotated[int, Meta(ge=0, le=65535)] | None = None


class ExternalAuthFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Ask a service whether the request may pass."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: BackendObjectReference
    grpc: GRPCAuthConfig | None = None
    http: HTTPAuthConfig | None = None
    forward_body: ForwardBody | None = None


class CookieConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How long the cookie of a session lives."""

    lifetime_type: Literal["Permanent", "Session"] = "Session"


class SessionPersistence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Keep the requests of a session on one endpoint."""

    session_name: Annotated[str, Meta(max_length=128)] | None = None
    absolute_timeout: Duration | None = None
    type: Literal["Cookie", "Header"] = "Cookie"
    cookie_config: CookieConfig | None = None
