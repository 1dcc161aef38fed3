"""Manners: which ListenerPolicy says how a listener meets its clients, and what it needs besides.

Pure. One policy applies, whole: that of the listener, else of its ListenerSet, else of its Gateway; among several for one
target the oldest. A policy that Envoy has refused is passed over.
Next rooms: `gateway.opened` puts it into filter chains, `gateway.manner_reports` says what became of each policy.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from cryptography import x509

from seawall.gateway.backends import BACKEND, KINDS, BackendKey
from seawall.gateway.gateways import FRONTEND, age
from seawall.gateway.graph import ClusterName, FilterChain, Manner, ObjectKey, SecretName, TrustSecret
from seawall.gateway.indexes import LISTENER_POLICIES, SUGGESTION
from seawall.gateway.listeners import Offer
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.core import ConfigMapSpec
from seawall.gateway.resources.listener_policies import ListenerPolicySpec, ProxyProtocol
from seawall.gateway.resources.refs import (
    GATEWAY_GROUP,
    BackendObjectReference,
    LocalPolicyTargetReferenceWithSectionName,
)
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View

KINDS_OF_TARGET: Final = ("Gateway", "ListenerSet")
ListenerKey = tuple[ObjectKey, ObjectKey, str]
"""A listener: its owner, the Gateway that it serves for, its name in the owner."""


def is_target(target: LocalPolicyTargetReferenceWithSectionName) -> bool:
    """Say whether a ListenerPolicy can apply to things of this kind."""
    return target.group == GATEWAY_GROUP and target.kind in KINDS_OF_TARGET


def policies_for(view: View, target: ObjectKey, section: str | None) -> tuple[ObjectKey, ...]:
    """Name the policies for exactly this target that can be followed, older first."""
    found: list[Object] = []
    for obj in view.bucket(LISTENER_POLICIES, target).values():
        assert isinstance(obj.spec, ListenerPolicySpec)
        if view.fact(QUARANTINE, obj.key) is None and any(
            is_target(ref)
            and object_key(ref.kind, obj.meta.namespace, ref.name) == target
            and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            found.append(obj)
    return tuple(obj.key for obj in sorted(found, key=age))


def manner(view: View, listener: ListenerKey) -> Manner | None:
    """Say how a listener meets its clients; None if no policy does."""
    owner, gateway, name = listener
    candidates = (*policies_for(view, owner, name), *policies_for(view, owner, None))
    if owner != gateway:
        candidates += policies_for(view, gateway, None)
    ordered = tuple(dict.fromkeys(candidates))
    if not ordered:
        return None
    obj = view.object(ordered[0])
    assert obj is not None
    assert isinstance(obj.spec, ListenerPolicySpec)
    return Manner(
        by=obj.key,
        # To aim a policy at one more listener is no change of those that it is for already.
        spec=msgspec.structs.replace(obj.spec, target_refs=()),
        over=ordered[1:],
        collectors=tuple(collector(view, obj, ref)[0] for _, ref in collector_refs(obj.spec)),
    )


MANNER: Final = Rule(manner)


def collector_refs(spec: ListenerPolicySpec) -> Iterator[tuple[str, BackendObjectReference]]:
    """Yield each reference to a collector with its place."""
    for index, sink in enumerate(spec.access_log.sinks if spec.access_log else ()):
        if sink.backend_ref is not None:
            yield f"$.spec.accessLog.sinks[{index}].backendRef", sink.backend_ref
    if spec.tracing is not None:
        yield "$.spec.tracing.backendRef", spec.tracing.backend_ref


def collector(view: View, policy: Object, ref: BackendObjectReference) -> tuple[ClusterName | None, Fault | None]:
    """Find the cluster of a collector, or say why there is none."""
    kind = KINDS.get((ref.group, ref.kind))
    if kind is None:
        message = f"A collector cannot be a {ref.kind} of group {ref.group!r}."
        hint = "Name a Service, or a Backend of group seawall.dev."
        return None, Fault(reason="InvalidKind", message=message, path=".kind", hint=hint)
    key = BackendKey(kind=kind, namespace=policy.meta.namespace, name=ref.name, port=ref.port, wanted="grpc")
    found = view.get(BACKEND, key)
    return (found.recipe.cluster.name if found.recipe is not None else None), found.fault


# ── what is revoked ──────────────────────────────────────────────────────────────────────────────────────────────


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """The revocation lists that a ConfigMap holds; `fault` says why there are none, as a sentence's end."""

    pem: bytes = b""
    fault: str = ""


def revocation(view: View, key: ObjectKey) -> Revocation:
    """Check the revocation lists in a ConfigMap."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, ConfigMapSpec):
        _, namespace, name = key.split("/", 2)
        near = view.get(SUGGESTION, ("ConfigMap", namespace, name))
        return Revocation(fault=f"does not exist; did you mean {near}?" if near else "does not exist.")
    text = obj.spec.data.get("ca.crl")
    pem = text.encode() if text is not None else obj.spec.binary_data.get("ca.crl", b"")
    marker = b"-----BEGIN X509 CRL-----"
    blocks = [marker + part for part in pem.split(marker)[1:]]
    try:
        for block in blocks:
            x509.load_pem_x509_crl(block)
    except ValueError:
        return Revocation(fault="has a revocation list in `ca.crl` that cannot be read.")
    return Revocation(pem=pem) if blocks else Revocation(fault="has no PEM revocation list in `ca.crl`.")


REVOCATION: Final = Rule(revocation)


def crl_key(policy: ObjectKey, spec: ListenerPolicySpec) -> ObjectKey | None:
    """Name the ConfigMap with the revocation lists of a policy."""
    if spec.client_certificates is None or spec.client_certificates.crl is None:
        return None
    return object_key("ConfigMap", policy.split("/")[1], spec.client_certificates.crl.name)


# ── into filter chains ───────────────────────────────────────────────────────────────────────────────────────────

Manners = Mapping[tuple[ObjectKey, str], Manner | None]
"""By owner and name of a listener."""


def with_manner(
    view: View, chain: FilterChain, found: Manners, served: list[tuple[ObjectKey, Offer, ObjectKey]]
) -> tuple[FilterChain, TrustSecret | None]:
    """Put what policies say into a web chain. Of plain HTTP listeners, which share one, the first with a policy decides."""
    for owner, offer, gateway in served:
        said = found.get((owner, offer.name))
        if said is None or chain.name not in ("http", f"https/{offer.hostname}"):
            continue
        chain = msgspec.structs.replace(chain, manner=said, origins=(*chain.origins, said.by))
        if chain.tls is None or said.spec.client_certificates is None:
            return chain, None
        return _checked(view, chain, said, (gateway, offer.port))
    return chain, None


def _checked(
    view: View, chain: FilterChain, said: Manner, place: tuple[ObjectKey, int]
) -> tuple[FilterChain, TrustSecret | None]:
    """Say whose certificates clients may show. Where that cannot be known, nobody gets in."""
    wanted = said.spec.client_certificates
    assert wanted is not None
    assert chain.tls is not None
    clients = chain.tls.clients
    trust = view.get(FRONTEND, place).trust
    if clients is None or trust is None:
        return _closed(chain), None
    if wanted.mode == "Optional":
        clients = msgspec.structs.replace(clients, is_optional=True, allow_insecure=False)
    secret = None
    key = crl_key(said.by, said.spec)
    if key is not None:
        revoked = view.get(REVOCATION, key)
        if revoked.fault:
            return _closed(chain), None
        # By the name of the list, not by what is on it: a new one changes a secret, and no connection drains.
        name = SecretName(f"{clients.ca}/crl/{key}")
        secret = TrustSecret(name=name, bundle=trust.bundle, crl=revoked.pem)
        clients = msgspec.structs.replace(clients, ca=name)
    return msgspec.structs.replace(chain, tls=msgspec.structs.replace(chain.tls, clients=clients)), secret


def _closed(chain: FilterChain) -> FilterChain:
    return msgspec.structs.replace(chain, protocol="tls", tls=None, table=None, filters=())


def proxy_protocol(found: Manners) -> ProxyProtocol | None:
    """Say whether a socket wants PROXY headers: it is one thing for the whole port."""
    return next((one.spec.proxy_protocol for one in found.values() if one and one.spec.proxy_protocol), None)
