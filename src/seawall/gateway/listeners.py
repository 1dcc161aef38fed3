"""Listeners: what a Gateway or a ListenerSet declares, each listener judged by itself, its neighbours not yet seen.

Pure. Next room: `gateway.sockets` puts the listeners of one address and port together and settles conflicts.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from seawall.gateway.gateways import ADMISSION, FRONTEND, GATEWAY, Age, age, quarantine_fault
from seawall.gateway.graph import ClientValidation, Hostname, ListenerName, ObjectKey, SecretName, ServerTls
from seawall.gateway.hostnames import hostname_of
from seawall.gateway.indexes import OWNERS, SECRETS
from seawall.gateway.objects import Object
from seawall.gateway.resources.gateways import GatewaySpec, ListenerSetSpec, ListenerSpec, RouteNamespaces
from seawall.gateway.resources.refs import GATEWAY_GROUP
from seawall.gateway.secrets import Referrer, follow_certificate
from seawall.gateway.status import Fault
from seawall.gateway.view import Entries, Index, Published, Rule, View

Family = Literal["http", "tls", "tcp", "udp"]
RouteKind = tuple[str, str]


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener of a protocol speaks. Listeners of one port must be of one family; `routes` are kinds that fit."""

    family: Family
    routes: tuple[str, ...]


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "HTTP": Protocol(family="http", routes=("HTTPRoute", "GRPCRoute")),
    "HTTPS": Protocol(family="tls", routes=("HTTPRoute", "GRPCRoute")),
    "TLS": Protocol(family="tls", routes=("TLSRoute",)),
    "TCP": Protocol(family="tcp", routes=("TCPRoute",)),
    "UDP": Protocol(family="udp", routes=("UDPRoute",)),
}
HTTP_PROTOCOLS: Final = ("HTTP", "HTTPS")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A listener as its owner declares it.

    `accepted` and `refs` are faults for the conditions Accepted and ResolvedRefs. `tls` None on a listener that needs TLS
    means that it cannot serve; it keeps its hostname all the same, so that no wider listener answers for it.
    """

    name: str
    path: str
    port: int
    protocol: str
    hostname: Hostname
    allowed: RouteNamespaces
    kinds: tuple[RouteKind, ...]
    sockets: tuple[ListenerName, ...]
    tls: ServerTls | None
    accepted: tuple[Fault, ...]
    refs: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    is_passthrough: bool = False

    @property
    def needs_tls(self) -> bool:
        return self.protocol == "HTTPS" or (self.protocol == "TLS" and not self.is_passthrough)

    @property
    def is_sound(self) -> bool:
        """It could serve if nobody else had its place."""
        return not self.accepted and bool(self.kinds) and (self.tls is not None or not self.needs_tls)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """All listeners of one owner. `order` says who comes first: older Gateways, then their sets, older first."""

    owner: ObjectKey
    gateway: ObjectKey
    namespace: str
    order: tuple[Age, bool, Age]
    client_certificate: SecretName | None
    offers: tuple[Offer, ...]


def claim(view: View, owner: ObjectKey) -> Claim | None:
    """Judge the listeners of a Gateway or of an admitted ListenerSet; None if it is none of ours or refused."""
    obj = view.object(owner)
    if obj is None:
        return None
    if isinstance(obj.spec, GatewaySpec):
        gateway = owner
    else:
        admitted = view.get(ADMISSION, owner)
        if admitted is None or admitted.faults:
            return None
        gateway = admitted.gateway
    facts = view.get(GATEWAY, gateway)
    if facts is None:
        return None
    assert isinstance(obj.spec, GatewaySpec | ListenerSetSpec)
    is_refused = bool(quarantine_fault(view, owner) or quarantine_fault(view, gateway))
    judged = _Owner(view=view, obj=obj, gateway=gateway, addresses=() if is_refused else facts.serves_on)
    return Claim(
        owner=owner,
        gateway=gateway,
        namespace=obj.meta.namespace,
        order=(facts.age, owner != gateway, age(obj)),
        client_certificate=facts.client_certificate,
        offers=tuple(_offer(judged, spec, index) for index, spec in enumerate(obj.spec.listeners)),
    )


CLAIMS: Final = Index[ListenerName, object, Claim]("claims by socket")


def _publish(owner: ObjectKey, found: Claim | None) -> Entries:
    if found is None:
        return {}
    entries: Published = {}
    for offer in found.offers:
        entries.update((CLAIMS.at(socket), found) for socket in offer.sockets)
        if offer.tls is not None:
            entries.update((SECRETS.at(name), None) for name in offer.tls.certificates)
    return entries


CLAIM: Final = Rule(claim, each=OWNERS, publish=_publish)


def listener_name(family: Family, address: str, port: int) -> ListenerName:
    """Name a socket."""
    return ListenerName(f"{'udp' if family == 'udp' else 'tcp'}/{address}/{port}")


# ── one listener ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose listeners are judged, and where they would listen."""

    view: View
    obj: Object
    gateway: ObjectKey
    addresses: tuple[str, ...]


class _Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a listener's TLS settings."""

    tls: ServerTls | None = None
    accepted: tuple[Fault, ...] = ()
    refs: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def _offer(owner: _Owner, spec: ListenerSpec, index: int) -> Offer:
    path = f"$.spec.listeners[{index}]"
    protocol = PROTOCOLS.get(spec.protocol)
    is_passthrough = spec.tls is not None and spec.tls.mode == "Passthrough"
    kinds, kind_faults = _kinds(spec, protocol, path)
    unfit = _unfit(spec, path)
    terminates = spec.protocol == "HTTPS" or (spec.protocol == "TLS" and not is_passthrough)
    findings = _tls(owner, spec, path) if terminates and not unfit else _Findings()
    sockets = () if unfit or protocol is None else owner.addresses
    return Offer(
        name=spec.name,
        path=path,
        port=spec.port,
        protocol=spec.protocol,
        hostname=hostname_of(spec.hostname),
        allowed=spec.allowed_routes.namespaces,
        kinds=kinds,
        sockets=tuple(listener_name(protocol.family, address, spec.port) for address in sockets) if protocol else (),
        tls=findings.tls,
        accepted=unfit + findings.accepted,
        refs=kind_faults + findings.refs,
        warnings=findings.warnings,
        is_passthrough=is_passthrough,
    )


def _kinds(spec: ListenerSpec, protocol: Protocol | None, path: str) -> tuple[tuple[RouteKind, ...], tuple[Fault, ...]]:
    if protocol is None:
        return (), ()
    fitting = tuple((GATEWAY_GROUP, kind) for kind in protocol.routes)
    if not spec.allowed_routes.kinds:
        return fitting, ()
    wanted = [(allowed.group, allowed.kind) for allowed in spec.allowed_routes.kinds]
    faults = tuple(
        Fault(
            reason="InvalidRouteKinds",
            message=f"Routes of kind {kind} cannot attach to a listener of protocol {spec.protocol}.",
            path=f"{path}.allowedRoutes.kinds[{index}]",
            hint=f"Use {' or '.join(protocol.routes)}, or leave `kinds` out to allow all that fit.",
        )
        for index, (group, kind) in enumerate(wanted)
        if (group, kind) not in fitting
    )
    return tuple(dict.fromkeys(kind for kind in wanted if kind in fitting)), faults


def _unfit(spec: ListenerSpec, path: str) -> tuple[Fault, ...]:
    if spec.protocol not in PROTOCOLS:
        fault = Fault(
            reason="UnsupportedProtocol",
            message=f"The protocol {spec.protocol} is not supported.",
            path=f"{path}.protocol",
            hint=f"Use one of {', '.join(PROTOCOLS)}.",
        )
        return (fault,)
    if spec.protocol == "HTTPS" and spec.tls is not None and spec.tls.mode == "Passthrough":
        fault = Fault(
            reason="UnsupportedValue",
            message="A listener of protocol HTTPS cannot pass TLS through.",
            path=f"{path}.tls.mode",
            hint="Use mode Terminate, or protocol TLS with a TLSRoute.",
        )
        return (fault,)
    return ()


def _tls(owner: _Owner, spec: ListenerSpec, path: str) -> _Findings:
    """Follow everything that a terminating listener needs: its certificates and the CAs of its clients."""
    if spec.tls is None or not spec.tls.certificate_refs:
        fault = Fault(
            reason="InvalidCertificateRef",
            message=f"The listener {spec.name} terminates TLS but has no certificate.",
            path=f"{path}.tls" if spec.tls else path,
            hint="Name a Secret with `tls.crt` and `tls.key` in tls.certificateRefs.",
        )
        return _Findings(refs=(fault,))
    obj = owner.obj
    found = [
        follow_certificate(
            owner.view,
            ref,
            Referrer(kind=obj.kind, namespace=obj.meta.namespace, path=f"{path}.tls.certificateRefs[{index}]"),
            "InvalidCertificateRef",
        )
        for index, ref in enumerate(spec.tls.certificate_refs)
    ]
    names = tuple(dict.fromkeys(ref.name for ref in found if ref.name is not None))
    clients = _clients(owner, spec, path)
    tls = ServerTls(certificates=names, clients=_validation(clients), options=tuple(sorted(spec.tls.options.items())))
    return _Findings(
        tls=tls if names and not clients.accepted else None,
        accepted=clients.accepted,
        refs=tuple(fault for ref in found for fault in ref.faults) + clients.refs,
        warnings=tuple(fault for ref in found for fault in ref.warnings) + clients.warnings,
    )


class _Clients(msgspec.Struct, frozen=True, kw_only=True):
    """Client validation of a listener, with the faults as the listener reports them."""

    ca: SecretName | None = None
    is_insecure: bool = False
    accepted: tuple[Fault, ...] = ()
    refs: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def _validation(clients: _Clients) -> ClientValidation | None:
    return ClientValidation(ca=clients.ca, allow_insecure=clients.is_insecure) if clients.ca is not None else None


def _clients(owner: _Owner, spec: ListenerSpec, path: str) -> _Clients:
    found = owner.view.get(FRONTEND, (owner.gateway, spec.port))
    if found.trust is None:
        return _Clients()
    is_gateway = owner.obj.kind == "Gateway"
    # The place is in the Gateway; a ListenerSet can only say which of its listeners suffers.
    faults = tuple(fault if is_gateway else msgspec.structs.replace(fault, path=path) for fault in found.trust.faults)
    none_valid = Fault(
        reason="NoValidCACertificate",
        message=f"No CA certificate for the validation of clients on port {spec.port} can be used.",
        path=found.path if is_gateway else path,
        hint="Name a ConfigMap with PEM certificates in `ca.crt`; without one nobody may connect.",
    )
    return _Clients(
        ca=found.trust.name,
        is_insecure=found.is_insecure,
        accepted=() if found.trust.name is not None else (none_valid,),
        refs=faults,
        warnings=found.trust.warnings if is_gateway else (),
    )
