"""The delta stream: what to send to one client, when, so that it never misses what it needs.

Pure: `handle(event)` returns actions; time arrives inside events. The rules, in short:

    make before break    a resource goes out once those that it refers to are acknowledged; one goes away once nothing
                         at the client refers to it any more, a grace time later (requests under way): `xds.gate`
    one at a time        one response of a type is out; what changes meanwhile is merged into the next
    refused, not resent  a NACK names no culprit: halves are sent again until it stands alone, the others are applied
    never silent         the first request of a type, each subscription, each repeated one and each cluster that warms
                         again gets an answer, even if nothing changed or nothing is there

Cost is proportional to the change. Next room: `seawall.server.ads` speaks this on the wire.
"""

from collections.abc import Callable, Iterable
from typing import assert_never

from seawall.kit.units import Instant
from seawall.xds.client import Client, StreamSettings
from seawall.xds.events import Acked, Action, Event, Nacked, Send, SnapshotChanged, Subscribed, Ticked
from seawall.xds.gate import Gate
from seawall.xds.holdings import needs
from seawall.xds.remnants import Remnants
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import Snapshot
from seawall.xds.state import StreamState
from seawall.xds.subscription import InFlight, Subscription, split

_ALL = ResourceName("*")
_NAMED = frozenset({ENDPOINTS, SECRET, ROUTE})
"""An empty first request of these means "nothing yet", not "all": an Envoy that reconnects without a single cluster
asks like that, and must not be told every secret there is."""

Recall = Callable[[Ref, str], Resource | None]
"""Finds the content of an older version, for a client that comes back with it: what it refers to is known then."""


def _forgetful(_ref: Ref, _version: str) -> Resource | None:
    return None


class DeltaStream:
    """One client's stream, from its first request to its end."""

    def __init__(self, snapshot: Snapshot, settings: StreamSettings | None = None, recall: Recall = _forgetful) -> None:
        self._client = Client(snapshot, settings or StreamSettings())
        self._recall = recall
        self._gate = Gate(self._client)
        self._remnants = Remnants(self._client)
        self._nonce = 0

    def handle(self, event: Event) -> list[Action]:
        """Take what happened, return what to do about it, in this order."""
        match event:
            case Subscribed():
                self._on_subscribed(event)
            case Acked():
                self._on_acked(event)
            case Nacked():
                self._on_nacked(event)
            case SnapshotChanged():
                self._on_changed(event)
            case Ticked():
                pass
            case _:
                assert_never(event)
        self._gate.expire(event.at)
        self._remnants.watch(event.at)
        self._gate.retire_due(event.at)
        if self._remnants.is_curious():
            self._probe(event.at)
        for subscription in self._client.in_order():
            while (send := self._next(subscription, event.at)) is not None:
                self._client.actions.append(send)
        self._client.note_applied()
        return self._client.take_actions()

    def wake_at(self) -> Instant | None:
        """Say when `Ticked` is due next; None if nothing waits for time to pass."""
        client = self._client
        times = (
            self._gate.wake_at(),
            self._remnants.wake_at(),
            client.barriers.wake_at(),
            client.retirements.wake_at(),
        )
        return min((at for at in times if at is not None), default=None)

    def held(self, type_url: TypeUrl) -> dict[ResourceName, str]:
        """Return the versions that the client has acknowledged."""
        subscription = self._client.subscriptions.get(type_url)
        return subscription.holdings.versions() if subscription else {}

    def state(self) -> StreamState:
        """Describe the stream for status and metrics, in bounded size."""
        return self._client.state()

    # ── what the client wants ────────────────────────────────────────────────────────────────────────────────────

    def _on_subscribed(self, event: Subscribed) -> None:
        is_first = event.type_url not in self._client.subscriptions
        subscription = self._client.subscription(event.type_url)
        if is_first:
            self._gate.open_all(event.type_url)
            # Legacy wildcard: no names in the first request mean all, where names are not the rule.
            subscription.is_wildcard = not event.subscribe and event.type_url not in _NAMED
        for name in event.unsubscribe:
            self._unsubscribe(subscription, name)
        for name in event.subscribe:
            if name == _ALL:
                subscription.is_wildcard = True
            else:
                subscription.names.add(name)
        if is_first:
            if event.type_url == ENDPOINTS:
                self._client.remembered = frozenset(event.subscribe)
            for name, version in event.initial_versions.items():
                if subscription.wants(name):
                    content = self._content(Ref(event.type_url, name), version)
                    subscription.holdings.assume(name, version, content)
        names: Iterable[ResourceName] = (name for name in event.subscribe if name != _ALL)
        if _ALL in event.subscribe or (is_first and subscription.is_wildcard):
            present = self._client.snapshot.resources(event.type_url)
            names = dict.fromkeys((*names, *present, *subscription.holdings))
        for name in names:
            self._answer(subscription, name, is_first=is_first)

    def _content(self, ref: Ref, version: str) -> Resource | None:
        current = self._client.snapshot.get(ref)
        return current if current is not None and current.version == version else self._recall(ref, version)

    def _answer(self, subscription: Subscription, name: ResourceName, *, is_first: bool) -> None:
        """Let the client hear of a name that it asked for.

        A name that is asked for again is answered "even if unchanged" (specification), because the client may have
        forgotten it; only in the first request of a type does it say what it remembers.
        """
        ref = Ref(subscription.type_url, name)
        holdings = subscription.holdings
        if self._client.snapshot.get(ref) is not None:
            remembers = is_first and holdings.may_hold(name) and not self._gate.may_be_warming(ref)
            subscription.ask(name, is_forced=not remembers)
        elif not holdings.is_usable(name):
            subscription.say_absent(name)
        elif ref not in self._client.retirements:
            self._gate.retire(ref)
            if self._gate.may_be_warming(ref):
                subscription.ask(name, is_forced=True)
        elif name not in subscription.leaving:
            subscription.ask(name, is_forced=True)

    def _unsubscribe(self, subscription: Subscription, name: ResourceName) -> None:
        if name == _ALL:
            subscription.is_wildcard = False
            known = {*subscription.holdings, *self._client.snapshot.resources(subscription.type_url)}
            for gone in known - subscription.names:
                self._forget(subscription, gone)
            return
        subscription.names.discard(name)
        if subscription.is_wildcard:
            # The server must answer with the resource or with its removal (specification): the client cannot know.
            self._answer(subscription, name, is_first=False)
        else:
            self._forget(subscription, name)

    def _forget(self, subscription: Subscription, name: ResourceName) -> None:
        ref = Ref(subscription.type_url, name)
        subscription.forget(name)
        if subscription.type_url == CLUSTER:
            self._remnants.forget(name)
        self._client.barriers.release(ref)
        self._client.retirements.cancel(ref)
        self._client.recover(subscription, name)
        # Who does not want a resource has it from elsewhere, or not at all: nothing waits for it any more.
        self._gate.open(ref)

    # ── what the client says to our answers ──────────────────────────────────────────────────────────────────────

    def _on_acked(self, event: Acked) -> None:
        subscription = self._client.subscriptions.get(event.type_url)
        flight = subscription.in_flight.pop(event.nonce, None) if subscription else None
        if subscription is None or flight is None:
            return  # a nonce of an earlier stream
        self._client.read = max(self._client.read, flight.number)
        for name, resource in flight.resources.items():
            subscription.holdings.acknowledge(name, event.nonce)
            self._client.recover_by(subscription, resource)
            self._gate.open(resource.ref)
            self._send_alone(subscription, resource.ref, resource.version)
        for name in flight.removed:
            if event.type_url == CLUSTER and (gone := subscription.holdings.get(name)) is not None:
                self._client.owed.difference_update(needs(gone))
            subscription.holdings.acknowledge(name, event.nonce)
            if not subscription.holdings.may_hold(name):
                self._client.retirements.cancel(Ref(event.type_url, name))
            self._send_alone(subscription, Ref(event.type_url, name), "")
        if event.type_url in (ENDPOINTS, SECRET):
            self._gate.look_again_at_overdue()

    def _send_alone(self, subscription: Subscription, ref: Ref, acknowledged: str) -> None:
        """The client was taken back to an older state (see `xds.remnants`): let what is wanted prove itself alone."""
        wanted = self._client.snapshot.get(ref)
        if wanted is None and subscription.holdings.is_usable(ref.name):
            self._gate.retire(ref)
        if wanted is None or wanted.version == acknowledged or not subscription.wants(ref.name):
            return
        is_known = ref.name in subscription.pending or ref.name in subscription.suspected
        if not is_known and not subscription.is_on_its_way(wanted) and not subscription.is_refused(wanted):
            subscription.suspect((wanted,))

    def _on_nacked(self, event: Nacked) -> None:
        subscription = self._client.subscriptions.get(event.type_url)
        flight = subscription.in_flight.pop(event.nonce, None) if subscription else None
        if subscription is None or flight is None:
            return
        self._client.read = max(self._client.read, flight.number)
        resources = tuple(flight.resources.values())
        is_alone = len(resources) + len(flight.removed) == 1
        for name in (*flight.resources, *flight.removed):
            subscription.holdings.refuse(name, event.nonce, is_alone=is_alone)
        gone = [name for name in flight.removed if self._client.snapshot.get(Ref(event.type_url, name)) is None]
        for name in gone:
            if resources:
                subscription.say_absent(name)
            else:
                self._client.reject(Ref(event.type_url, name), "", event.message, "refused")
        if event.type_url == CLUSTER:
            self._remnants.after_refusal(resources, event.message)
        if is_alone and resources and self._is_current(subscription, resources[0]):
            self._client.reject(resources[0].ref, resources[0].version, event.message, "refused")
            self._gate.give_up(resources[0].ref)
            return
        # What changed meanwhile is pending anyway. One that was refused together with a removal goes again, alone.
        same = tuple(resource for resource in resources if self._is_current(subscription, resource))
        for group in split(same, event.message) if len(same) > 1 else (same,):
            subscription.suspect(group)

    def _is_current(self, subscription: Subscription, resource: Resource) -> bool:
        current = self._client.snapshot.get(resource.ref)
        return current is not None and current.version == resource.version and subscription.wants(resource.name)

    # ── what changes ─────────────────────────────────────────────────────────────────────────────────────────────

    def _on_changed(self, event: SnapshotChanged) -> None:
        """Merge newer state into what is pending; nothing is queued."""
        self._client.follow(event.snapshot)
        for resource in event.change.put:
            self._client.retirements.cancel(resource.ref)
            subscription = self._client.subscriptions.get(resource.type_url)
            if subscription is not None and subscription.wants(resource.name):
                if subscription.suspected.get(resource.name) != resource.version:
                    subscription.suspected.pop(resource.name, None)
                subscription.ask(resource.name, is_forced=False)
            self._gate.open(resource.ref)
        for ref in event.change.remove:
            subscription = self._client.subscriptions.get(ref.type_url)
            if subscription is not None and subscription.wants(ref.name):
                self._remove(subscription, ref)
            self._gate.open(ref)

    def _remove(self, subscription: Subscription, ref: Ref) -> None:
        is_awaited = ref.name in subscription.pending or self._client.barriers.is_waiting(ref)
        if subscription.pending.pop(ref.name, False):
            subscription.unanswered.add(ref.name)
        subscription.suspected.pop(ref.name, None)
        self._client.owed.discard(ref)
        if ref.type_url == CLUSTER:
            self._remnants.forget(ref.name)
        self._client.barriers.release(ref)
        self._client.recover(subscription, ref.name)
        if subscription.holdings.may_hold(ref.name):
            self._gate.retire(ref)
        elif is_awaited and ref.name in subscription.names:
            subscription.say_absent(ref.name)

    # ── what to send ─────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self, subscription: Subscription, at: Instant) -> Send | None:
        """Make the next response of a type, if one may go out and there is something to say."""
        resources, removed = subscription.take_clearing()
        if resources or removed:
            return self._send(subscription, resources, removed, at)
        if not subscription.has_room:
            return None
        if subscription.suspected and (removed := self._removed(subscription)):
            # Suspects go without removals, or a culprit would never stand alone.
            return self._send(subscription, (), removed, at)
        # New content and suspects take turns: neither can starve the other.
        resources = self._suspects(subscription, at) if subscription.is_suspects_turn else ()
        resources = resources or self._fresh(subscription, at) or self._suspects(subscription, at)
        removed = self._removed(subscription)
        if not resources and not removed and (subscription.is_answered or self._gate.is_waiting(subscription)):
            # The first answer is worth waiting for: an Envoy that is told "nothing" opens without routes.
            return None
        subscription.is_suspects_turn = not subscription.is_suspects_turn
        return self._send(subscription, resources, removed, at)

    def _send(
        self,
        subscription: Subscription,
        resources: tuple[Resource, ...],
        removed: tuple[ResourceName, ...],
        at: Instant,
    ) -> Send:
        self._nonce += 1
        nonce = str(self._nonce)
        by_name = {resource.name: resource for resource in resources}
        flight = InFlight(at=at, resources=by_name, removed=removed, number=self._nonce)
        subscription.send(nonce, flight)
        for resource in resources:
            if resource.type_url == CLUSTER:
                if self._gate.refresh_endpoints(resource):
                    flight.asked_before.add(resource.name)
            elif resource.type_url == ENDPOINTS:
                self._client.owed.discard(resource.ref)
        return Send(
            type_url=subscription.type_url,
            nonce=nonce,
            resources=resources,
            removed=removed,
            system_version=self._client.snapshot.version,
        )

    def _probe(self, at: Instant) -> None:
        """Say that of another type nothing changed: the answer tells that all before it was read."""
        quiet = [s for s in self._client.in_order() if s.type_url != CLUSTER and s.is_answered and not s.in_flight]
        # Of listeners if they were asked for: no type is cheaper for an Envoy to look at.
        for subscription in sorted(quiet, key=lambda s: s.type_url != LISTENER)[:1]:
            self._client.actions.append(self._send(subscription, (), (), at))

    def _fresh(self, subscription: Subscription, at: Instant) -> tuple[Resource, ...]:
        """Take what is pending and may go, up to the size of a response."""
        chosen: list[Resource] = []
        size = 0
        for name, is_forced in list(subscription.pending.items()):
            resource = self._sendable(subscription, name, is_forced=is_forced, at=at)
            if resource is not None:
                size += _size(resource)
                # The last eighth is for removals.
                if chosen and size > self._client.settings.response_bytes * 7 // 8:
                    break
                chosen.append(resource)
            elif is_forced and self._client.barriers.is_waiting(Ref(subscription.type_url, name)):
                subscription.unanswered.add(name)
            del subscription.pending[name]
        return tuple(chosen)

    def _suspects(self, subscription: Subscription, at: Instant) -> tuple[Resource, ...]:
        while group := subscription.take_suspects():
            allowed = tuple(resource for resource in group if self._gate.lets_pass(subscription, resource, at))
            if allowed:
                return allowed
        return ()

    def _removed(self, subscription: Subscription) -> tuple[ResourceName, ...]:
        if not subscription.leaving:
            return ()
        if subscription.type_url == LISTENER and self._gate.is_waiting(subscription):
            # A renamed listener takes over the port of the old one: both in one response, or the port is closed.
            return ()
        snapshot, barriers = self._client.snapshot, self._client.barriers
        removed: list[ResourceName] = []
        size = 0
        for name in list(subscription.leaving):
            size += len(name) + 8
            if removed and size > self._client.settings.response_bytes // 8:
                break
            del subscription.leaving[name]
            ref = Ref(subscription.type_url, name)
            if snapshot.get(ref) is None or barriers.is_waiting(ref):
                removed.append(name)
        return tuple(removed)

    def _sendable(
        self, subscription: Subscription, name: ResourceName, *, is_forced: bool, at: Instant
    ) -> Resource | None:
        """Return the resource if the client should get it now; None drops the name until something else happens."""
        ref = Ref(subscription.type_url, name)
        resource = self._client.snapshot.get(ref)
        if resource is None and is_forced and ref in self._client.retirements:
            return subscription.holdings.content(name)
        if resource is None or not subscription.wants(name) or subscription.suspected.get(name) == resource.version:
            return None
        if subscription.is_refused(resource):
            return None
        if not is_forced and subscription.is_on_its_way(resource):
            return None
        if not is_forced and subscription.holdings.is_settled(name, resource.version):
            self._client.barriers.release(ref)
            self._client.recover(subscription, name)
            return None
        return resource if self._gate.lets_pass(subscription, resource, at) else None


def _size(resource: Resource) -> int:
    return len(resource.body) + len(resource.name) + len(resource.version) + len(resource.type_url) + 32
