"""Verdicts: what we say of each listener among its neighbours.

Pure. Nothing of routes is in it: they come and go without a verdict being made again.
Next room: `gateway.reports`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from seawall.gateway.gateways import quarantine_fault
from seawall.gateway.graph import ListenerName, ObjectKey
from seawall.gateway.listeners import CLAIM, Offer, RouteKind
from seawall.gateway.sockets import OVERLAPS, SOCKET
from seawall.gateway.status import Condition, Fault, bad, good, judge
from seawall.gateway.view import Rule, View

FAULTS: Final = "faults"
"""The table of facts that holds, for a socket that an edge could not open, why."""


class ListenerVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What we say of one listener. `is_sound`: it would serve; `is_programmed`: it does."""

    name: str
    kinds: tuple[RouteKind, ...]
    conditions: tuple[Condition, ...]
    faults: tuple[Fault, ...]
    is_accepted: bool
    is_sound: bool
    is_programmed: bool


def verdicts(view: View, owner: ObjectKey) -> tuple[ListenerVerdict, ...]:
    """Judge the listeners of an owner among their neighbours."""
    claim = view.get(CLAIM, owner)
    if claim is None:
        return ()
    refused = quarantine_fault(view, owner) or quarantine_fault(view, claim.gateway)
    return tuple(_verdict(view, owner, offer, refused) for offer in claim.offers)


VERDICTS: Final = Rule(verdicts)


def _verdict(view: View, owner: ObjectKey, offer: Offer, refused: tuple[Fault, ...]) -> ListenerVerdict:
    settled = {name: view.get(SOCKET, name) for name in offer.sockets}
    conflict = next(
        (fault for socket in settled.values() if (fault := socket.conflicts.get((owner, offer.name)))), None
    )
    accepted = (*offer.accepted, *((conflict,) if conflict else ()))
    unopened = tuple(_unopened(view, offer, settled))
    is_sound = offer.is_sound and conflict is None
    is_programmed = is_sound and bool(offer.sockets) and not unopened
    conditions = [
        judge("Accepted", accepted, "The listener is valid."),
        judge("ResolvedRefs", offer.refs, "All references are resolved."),
        _programmed(offer, [*accepted, *offer.refs, *unopened, *refused], is_programmed=is_programmed),
    ]
    if conflict is not None:
        conditions.append(good("Conflicted", conflict.reason, conflict.message))
    else:
        conditions.append(Condition(type="Conflicted", status="False", reason="NoConflicts"))
    for name in settled:
        overlap = view.get(OVERLAPS, name).get((owner, offer.name))
        if overlap is not None:
            conditions.append(good("OverlappingTLSConfig", overlap.reason, overlap.message))
            break
    return ListenerVerdict(
        name=offer.name,
        kinds=offer.kinds,
        conditions=tuple(conditions),
        faults=(*accepted, *offer.refs, *unopened, *offer.warnings),
        is_accepted=not accepted,
        is_sound=is_sound,
        is_programmed=is_programmed,
    )


def _programmed(offer: Offer, faults: list[Fault], *, is_programmed: bool) -> Condition:
    if is_programmed:
        return good("Programmed", message="The listener is part of the configuration that edges get.")
    conflict = next(
        (fault.reason for fault in faults if fault.reason in ("HostnameConflict", "ProtocolConflict")), None
    )
    if faults:
        return bad("Programmed", faults, conflict or "Invalid")
    message = f"The listener {offer.name} has no address to listen on: its Gateway is not accepted or has none."
    return Condition(type="Programmed", status="False", reason="Pending", message=message)


def _unopened(view: View, offer: Offer, names: Iterable[ListenerName]) -> Iterator[Fault]:
    for name in names:
        message = view.fact(FAULTS, name)
        if message is not None:
            yield Fault(
                reason="Invalid",
                message=f"The edge cannot listen on {name}: {message}",
                path=f"{offer.path}.port",
                hint="Free the port, choose another one, or give the edge the right to use it.",
            )
