"""Resource: one serialised Envoy message with its name and version.

Pure. `seawall.envoy` makes them, `xds.snapshot` collects them, `xds.stream` sends them.
"""

from typing import NewType

import msgspec

TypeUrl = NewType("TypeUrl", str)
ResourceName = NewType("ResourceName", str)

_V3 = "type.googleapis.com/envoy.config"
LISTENER = TypeUrl(f"{_V3}.listener.v3.Listener")
SCOPE = TypeUrl(f"{_V3}.route.v3.ScopedRouteConfiguration")
ROUTE = TypeUrl(f"{_V3}.route.v3.RouteConfiguration")
CLUSTER = TypeUrl(f"{_V3}.cluster.v3.Cluster")
ENDPOINTS = TypeUrl(f"{_V3}.endpoint.v3.ClusterLoadAssignment")
SECRET = TypeUrl("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret")
EXTENSION = TypeUrl(f"{_V3}.core.v3.TypedExtensionConfig")
RUNTIME = TypeUrl("type.googleapis.com/envoy.service.runtime.v3.Runtime")

ALL_TYPES: tuple[TypeUrl, ...] = (CLUSTER, ENDPOINTS, SECRET, EXTENSION, RUNTIME, LISTENER, ROUTE, SCOPE)
"""Every type that Seawall serves, in the order in which additions may be sent (spec: CDS, EDS, LDS, RDS)."""

_INLINE: tuple[bytes, ...] = (
    b"envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
    b"envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
)
"""Messages that Envoy wants keys or passwords in, wherever they stand."""


class Ref(msgspec.Struct, frozen=True, order=True):
    """Names one resource: what a resource that mentions another depends on."""

    type_url: TypeUrl
    name: ResourceName


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One Envoy message, serialised.

    `version` is the digest of `body`: equal input gives equal bytes and equal versions on every replica.
    `refs` are the resources that must be live at the client before this one may be (a route's clusters, a
    cluster's secrets); the stream gates on them.
    """

    type_url: TypeUrl
    name: ResourceName
    version: str
    body: bytes
    refs: tuple[Ref, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref(self.type_url, self.name)

    @property
    def holds_secrets(self) -> bool:
        """Say whether it must not lie readable anywhere."""
        return self.type_url == SECRET or any(name in self.body for name in _INLINE)
