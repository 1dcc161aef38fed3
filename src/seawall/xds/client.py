"""The client at the other end of a stream: what it wants and holds, type by type, and what is reported about it.

Pure. State shared by `xds.gate` (what may go) and `xds.stream` (what happened, what to send).
"""

from collections.abc import Iterable

import msgspec

from seawall.kit.units import Seconds
from seawall.xds.barrier import Barriers, Retirements
from seawall.xds.events import Action, Applied, Cause, Recovered, Rejected
from seawall.xds.holdings import Uses
from seawall.xds.resource import ALL_TYPES, CLUSTER, LISTENER, SCOPE, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import Snapshot
from seawall.xds.state import MOST_LISTED, StreamState, TypeState
from seawall.xds.subscription import Subscription

_ORDER = {type_url: place for place, type_url in enumerate(ALL_TYPES)}
_LONGEST_MESSAGE = 4000


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a stream is.

    `expects` are the types that a client must have asked for, if the snapshot has any, before a version counts as
    applied: an Envoy that boots asks for one after the other, and has nothing to serve before the last.
    """

    barrier: Seconds = Seconds(10.0)
    grace: Seconds = Seconds(5.0)
    response_bytes: int = 7 << 19  # 3.5 MiB: below the 4 MiB that gRPC clients take by default
    expects: tuple[TypeUrl, ...] = (CLUSTER, LISTENER, SCOPE)


class Client:
    """All state of one stream. Reports collect in `actions`."""

    def __init__(self, snapshot: Snapshot, settings: StreamSettings) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self.subscriptions: dict[TypeUrl, Subscription] = {}
        self.uses = Uses()
        self.barriers = Barriers(settings.barrier)
        self.retirements = Retirements(settings.grace)
        # Endpoints of clusters that were sent before this stream was asked for any: they warm, whatever is held.
        self.owed: set[Ref] = set()
        # Endpoints of the first request, maybe of a client that came back: they prove nothing about clusters sent since.
        self.remembered: frozenset[ResourceName] = frozenset()
        # The last response that was answered. Responses are read in order: the client has read those before it too.
        self.read = 0
        self.applied = ""
        self._is_announced = False
        self.actions: list[Action] = []

    def follow(self, snapshot: Snapshot) -> None:
        """Take the newer snapshot as the one to be at the client."""
        self._is_announced = self._is_announced and snapshot == self.snapshot
        self.snapshot = snapshot

    def subscription(self, type_url: TypeUrl) -> Subscription:
        """Return the state of a type, made on first use; types stay in sending order."""
        found = self.subscriptions.get(type_url)
        if found is None:
            found = self.subscriptions[type_url] = Subscription(type_url, self.uses)
            ordered = sorted(self.subscriptions.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER)))
            self.subscriptions = dict(ordered)
        return found

    def in_order(self) -> Iterable[Subscription]:
        return self.subscriptions.values()

    def reject(self, ref: Ref, version: str, message: str, cause: Cause) -> None:
        """Report what the client does not run, each state of affairs once."""
        report = Rejected(ref=ref, version=version, message=message[:_LONGEST_MESSAGE], cause=cause)
        rejected = self.subscriptions[ref.type_url].rejected
        if rejected.get(ref.name) != report:
            rejected[ref.name] = report
            self.actions.append(report)

    def recover(self, subscription: Subscription, name: ResourceName) -> None:
        """Report that a name is well again, if it was not."""
        if subscription.rejected.pop(name, None) is not None:
            self.actions.append(Recovered(ref=Ref(subscription.type_url, name)))

    def recover_by(self, subscription: Subscription, acknowledged: Resource) -> None:
        """Recover a name by what the client has acknowledged, unless what is wanted now is still refused or missing."""
        report = subscription.rejected.get(acknowledged.name)
        if report is None:
            return
        wanted = self.snapshot.get(acknowledged.ref)
        if report.cause == "stuck" or wanted is None or wanted.version != report.version:
            self.recover(subscription, acknowledged.name)

    def note_applied(self) -> None:
        """Report the version, once, when the client holds all that it wants of it."""
        if len(self.barriers) or not self.subscriptions or not all(s.is_quiet for s in self.in_order()):
            return
        if self._is_announced:
            return
        if all(wanted in self.subscriptions for wanted in self.settings.expects if self.snapshot.resources(wanted)):
            self._is_announced = True
            self.applied = self.snapshot.version
            self.actions.append(Applied(version=self.applied))

    def take_actions(self) -> list[Action]:
        actions, self.actions = self.actions, []
        return actions

    def state(self) -> StreamState:
        """Describe the stream for status and metrics, in bounded size."""
        rejected = [report for subscription in self.in_order() for report in subscription.rejected.values()]
        return StreamState(
            version=self.snapshot.version,
            applied=self.applied,
            types=tuple(_type_state(subscription) for subscription in self.in_order()),
            awaited=len(self.barriers),
            retiring=len(self.retirements),
            retirements=self.retirements.refs(MOST_LISTED),
            rejected=len(rejected),
            rejections=tuple(rejected[:MOST_LISTED]),
        )


def _type_state(subscription: Subscription) -> TypeState:
    return TypeState(
        type_url=subscription.type_url,
        is_wildcard=subscription.is_wildcard,
        names=len(subscription.names),
        acked=len(subscription.holdings),
        pending=len(subscription.pending) + len(subscription.suspected),
        in_flight=len(subscription.in_flight),
        rejected=len(subscription.rejected),
    )
