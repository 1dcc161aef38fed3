"""Subscription: one type of one delta stream: what the client wants, holds, was sent and refused.

Pure. What may be sent when is decided in `xds.stream`; this is the state that it decides upon.
"""

from collections import deque

import msgspec

from seawall.kit.units import Instant
from seawall.xds.events import Rejected
from seawall.xds.holdings import Holdings, Uses
from seawall.xds.resource import CLUSTER, Resource, ResourceName, TypeUrl

MOST_IN_FLIGHT = 4
"""Responses of a type that may be out when earlier ones are overdue; in good times it is one."""

_MOST_WITH_CLEARING = 16


class InFlight(msgspec.Struct, kw_only=True):
    """A response that was neither acknowledged nor refused.

    `number` counts the responses of the stream, over all types. `asked_before` are clusters of which the client had asked
    for endpoints already: that it does proves nothing. The others say what was done about the silence.
    """

    at: Instant
    resources: dict[ResourceName, Resource]
    removed: tuple[ResourceName, ...]
    number: int
    is_overdue: bool = False
    asked_before: set[ResourceName] = msgspec.field(default_factory=set)
    is_alone: bool = False
    is_watched: bool = False
    is_probed: bool = False
    cleared: set[ResourceName] = msgspec.field(default_factory=set)


class Subscription:
    """The state of one type. `pending` and `leaving` are what the next responses are made of."""

    def __init__(self, type_url: TypeUrl, uses: Uses) -> None:
        self.type_url = type_url
        self.is_wildcard = False
        self.is_answered = False
        self.names: set[ResourceName] = set()
        self.holdings = Holdings(type_url, uses)
        self.in_flight: dict[str, InFlight] = {}
        # Names to look at; True means: send even if the client has acknowledged that very version.
        self.pending: dict[ResourceName, bool] = {}
        # Names of which the next response says that they do not exist.
        self.leaving: dict[ResourceName, None] = {}
        # Resources of refused responses, in ever smaller groups until the culprit stands alone.
        self.suspects: deque[tuple[Resource, ...]] = deque()
        self.suspected: dict[ResourceName, str] = {}
        self.rejected: dict[ResourceName, Rejected] = {}
        # What to send first, whatever else is out: a version to go back to, or None to remove (see `xds.remnants`).
        self.clearing: dict[ResourceName, Resource | None] = {}
        # Names that were asked for again and wait behind a barrier: due even if unchanged.
        self.unanswered: set[ResourceName] = set()
        self.is_suspects_turn = False

    def wants(self, name: ResourceName) -> bool:
        return self.is_wildcard or name in self.names

    def take_clearing(self) -> tuple[tuple[Resource, ...], tuple[ResourceName, ...]]:
        """Return, once, what clears up behind a refusal: what to send again, what to remove."""
        if len(self.in_flight) >= _MOST_WITH_CLEARING:
            return (), ()
        clearing, self.clearing = self.clearing, {}
        again = tuple(resource for resource in clearing.values() if resource is not None)
        return again, tuple(name for name, resource in clearing.items() if resource is None)

    @property
    def has_room(self) -> bool:
        """Say whether another response may go out: never two at once, unless the client is long overdue."""
        return len(self.in_flight) < MOST_IN_FLIGHT and all(sent.is_overdue for sent in self.in_flight.values())

    @property
    def is_quiet(self) -> bool:
        """Say whether everything wanted is acknowledged, as far as this type goes."""
        return not (self.pending or self.leaving or self.in_flight or self.suspected or self.rejected or self.clearing)

    def is_on_its_way(self, resource: Resource) -> bool:
        return any(
            (sent := flight.resources.get(resource.name)) is not None and sent.version == resource.version
            for flight in self.in_flight.values()
        )

    def is_refused(self, resource: Resource) -> bool:
        report = self.rejected.get(resource.name)
        return report is not None and report.cause == "refused" and report.version == resource.version

    def is_overdue(self, name: ResourceName) -> bool:
        return any(flight.is_overdue and name in flight.resources for flight in self.in_flight.values())

    def ask(self, name: ResourceName, *, is_forced: bool) -> None:
        """Look at `name` before the next response."""
        self.pending[name] = is_forced or name in self.unanswered or self.pending.get(name, False)
        self.leaving.pop(name, None)

    def say_absent(self, name: ResourceName) -> None:
        self.leaving[name] = None
        self.pending.pop(name, None)

    def send(self, nonce: str, flight: InFlight) -> None:
        """Note a response as sent."""
        self.is_answered = True
        flight.is_watched = self.type_url == CLUSTER and len(flight.resources) > 1
        # A refusal is told at once only by a client that has nothing else to hold back.
        flight.is_alone = not self.in_flight and len(flight.resources) + len(flight.removed) == 1
        self.in_flight[nonce] = flight
        for name, resource in flight.resources.items():
            self.unanswered.discard(name)
            self.holdings.send(name, nonce, resource)
        for name in flight.removed:
            self.unanswered.discard(name)
            if self.holdings.may_hold(name):
                self.holdings.send(name, nonce, None)

    def suspect(self, group: tuple[Resource, ...]) -> None:
        if group:
            self.suspects.append(group)
            self.suspected.update((resource.name, resource.version) for resource in group)

    def forget(self, name: ResourceName) -> None:
        """The client wants `name` no more."""
        self.pending.pop(name, None)
        self.leaving.pop(name, None)
        self.suspected.pop(name, None)
        self.unanswered.discard(name)
        self.clearing.pop(name, None)
        self.holdings.forget(name)

    def take_suspects(self) -> tuple[Resource, ...]:
        """Return the next group, without those that are settled or changed meanwhile; empty if there is none."""
        while self.suspects:
            group = tuple(r for r in self.suspects.popleft() if self.suspected.get(r.name) == r.version)
            for resource in group:
                del self.suspected[resource.name]
            if group:
                return group
        return ()


def split(resources: tuple[Resource, ...], message: str) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Part the resources of a refused response so that the culprits are found in few steps.

    Envoy often names them in its message; else half and half. The likely innocent come first: they should be live soon.
    """
    named = mentioned(resources, message)
    if 0 < len(named) < len(resources):
        others = {resource.name for resource in named}
        return tuple(resource for resource in resources if resource.name not in others), named
    middle = len(resources) // 2
    return resources[:middle], resources[middle:]


def mentioned(resources: tuple[Resource, ...], message: str) -> tuple[Resource, ...]:
    """Return those whose names stand in a message as words of their own."""
    return tuple(resource for resource in resources if _mentions(message, resource.name))


def _mentions(message: str, name: str) -> bool:
    at = message.find(name)
    while at >= 0:
        before, after = message[max(at - 1, 0) : at], message[at + len(name) : at + len(name) + 1]
        if not _is_part_of_name(before) and not _is_part_of_name(after):
            return True
        at = message.find(name, at + 1)
    return False


def _is_part_of_name(character: str) -> bool:
    return character.isalnum() or (character != "" and character in "-_./|")
