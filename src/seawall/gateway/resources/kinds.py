"""Kinds: which kinds we take, in which versions, and which shape each has.

Pure. A kind that is here is decoded strictly; one in IGNORED belongs to Kubernetes and means nothing to us.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from seawall.gateway.resources.access import AccessPolicySpec
from seawall.gateway.resources.backends import BackendSpec
from seawall.gateway.resources.core import ConfigMapSpec, EndpointSliceSpec, NamespaceSpec, SecretSpec, ServiceSpec
from seawall.gateway.resources.gateways import GatewayClassSpec, GatewaySpec, ListenerSetSpec
from seawall.gateway.resources.grpc import GRPCRouteSpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.resources.http_filters import HTTPFilterPolicySpec
from seawall.gateway.resources.listener_policies import ListenerPolicySpec
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.gateway.resources.policies import BackendTLSPolicySpec, ReferenceGrantSpec, XBackendTrafficPolicySpec
from seawall.gateway.resources.protection import ProtectionPolicySpec
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.refs import EXPERIMENTAL_GROUP, GATEWAY_GROUP, OWN_GROUP
from seawall.gateway.resources.streams import TCPRouteSpec, TLSRouteSpec, UDPRouteSpec
from seawall.gateway.resources.traffic import TrafficPolicySpec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A kind. `versions`: the one to recommend first. `is_flat`: the fields stand beside `metadata`, not in a `spec`."""

    kind: str
    group: str
    versions: tuple[str, ...]
    spec: type[msgspec.Struct]
    is_namespaced: bool = True
    is_flat: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


def _gateway_api(kind: str, spec: type[msgspec.Struct], *older: str, is_namespaced: bool = True) -> Shape:
    return Shape(kind=kind, group=GATEWAY_GROUP, versions=("v1", *older), spec=spec, is_namespaced=is_namespaced)


SHAPES: Final[Mapping[str, Shape]] = {
    shape.kind: shape
    for shape in (
        _gateway_api("GatewayClass", GatewayClassSpec, "v1beta1", is_namespaced=False),
        _gateway_api("Gateway", GatewaySpec, "v1beta1"),
        _gateway_api("ListenerSet", ListenerSetSpec),
        _gateway_api("HTTPRoute", HTTPRouteSpec, "v1beta1"),
        _gateway_api("GRPCRoute", GRPCRouteSpec),
        _gateway_api("TLSRoute", TLSRouteSpec, "v1alpha3", "v1alpha2"),
        _gateway_api("TCPRoute", TCPRouteSpec, "v1alpha2"),
        _gateway_api("UDPRoute", UDPRouteSpec, "v1alpha2"),
        _gateway_api("ReferenceGrant", ReferenceGrantSpec, "v1beta1"),
        _gateway_api("BackendTLSPolicy", BackendTLSPolicySpec, "v1alpha3"),
        Shape(
            kind="XBackendTrafficPolicy",
            group=EXPERIMENTAL_GROUP,
            versions=("v1alpha1",),
            spec=XBackendTrafficPolicySpec,
        ),
        Shape(kind="Backend", group=OWN_GROUP, versions=("v1alpha1",), spec=BackendSpec),
        Shape(kind="HTTPFilterPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=HTTPFilterPolicySpec),
        Shape(kind="ProtectionPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=ProtectionPolicySpec),
        Shape(kind="ListenerPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=ListenerPolicySpec),
        Shape(kind="RateLimitPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=RateLimitPolicySpec),
        Shape(kind="AccessPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=AccessPolicySpec),
        Shape(kind="TrafficPolicy", group=OWN_GROUP, versions=("v1alpha1",), spec=TrafficPolicySpec),
        Shape(kind="Perimeter", group=OWN_GROUP, versions=("v1alpha1",), spec=PerimeterSpec, is_namespaced=False),
        Shape(kind="Namespace", group="", versions=("v1",), spec=NamespaceSpec, is_namespaced=False, is_flat=True),
        Shape(kind="Service", group="", versions=("v1",), spec=ServiceSpec),
        Shape(kind="Secret", group="", versions=("v1",), spec=SecretSpec, is_flat=True),
        Shape(kind="ConfigMap", group="", versions=("v1",), spec=ConfigMapSpec, is_flat=True),
        Shape(kind="EndpointSlice", group="discovery.k8s.io", versions=("v1",), spec=EndpointSliceSpec, is_flat=True),
    )
}

IGNORED_GROUPS: Final = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "kustomize.config.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""Kubernetes' own groups that hold nothing for us: passed over in silence, since manifests are kept together."""

IGNORED_CORE_KINDS: Final = frozenset(
    {
        "Binding",
        "ComponentStatus",
        "Endpoints",
        "Event",
        "LimitRange",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "ResourceQuota",
        "ServiceAccount",
    }
)
"""Kinds of the group "" (`apiVersion: v1`) that hold nothing for us."""
