"""GatewayClass, Gateway, ListenerSet: where traffic comes in.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import (
    GATEWAY_GROUP,
    LabelSelector,
    LocalObjectReference,
    ObjectReference,
    ParentGatewayReference,
    SecretObjectReference,
)
from seawall.gateway.resources.scalars import (
    ADDRESS_TYPE,
    CONTROLLER,
    LISTENER_PROTOCOL,
    Group,
    Kind,
    LabelValue,
    Namespace,
    ObjectName,
    OptionValue,
    Port,
    SectionName,
    WildcardHostname,
)


class ParametersReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Settings of a GatewayClass; `namespace` None means that the kind has none."""

    group: Group
    kind: Kind
    namespace: Namespace | None = None
    name: ObjectName


class GatewayClassSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who implements the Gateways of this class."""

    controller_name: Annotated[str, Meta(min_length=1, max_length=253, pattern=CONTROLLER)]
    parameters_ref: ParametersReference | None = None
    description: Annotated[str, Meta(max_length=64)] | None = None


# ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────


class RouteNamespaces(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose routes may attach; `selector` counts only with from=Selector."""

    from_: Literal["All", "Selector", "Same"] = msgspec.field(name="from", default="Same")
    selector: LabelSelector | None = None


class RouteGroupKind(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A kind of route."""

    group: Group = GATEWAY_GROUP
    kind: Kind


class AllowedRoutes(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which routes may attach; no kinds means those that fit the protocol."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], Meta(max_length=8)] = ()


class ListenerTls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """TLS of one listener."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], Meta(max_length=64)] = ()
    options: Annotated[Mapping[str, OptionValue], Meta(max_length=16)] = {}


class ListenerSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A port, a protocol and perhaps a hostname, of a Gateway or a ListenerSet."""

    name: SectionName
    hostname: WildcardHostname | None = None
    port: Port
    protocol: Annotated[str, Meta(min_length=1, max_length=255, pattern=LISTENER_PROTOCOL)]
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


# ── Gateway ──────────────────────────────────────────────────────────────────────────────────────────────────────


class GatewayAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An address asked for; no value lets us choose one of that type."""

    type: Annotated[str, Meta(min_length=1, max_length=253, pattern=ADDRESS_TYPE)] = "IPAddress"
    value: Annotated[str, Meta(max_length=253)] | None = None


class GatewayInfrastructure(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What an implementation that creates infrastructure puts on it."""

    labels: Annotated[Mapping[str, LabelValue], Meta(max_length=8)] = {}
    annotations: Annotated[Mapping[str, OptionValue], Meta(max_length=16)] = {}
    parameters_ref: LocalObjectReference | None = None


class ListenerNamespaces(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose ListenerSets may attach; `selector` counts only with from=Selector."""

    from_: Literal["All", "Selector", "Same", "None"] = msgspec.field(name="from", default="None")
    selector: LabelSelector | None = None


class AllowedListeners(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which ListenerSets may attach."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class FrontendTlsValidation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose client certificates are valid, and what happens to clients without one."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Meta(min_length=1, max_length=16)] = msgspec.field(
        name="caCertificateRefs"
    )
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] = "AllowValidOnly"


class FrontendTlsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """TLS towards clients; no validation means that none is asked for a certificate."""

    validation: FrontendTlsValidation | None = None


class FrontendTlsPort(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Replaces the default for the listeners of one port."""

    port: Port
    tls: FrontendTlsSettings


class FrontendTls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """TLS towards clients, for all listeners that terminate it."""

    default: FrontendTlsSettings
    per_port: Annotated[tuple[FrontendTlsPort, ...], Meta(max_length=64)] = ()


class BackendTls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """TLS towards backends: who we are."""

    client_certificate_ref: SecretObjectReference | None = None


class GatewayTls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """TLS of the Gateway as a whole."""

    backend: BackendTls | None = None
    frontend: FrontendTls | None = None


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A set of listeners on a set of addresses. `allowed_listeners` None allows no ListenerSet."""

    gateway_class_name: ObjectName
    listeners: Annotated[tuple[ListenerSpec, ...], Meta(min_length=1, max_length=64)]
    addresses: Annotated[tuple[GatewayAddress, ...], Meta(max_length=16)] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTls | None = None
    default_scope: Literal["All", "None"] | None = None


class ListenerSetSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Listeners that somebody adds to a Gateway of somebody else."""

    parent_ref: ParentGatewayReference
    listeners: Annotated[tuple[ListenerSpec, ...], Meta(min_length=1, max_length=64)]
