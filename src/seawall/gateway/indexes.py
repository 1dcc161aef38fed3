"""Indexes: the ways in which objects and derived values are found other than by name, and what an object publishes.

Pure. Next room: the rules that read them.
"""

from typing import Final

from seawall.gateway.graph import HostKey, ObjectKey, Route, SecretName, TrustSecret
from seawall.gateway.nearest import nearest
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.access import AccessPolicySpec
from seawall.gateway.resources.core import SERVICE_NAME_LABEL
from seawall.gateway.resources.gateways import ListenerSetSpec
from seawall.gateway.resources.http_filters import HTTPFilterPolicySpec
from seawall.gateway.resources.listener_policies import ListenerPolicySpec
from seawall.gateway.resources.policies import BackendTLSPolicySpec, XBackendTrafficPolicySpec
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.traffic import TrafficPolicySpec
from seawall.gateway.view import Entries, Index, Published, Rule, View

Rank = tuple[object, ...]
Ranked = tuple[Rank, Route]
"""A route with its place in the order of precedence."""

# ── of objects ───────────────────────────────────────────────────────────────────────────────────────────────────

ALL: Final = ""
GATEWAYS: Final = Index[str, ObjectKey, Object]("gateways")
LISTENER_SETS: Final = Index[ObjectKey, ObjectKey, Object]("listener sets by gateway")
GRANTS: Final = Index[str, ObjectKey, Object]("grants by namespace")
SLICES: Final = Index[ObjectKey, ObjectKey, Object]("slices by service")
POLICIES: Final = Index[ObjectKey, ObjectKey, Object]("policies by service")
FILTER_POLICIES: Final = Index[ObjectKey, ObjectKey, Object]("filter policies by target")
LIMIT_POLICIES: Final = Index[ObjectKey, ObjectKey, Object]("rate limit policies by target")
ALL_LIMIT_POLICIES: Final = Index[str, ObjectKey, Object]("rate limit policies")
FLEET_LIMITS: Final = Index[str, ObjectKey, Object]("rate limit policies that the fleet shares")
QUOTAS: Final = Index[ObjectKey, ObjectKey, bool]("the same, each by itself")
TRAFFIC: Final = Index[ObjectKey, ObjectKey, Object]("traffic policies by target")
ACCESS_POLICIES: Final = Index[ObjectKey, ObjectKey, Object]("access policies by target")
BACKEND_TRAFFIC: Final = Index[ObjectKey, ObjectKey, Object]("backend traffic policies by target")
PROTECTIONS: Final = Index[str, ObjectKey, Object]("protection policies")
LISTENER_POLICIES: Final = Index[ObjectKey, ObjectKey, Object]("listener policies by target")
PERIMETERS: Final = Index[str, ObjectKey, Object]("perimeters")
NAMES: Final = Index[tuple[str, str, str], ObjectKey, str]("names by kind, namespace and first letter")
OWNERS: Final = Index[ObjectKey, ObjectKey, bool]("gateways and listener sets")
HTTP_ROUTES: Final = Index[ObjectKey, ObjectKey, bool]("http routes")
GRPC_ROUTES: Final = Index[ObjectKey, ObjectKey, bool]("grpc routes")
STREAM_ROUTES: Final = Index[ObjectKey, ObjectKey, bool]("tls, tcp and udp routes")
WITH_STATUS: Final = Index[ObjectKey, ObjectKey, bool]("objects of kinds that have a status")

# ── of what is derived ───────────────────────────────────────────────────────────────────────────────────────────

HOSTS: Final = Index[HostKey, object, tuple[Ranked, ...]]("routes by host")
ATTACHED: Final = Index[tuple[ObjectKey, str], object, bool]("routes by listener")
SECRETS: Final = Index[SecretName, object, bytes | TrustSecret | None]("uses of secrets; of trust with the bundle")
USES: Final = Index[tuple[ObjectKey, ObjectKey], object, bool]("routes by service and gateway")
USERS: Final = Index[ObjectKey, object, ObjectKey]("gateways by service")

_STATUS_KINDS = frozenset(
    {
        "GatewayClass",
        "Gateway",
        "ListenerSet",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "UDPRoute",
        "BackendTLSPolicy",
        "HTTPFilterPolicy",
        "ListenerPolicy",
        "RateLimitPolicy",
        "TrafficPolicy",
        "ProtectionPolicy",
        "AccessPolicy",
        "Perimeter",
        "XBackendTrafficPolicy",
        "Backend",
        "Service",
    }
)
_BY_TARGET = {
    "BackendTLSPolicy": POLICIES,
    "HTTPFilterPolicy": FILTER_POLICIES,
    "ListenerPolicy": LISTENER_POLICIES,
    "RateLimitPolicy": LIMIT_POLICIES,
}
_LETTERS = 1
_MOST = 1000
"""Among more names than these the search is too slow for what it gives."""


def publish_object(obj: Object) -> Entries:
    """Say in which buckets an object is."""
    key, meta = obj.key, obj.meta
    entries: Published = {NAMES.at(name_bucket(obj.kind, meta.namespace, meta.name)): meta.name}
    if obj.kind in _STATUS_KINDS:
        entries[WITH_STATUS.at(key)] = True
    match obj.kind:
        case "HTTPRoute":
            entries[HTTP_ROUTES.at(key)] = True
        case "GRPCRoute":
            entries[GRPC_ROUTES.at(key)] = True
        case "TLSRoute" | "TCPRoute" | "UDPRoute":
            entries[STREAM_ROUTES.at(key)] = True
        case "Gateway":
            entries[GATEWAYS.at(ALL)] = obj
            entries[OWNERS.at(key)] = True
        case "ListenerSet":
            assert isinstance(obj.spec, ListenerSetSpec)
            parent = obj.spec.parent_ref
            entries[OWNERS.at(key)] = True
            entries[LISTENER_SETS.at(object_key(parent.kind, parent.namespace or meta.namespace, parent.name))] = obj
        case "ReferenceGrant":
            entries[GRANTS.at(meta.namespace)] = obj
        case "EndpointSlice":
            entries[SLICES.at(object_key("Service", meta.namespace, meta.labels.get(SERVICE_NAME_LABEL, "")))] = obj
        case "BackendTLSPolicy" | "HTTPFilterPolicy" | "ListenerPolicy" | "RateLimitPolicy":
            assert isinstance(
                obj.spec, BackendTLSPolicySpec | HTTPFilterPolicySpec | ListenerPolicySpec | RateLimitPolicySpec
            )
            for target in obj.spec.target_refs:
                entries[_BY_TARGET[obj.kind].at(object_key(target.kind, meta.namespace, target.name))] = obj
            entries |= _limit_entries(key, obj)
        case "ProtectionPolicy" | "Perimeter":
            entries[(PERIMETERS if obj.kind == "Perimeter" else PROTECTIONS).at(ALL)] = obj
        case _:
            entries |= _traffic_entries(obj)
    return entries


def _traffic_entries(obj: Object) -> Published:
    if not isinstance(obj.spec, TrafficPolicySpec | XBackendTrafficPolicySpec | AccessPolicySpec):
        return {}
    if isinstance(obj.spec, AccessPolicySpec):
        index = ACCESS_POLICIES
    else:
        index = TRAFFIC if isinstance(obj.spec, TrafficPolicySpec) else BACKEND_TRAFFIC
    return {index.at(object_key(ref.kind, obj.meta.namespace, ref.name)): obj for ref in obj.spec.target_refs}


def _limit_entries(key: ObjectKey, obj: Object) -> Published:
    if not isinstance(obj.spec, RateLimitPolicySpec):
        return {}
    entries: Published = {ALL_LIMIT_POLICIES.at(ALL): obj}
    if obj.spec.scope == "fleet":
        entries |= {FLEET_LIMITS.at(ALL): obj, QUOTAS.at(key): True}
    return entries


# ── what was meant ───────────────────────────────────────────────────────────────────────────────────────────────


def name_bucket(kind: str, namespace: str, name: str) -> tuple[str, str, str]:
    """Return the bucket of NAMES for a name. Its first letter keeps buckets small: typing errors come later in a word."""
    return kind, namespace, name[:_LETTERS]


def suggest(view: View, wanted: tuple[str, str, str]) -> str:
    """Find the existing name that is nearest to one (kind, namespace, name) that does not exist; empty if none is near."""
    kind, namespace, name = wanted
    there = view.bucket(NAMES, name_bucket(kind, namespace, name))
    return nearest(name, there.values()) if len(there) <= _MOST else ""


SUGGESTION: Final = Rule(suggest)
