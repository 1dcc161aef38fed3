"""Sockets: the listeners of one address and port together. Who owns which hostname, and who lost.

Pure. Precedence: older Gateways first, in a Gateway its own listeners before those of its ListenerSets, older sets first.

- A listener that collides with one of an owner before it is Conflicted; the other stays.
- Listeners of one owner that collide with each other are all Conflicted: the Gateway API forbids to pick a winner there.
- A hostname belongs to its listener even while that one cannot serve (no certificate, say). A wider listener must not
  answer for it: its routes may be of somebody else.

Next room: `gateway.attach` (routes look for their place), `gateway.opened` (what Envoy listens on).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from seawall.gateway.graph import (
    Hostname,
    ListenerName,
    ObjectKey,
    SecretName,
    TableName,
)
from seawall.gateway.hostnames import owner, wider
from seawall.gateway.listeners import CLAIMS, PROTOCOLS, Claim, Family, Offer
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View

ListenerRef = tuple[ObjectKey, str]
"""A listener: its owner and its name there."""


class Socket(msgspec.Struct, frozen=True, kw_only=True):
    """Who has which place on a socket. `owners` are accepted listeners, `conflicts` the others."""

    family: Family = "http"
    owners: Mapping[Hostname, ListenerRef] = {}
    conflicts: Mapping[ListenerRef, Fault] = {}


def socket(view: View, name: ListenerName) -> Socket:
    """Settle who has which hostname on a socket."""
    claims = sorted(view.bucket(CLAIMS, name).values(), key=lambda claim: claim.order)
    return _settle(name, claims)


SOCKET: Final = Rule(socket)


def owner_of(view: View, place: tuple[ListenerName, Hostname]) -> ListenerRef | None:
    """Return the most specific listener of a socket for a hostname. A rule of its own: few listeners move few routes."""
    name, hostname = place
    owners = view.get(SOCKET, name).owners
    narrowest = owner(hostname, owners)
    return owners[narrowest] if narrowest is not None else None


OWNER: Final = Rule(owner_of)


def _settle(name: ListenerName, claims: list[Claim]) -> Socket:
    family: Family | None = None
    owners: dict[Hostname, ListenerRef] = {}
    conflicts: dict[ListenerRef, Fault] = {}
    for claim in claims:
        rest: list[Offer] = []
        for offer in offers_on(claim, name):
            fault = _against(offer, family, owners)
            if fault is None:
                rest.append(offer)
            else:
                conflicts[claim.owner, offer.name] = fault
        among = _among(rest)
        conflicts.update(((claim.owner, offer.name), among[offer.path]) for offer in rest if offer.path in among)
        for offer in rest:
            if offer.path not in among:
                family = PROTOCOLS[offer.protocol].family
                owners[offer.hostname] = (claim.owner, offer.name)
    return Socket(family=family or "http", owners=owners, conflicts=conflicts)


def offers_on(claim: Claim, name: ListenerName) -> Iterator[Offer]:
    """Yield the listeners of an owner that are on a socket."""
    return (offer for offer in claim.offers if name in offer.sockets)


def _against(offer: Offer, family: Family | None, owners: Mapping[Hostname, ListenerRef]) -> Fault | None:
    """Compare with those who were first."""
    if family is not None and PROTOCOLS[offer.protocol].family != family:
        return _protocol_conflict(offer, f"port {offer.port} already speaks {_spoken(family)}")
    if offer.hostname in owners:
        first, name = owners[offer.hostname]
        return _hostname_conflict(offer, f"listener {name} of {first} has it already")
    return None


def _among(offers: list[Offer]) -> Mapping[str, Fault]:
    """Compare the listeners of one owner with each other; faults by path."""
    families = {PROTOCOLS[offer.protocol].family for offer in offers}
    if len(families) > 1:
        spoken = " and ".join(_spoken(family) for family in sorted(families))
        return {offer.path: _protocol_conflict(offer, f"port {offer.port} cannot speak {spoken}") for offer in offers}
    same: dict[Hostname, list[Offer]] = defaultdict(list)
    for offer in offers:
        same[offer.hostname].append(offer)
    return {
        offer.path: _hostname_conflict(offer, f"listeners {' and '.join(other.name for other in group)} all want it")
        for group in same.values()
        if len(group) > 1
        for offer in group
    }


def _spoken(family: Family) -> str:
    return {"http": "plain HTTP", "tls": "TLS", "tcp": "TCP", "udp": "UDP"}[family]


def _protocol_conflict(offer: Offer, why: str) -> Fault:
    return Fault(
        reason="ProtocolConflict",
        message=f"The listener {offer.name} cannot speak {offer.protocol}: {why}.",
        path=f"{offer.path}.protocol",
        hint="Use another port.",
    )


def _hostname_conflict(offer: Offer, why: str) -> Fault:
    return Fault(
        reason="HostnameConflict",
        message=f"The listener {offer.name} cannot have hostname {offer.hostname} on port {offer.port}: {why}.",
        path=offer.path,
        hint="Use another hostname or another port.",
    )


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────


def table_of(name: ListenerName, offer: Offer) -> TableName:
    """Name the table that serves a listener: HTTP listeners of a socket share one, told apart by hostname."""
    return TableName(f"{name}/{offer.hostname}" if offer.protocol == "HTTPS" else name)


# ── what a listener is told about its neighbours ─────────────────────────────────────────────────────────────────


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """TLS settings that browsers may mix up, because they reuse connections for names a certificate covers."""

    reason: str
    message: str


def overlaps(view: View, name: ListenerName) -> Mapping[ListenerRef, Overlap]:
    """Find listeners whose hostname or certificate overlaps that of another on the same socket (GEP-3567)."""
    settled = view.get(SOCKET, name)
    if settled.family != "tls" or len(settled.owners) < 2:
        return {}
    users: dict[SecretName, list[ListenerRef]] = defaultdict(list)
    web: set[ListenerRef] = set()
    hostnames: dict[ListenerRef, Hostname] = {ref: hostname for hostname, ref in settled.owners.items()}
    for claim in view.bucket(CLAIMS, name).values():
        for offer in offers_on(claim, name):
            web |= {(claim.owner, offer.name)} if offer.protocol == "HTTPS" else set()
            if (claim.owner, offer.name) in hostnames and offer.tls is not None:
                for secret in offer.tls.certificates:
                    users[secret].append((claim.owner, offer.name))
    found: dict[ListenerRef, Overlap] = {}
    for hostname in settled.owners:
        for wide in (wide for wide in wider(hostname) if wide in settled.owners):
            for one, other in ((hostname, wide), (wide, hostname)):
                message = f"Its hostname {one} overlaps {other} on the same port; a reused connection gets a 421."
                found.setdefault(settled.owners[one], Overlap(reason="OverlappingHostnames", message=message))
    for secret, refs in users.items():
        if len(refs) > 1:
            message = (
                f"Other listeners of this port serve the certificate {secret}, too; a reused connection gets a 421."
            )
            found.update((ref, Overlap(reason="OverlappingCertificates", message=message)) for ref in sorted(refs))
    # What is passed on as it is gets no answer from us, so no 421 either.
    return {ref: overlap for ref, overlap in found.items() if ref in web}


OVERLAPS: Final = Rule(overlaps)
