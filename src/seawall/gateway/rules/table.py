"""Table: which rules hold for which kind.

Pure. Next room: `gateway.decode` runs them on every object that has the right shape.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from seawall.gateway.resources.access import AccessPolicySpec
from seawall.gateway.resources.backends import BackendSpec
from seawall.gateway.resources.core import ConfigMapSpec, EndpointSliceSpec, SecretSpec, ServiceSpec
from seawall.gateway.resources.gateways import GatewaySpec, ListenerSetSpec
from seawall.gateway.resources.grpc import GRPCRouteSpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.resources.http_filters import HTTPFilterPolicySpec
from seawall.gateway.resources.listener_policies import ListenerPolicySpec
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.gateway.resources.policies import BackendTLSPolicySpec, XBackendTrafficPolicySpec
from seawall.gateway.resources.protection import ProtectionPolicySpec
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.streams import TCPRouteSpec, TLSRouteSpec, UDPRouteSpec
from seawall.gateway.resources.traffic import TrafficPolicySpec
from seawall.gateway.rules import (
    access,
    backends,
    core,
    gateways,
    http_filters,
    listener_policies,
    perimeter,
    policies,
    protection,
    rate_limits,
    routes,
    traffic,
)
from seawall.gateway.rules.rule import Findings


def check(spec: msgspec.Struct) -> Findings:
    """Find all that is wrong with a spec of the right shape."""
    findings: Findings = []
    checker = _CHECKERS.get(type(spec))
    if checker is not None:
        checker(spec, findings)
    return findings


_CHECKERS: Final[Mapping[type[msgspec.Struct], Callable[..., None]]] = {
    AccessPolicySpec: access.access_policy,
    BackendSpec: backends.backend,
    BackendTLSPolicySpec: policies.backend_tls_policy,
    ConfigMapSpec: core.config_map,
    EndpointSliceSpec: core.endpoint_slice,
    GRPCRouteSpec: routes.grpc_route,
    GatewaySpec: gateways.gateway,
    HTTPFilterPolicySpec: http_filters.http_filter_policy,
    HTTPRouteSpec: routes.http_route,
    ListenerPolicySpec: listener_policies.listener_policy,
    ListenerSetSpec: gateways.listener_set,
    PerimeterSpec: perimeter.perimeter,
    ProtectionPolicySpec: protection.protection_policy,
    RateLimitPolicySpec: rate_limits.rate_limit_policy,
    SecretSpec: core.secret,
    ServiceSpec: core.service,
    TCPRouteSpec: routes.stream_route,
    TLSRouteSpec: routes.tls_route,
    TrafficPolicySpec: traffic.traffic_policy,
    UDPRouteSpec: routes.stream_route,
    XBackendTrafficPolicySpec: policies.backend_traffic_policy,
}
