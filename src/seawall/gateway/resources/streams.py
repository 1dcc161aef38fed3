"""TLSRoute, TCPRoute, UDPRoute: connections that are passed on as they are.

Pure.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import BackendRef, ParentReference
from seawall.gateway.resources.scalars import SectionName, WildcardHostname


class StreamRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where connections go."""

    name: SectionName | None = None
    backend_refs: Annotated[tuple[BackendRef, ...], Meta(min_length=1, max_length=16)]


class TLSRouteSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Connections told apart by the server name that the client asks for."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    hostnames: Annotated[tuple[WildcardHostname, ...], Meta(min_length=1, max_length=1024)]
    rules: Annotated[tuple[StreamRule, ...], Meta(min_length=1, max_length=1)]
    use_default_gateways: Literal["All", "None"] | None = None


class TCPRouteSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All connections of a listener."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    rules: Annotated[tuple[StreamRule, ...], Meta(min_length=1, max_length=1)]
    use_default_gateways: Literal["All", "None"] | None = None


class UDPRouteSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All datagrams of a listener."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    rules: Annotated[tuple[StreamRule, ...], Meta(min_length=1, max_length=1)]
    use_default_gateways: Literal["All", "None"] | None = None
