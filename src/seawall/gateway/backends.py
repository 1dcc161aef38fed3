"""Backends: Services with their EndpointSlices and policies, and our own Backends, made into clusters.

Pure. A cluster is a backend with settings, never a route's: routes share it. Its name changes with settings that need
another one, so that Envoy has the new cluster before a route moves to it.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, assert_never

import msgspec

from seawall.gateway.gateways import quarantine_fault
from seawall.gateway.graph import ClientTls, Cluster, ClusterName, Endpoint, Endpoints, ObjectKey, SecretName
from seawall.gateway.handling import Treatment
from seawall.gateway.indexes import SECRETS, SLICES, SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.policies import TrustSettings, backend_trust, client_tls, subject_names
from seawall.gateway.resources.backend_traffic import ZoneShare
from seawall.gateway.resources.backends import BackendSpec, BackendTlsSettings
from seawall.gateway.resources.core import EndpointSliceSpec, ServicePort, ServiceSpec, SliceEndpoint
from seawall.gateway.resources.refs import OWN_GROUP
from seawall.gateway.secrets import CertificateRef, Referrer, follow_certificate
from seawall.gateway.status import Fault
from seawall.gateway.traffic import TREATMENT
from seawall.gateway.view import Entries, Index, Published, Rule, View
from seawall.kit.digest import digest

Spoken = Literal["http1", "http2", "tcp", "udp"]
Wanted = Literal["http", "grpc", "tcp", "udp"]

_WEB: Final = ("http", "grpc")
KINDS: Final = {("", "Service"): "Service", (OWN_GROUP, "Backend"): "Backend"}
"""What a backendRef may name, by group and kind."""

APP_PROTOCOLS: Final[dict[str, Spoken]] = {
    "": "http1",
    "http": "http1",
    "https": "http1",
    "kubernetes.io/ws": "http1",
    "kubernetes.io/wss": "http1",
    "kubernetes.io/h2c": "http2",
    "h2c": "http2",
    "http2": "http2",
    "grpc": "http2",
}
"""What a Service port's appProtocol means to HTTP; case does not matter."""


class BackendKey(msgspec.Struct, frozen=True, kw_only=True):
    """A backend as a Gateway speaks to it: `client_certificate` is the Gateway's, `wanted` what the route carries.

    `is_raw`: what comes is TLS already, so it is not wrapped again.
    """

    kind: str
    namespace: str
    name: str
    port: int | None = None
    client_certificate: SecretName | None = None
    wanted: Wanted = "http"
    is_raw: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster is made of."""

    cluster: Cluster
    backend: ObjectKey
    port: str = ""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, or why there is none; the fault's path is the field of the backendRef. `secrets` are what TLS needs."""

    recipe: Recipe | None = None
    fault: Fault | None = None
    trust: tuple[tuple[SecretName, bytes | None], ...] = ()


def resolve(view: View, key: BackendKey) -> Resolution:
    """Find out how to reach a backend."""
    obj = view.object(object_key(key.kind, key.namespace, key.name))
    if obj is None:
        near = view.get(SUGGESTION, (key.kind, key.namespace, key.name))
        message = f"There is no {key.kind} {key.namespace}/{key.name}."
        hint = f"Did you mean {near}?" if near else f"Create the {key.kind} or correct the reference."
        return _refused("BackendNotFound", message, ".name", hint)
    quarantined = quarantine_fault(view, obj.key)
    if quarantined:
        return _refused("BackendNotFound", quarantined[0].message, ".name", quarantined[0].hint)
    if isinstance(obj.spec, ServiceSpec):
        return _service(view, key, obj.spec)
    assert isinstance(obj.spec, BackendSpec)
    return _backend(view, key, obj)


RESOLUTION: Final = Rule(resolve)


def in_use(view: View, key: BackendKey) -> Resolution:
    """Resolve a backend for a route that is served: its cluster must be there."""
    return view.get(RESOLUTION, key)


CLUSTERS: Final = Index[ClusterName, object, Recipe]("recipes by cluster")


def _publish(key: BackendKey, found: Resolution) -> Entries:
    if found.recipe is None:
        return {}
    entries: Published = {CLUSTERS.at(found.recipe.cluster.name): found.recipe}
    entries.update((SECRETS.at(name), pem) for name, pem in found.trust)
    return entries if key else {}


BACKEND: Final = Rule(in_use, publish=_publish)


def _refused(reason: str, message: str, path: str, hint: str) -> Resolution:
    return Resolution(fault=Fault(reason=reason, message=message, path=path, hint=hint))


# ── Service ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _service(view: View, key: BackendKey, spec: ServiceSpec) -> Resolution:
    name = f"Service {key.namespace}/{key.name}"
    if spec.type == "ExternalName":
        # It could lead anywhere, past every ReferenceGrant (CVE-2021-25740's class of mistakes).
        message = f"{name} is of type ExternalName, which is not followed."
        return _refused("UnsupportedValue", message, ".name", "Describe the host in a Backend (seawall.dev/v1alpha1).")
    ports = ", ".join(str(port.port) for port in spec.ports) or "none"
    if key.port is None:
        return _refused("BackendNotFound", f"{name} needs a port.", "", f"Add `port`, one of: {ports}.")
    transport = "UDP" if key.wanted == "udp" else "TCP"
    candidates = [port for port in spec.ports if port.port == key.port]
    port = next((port for port in candidates if port.protocol == transport), candidates[0] if candidates else None)
    if port is None:
        return _refused("BackendNotFound", f"{name} has no port {key.port}.", ".port", f"Its ports are {ports}.")
    if port.protocol != transport:
        message = f"Port {port.port} of {name} speaks {port.protocol}, but {transport} is needed."
        return _refused(
            "UnsupportedProtocol", message, ".port", f"Add a port with protocol {transport} to the Service."
        )
    return _service_port(view, key, port, name)


def _service_port(view: View, key: BackendKey, port: ServicePort, name: str) -> Resolution:
    service = object_key("Service", key.namespace, key.name)
    found = (
        None if key.is_raw or key.wanted == "udp" else client_tls(view, (service, port.name), key.client_certificate)
    )
    app = (port.app_protocol or "").lower()
    protocol = APP_PROTOCOLS.get(app)
    if protocol is None and key.wanted in _WEB:
        message = f"Port {port.port} of {name} speaks {port.app_protocol}, which HTTP routes do not."
        known = ", ".join(sorted(filter(None, APP_PROTOCOLS)))
        return _refused("UnsupportedProtocol", message, ".port", f"Set its appProtocol to one of {known}.")
    if key.wanted in _WEB and found is None and app in ("https", "kubernetes.io/wss"):
        message = f"Port {port.port} of {name} speaks TLS, but no BackendTLSPolicy says how to verify it."
        hint = "Add a BackendTLSPolicy for the Service; Seawall does not speak TLS unverified."
        return _refused("UnsupportedProtocol", message, ".port", hint)
    tls, policy = found if found is not None else (None, None)
    treatment, asked = view.get(TREATMENT, (service, port.name or None))
    spoken = _spoken(key, _PROTOCOLS[asked] if asked is not None else protocol)
    made = Cluster(
        name=_cluster_name(_apart(f"{service}/{port.port}", protocol, spoken), tls),
        protocol=spoken,
        tls=tls,
        treatment=treatment,
        origins=(service, *((policy,) if policy is not None else ()), *askers(treatment)),
    )
    # The policy and the Gateway publish their own secrets.
    return Resolution(recipe=Recipe(cluster=made, backend=service, port=port.name))


_PROTOCOLS: Final[dict[str, Spoken]] = {"HTTP": "http1", "HTTP2": "http2", "TCP": "tcp", "UDP": "udp"}


def askers(treatment: Treatment | None) -> tuple[ObjectKey, ...]:
    """Name the policies that a treatment is from."""
    return tuple(dict.fromkeys(ObjectKey(one.policy) for one in treatment.sources)) if treatment is not None else ()


def _spoken(key: BackendKey, declared: Spoken | None) -> Spoken:
    """Say what is spoken to a backend: gRPC is HTTP/2 whatever the port says, streams are passed on as they are."""
    match key.wanted:
        case "http":
            assert declared is not None
            return declared
        case "grpc":
            return "http2"
        case "tcp" | "udp":
            return key.wanted
        case _:
            assert_never(key.wanted)


def _apart(name: str, declared: Spoken | None, spoken: Spoken) -> str:
    """Keep clusters of one backend apart that speak another protocol than it declares."""
    return name if spoken == declared else f"{name}/{spoken}"


def _cluster_name(name: str, tls: ClientTls | None) -> ClusterName:
    return ClusterName(name if tls is None else f"{name}/{digest(msgspec.json.encode(tls))[:12]}")


# ── Backend ──────────────────────────────────────────────────────────────────────────────────────────────────────


class OwnTls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS settings of a Backend, followed: what to do, what is wrong, and what goes into the graph for it."""

    tls: ClientTls | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    trust: tuple[tuple[SecretName, bytes | None], ...] = ()


def own_tls(view: View, key: ObjectKey) -> OwnTls:
    """Follow the TLS settings of a Backend."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, BackendSpec) or obj.spec.tls is None:
        return OwnTls()
    settings = obj.spec.tls
    namespace = obj.meta.namespace
    trust_settings = TrustSettings(
        refs=settings.ca_certificate_refs, well_known=settings.well_known_ca_certificates, path="$.spec.tls"
    )
    trust, blocking = backend_trust(view, trust_settings, obj.kind, namespace)
    names: list[tuple[SecretName, bytes | None]] = [(trust.name, trust.bundle)] if trust.name else []
    faults = [*blocking, *trust.faults]
    warnings = list(trust.warnings)
    ref = _own_certificate(view, obj, settings)
    names += [(ref.name, None)] if ref.name else []
    faults += ref.faults
    warnings += ref.warnings
    blocking += ref.faults
    sni = settings.hostname or next((one.hostname for one in obj.spec.endpoints if one.hostname), None)
    if sni is None:
        nameless = Fault(
            reason="Invalid",
            message="The endpoints have no host name, so the backend's certificate cannot be verified.",
            path="$.spec.tls",
            hint="Set tls.hostname to the name in the backend's certificate.",
        )
        faults.append(nameless)
        blocking += (nameless,)
    tls = ClientTls(
        sni=(sni or "").lower(),
        ca=trust.name,
        names=subject_names(settings.subject_alt_names),
        certificate=ref.name,
        invalid=blocking[0].message if blocking else "",
    )
    return OwnTls(tls=tls, faults=tuple(faults), warnings=tuple(warnings), trust=tuple(names))


OWN_TLS: Final = Rule(own_tls)


def _own_certificate(view: View, obj: Object, settings: BackendTlsSettings) -> CertificateRef:
    if settings.client_certificate_ref is None:
        return CertificateRef()
    referrer = Referrer(kind=obj.kind, namespace=obj.meta.namespace, path="$.spec.tls.clientCertificateRef")
    return follow_certificate(view, settings.client_certificate_ref, referrer, "InvalidClientCertificateRef")


def _backend(view: View, key: BackendKey, obj: Object) -> Resolution:
    spec = obj.spec
    assert isinstance(spec, BackendSpec)
    wanted = "HTTP" if key.wanted in _WEB else key.wanted.upper()
    if not spec.protocol.startswith(wanted):
        message = f"Backend {key.namespace}/{key.name} speaks {spec.protocol}, which this kind of route does not."
        return _refused("UnsupportedProtocol", message, ".name", f"Set its `protocol` to {wanted}.")
    own = OwnTls() if key.is_raw else view.get(OWN_TLS, obj.key)
    tls = own.tls
    if tls is not None and tls.certificate is None:
        tls = msgspec.structs.replace(tls, certificate=key.client_certificate)
    has_hostnames = any(endpoint.hostname for endpoint in spec.endpoints)
    declared = _PROTOCOLS[spec.protocol]
    treatment, asked = view.get(TREATMENT, (obj.key, None))
    spoken = _spoken(key, _PROTOCOLS[asked] if asked is not None else declared)
    made = Cluster(
        name=_cluster_name(_apart(obj.key, declared, spoken), tls),
        protocol=spoken,
        tls=tls,
        hostnames=tuple(sorted(_listed(spec))) if has_hostnames else (),
        treatment=treatment,
        origins=(obj.key, *askers(treatment)),
    )
    return Resolution(recipe=Recipe(cluster=made, backend=obj.key), trust=own.trust)


def _listed(spec: BackendSpec) -> Iterator[Endpoint]:
    for endpoint in spec.endpoints:
        address = endpoint.hostname or endpoint.ip or ""
        yield Endpoint(
            address=address.lower(),
            port=endpoint.port,
            zone=endpoint.zone,
            weight=endpoint.weight,
            priority=endpoint.priority,
        )


# ── into the graph ───────────────────────────────────────────────────────────────────────────────────────────────


def _recipe(view: View, name: ClusterName) -> Recipe | None:
    return next(iter(view.bucket(CLUSTERS, name).values()), None)


def cluster(view: View, name: ClusterName) -> Cluster | None:
    """Make a cluster that some route in use needs."""
    recipe = _recipe(view, name)
    return recipe.cluster if recipe is not None else None


def endpoints(view: View, name: ClusterName) -> Endpoints | None:
    """Say where a cluster's traffic goes; None where Envoy resolves host names itself."""
    recipe = _recipe(view, name)
    if recipe is None or recipe.cluster.hostnames:
        return None
    obj = view.object(recipe.backend)
    if obj is not None and isinstance(obj.spec, BackendSpec):
        return Endpoints(cluster=name, members=tuple(sorted(set(_listed(obj.spec)))), zones=_zones(recipe.cluster))
    slices = [found.spec for found in view.bucket(SLICES, recipe.backend).values()]
    members = _members((found for found in slices if isinstance(found, EndpointSliceSpec)), recipe.port)
    return Endpoints(cluster=name, members=tuple(sorted(members)), zones=_zones(recipe.cluster))


def _zones(cluster: Cluster) -> tuple[ZoneShare, ...]:
    asked = cluster.treatment.load_balancing if cluster.treatment is not None else None
    return asked.zones if asked is not None else ()


CLUSTER: Final = Rule(cluster, each=CLUSTERS)
ENDPOINTS: Final = Rule(endpoints, each=CLUSTERS)


def _members(slices: Iterable[EndpointSliceSpec], port_name: str) -> set[Endpoint]:
    """Collect endpoints: ready ones, and those that shut down but still serve, to be used if there is no other.

    An address that several slices name counts once, and as ready if one of them says so: slices are moved between.
    """
    ready: dict[tuple[str, int], Endpoint] = {}
    leaving: dict[tuple[str, int], Endpoint] = {}
    for found in slices:
        if found.address_type == "FQDN":
            continue
        ports = [port.port for port in found.ports if port.name == port_name and port.port is not None]
        for member in found.endpoints:
            into = ready if _is_ready(member) else leaving if _is_leaving(member) else {}
            for port in ports:
                address = member.addresses[0]
                made = Endpoint(address=address, port=port, zone=member.zone, is_ready=into is ready)
                into[address, port] = min(made, into.get((address, port), made))
    if not ready:
        return {msgspec.structs.replace(endpoint, is_ready=True) for endpoint in leaving.values()}
    return {*ready.values(), *(endpoint for place, endpoint in leaving.items() if place not in ready)}


def _is_ready(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.ready is not False


def _is_leaving(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.serving is not False and endpoint.conditions.terminating is True
