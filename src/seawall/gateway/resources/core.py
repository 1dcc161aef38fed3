"""Namespace, Service, EndpointSlice, Secret, ConfigMap: what we need of Kubernetes' own kinds.

Pure. These have many fields that mean nothing to us, so unknown ones are ignored. All but Service have no `spec`: the
shapes stand for the whole object.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.scalars import Port
from seawall.kit.secret import Secret

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""
NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label that every Namespace has."""

Transport = Literal["TCP", "UDP", "SCTP"]


class NamespaceSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Nothing: a Namespace is its labels."""


class ServicePort(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of a Service. `target_port` None means the same number."""

    name: str = ""
    protocol: Transport = "TCP"
    port: Port
    target_port: Port | Annotated[str, Meta(min_length=1, max_length=63)] | None = None
    app_protocol: str | None = None


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A set of endpoints under one name; with type ExternalName, another DNS name."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = {}
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    external_name: str = ""


class EndpointConditions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """None means unknown; Kubernetes says to take unknown for ready and serving, and not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An endpoint; its addresses are interchangeable, consumers use the first."""

    addresses: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1, max_length=100)]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str = ""
    node_name: str = ""
    zone: str = ""


class SlicePort(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of all endpoints of the slice; `name` is the Service port's name. No port number: all ports."""

    name: str = ""
    protocol: Transport = "TCP"
    port: Port | None = None
    app_protocol: str | None = None


class EndpointSliceSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Some of the endpoints of the Service that the label `kubernetes.io/service-name` names."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Annotated[tuple[SliceEndpoint, ...], Meta(max_length=1000)] = ()
    ports: Annotated[tuple[SlicePort, ...], Meta(max_length=20_000)] = ()


class SecretSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Named bytes that do not print; `stringData` has been merged in."""

    type: str = "Opaque"
    data: Mapping[str, Secret] = {}


class ConfigMapSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Named text and named bytes."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, bytes] = {}
