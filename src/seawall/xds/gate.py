"""Gate: make before break. What may go to a client now, what must wait, and what may be taken from it.

Pure. A resource passes when all that it refers to is live at the client; the rest waits behind a barrier with a time
limit, after which everything else goes on without it. Next room: `xds.stream`.
"""

from collections.abc import Iterator

from seawall.kit.units import Instant, Seconds
from seawall.xds.client import Client
from seawall.xds.holdings import needs
from seawall.xds.resource import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPE,
    SECRET,
    Ref,
    Resource,
    ResourceName,
    TypeUrl,
)
from seawall.xds.subscription import InFlight, Subscription

_ASKED_FOR_LATER = frozenset({ENDPOINTS, SECRET, ROUTE, EXTENSION, RUNTIME})
"""Clients ask for these by name once they have what refers to them, and wait (warm) themselves."""
_GOES_AT_ONCE = frozenset({LISTENER, SCOPE, RUNTIME})
"""Nothing refers to these. All else stays a grace time: for the requests under way, and because a client that reconnects
needs a moment to say which of its resources refer to it."""

PATIENCE = Seconds(1.0)
"""How long a response may take when one before it is overdue already."""


class Gate:
    """Decides over one client's resources, and keeps what waits."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._begun: list[Ref] = []
        self._not_asked_for: set[TypeUrl] = set()

    # ── make ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def lets_pass(self, subscription: Subscription, resource: Resource, at: Instant) -> bool:
        """Say whether all that `resource` refers to is there; if not, let it wait."""
        client = self._client
        for target in resource.refs:
            if target.type_url == ENDPOINTS:
                continue
            if client.snapshot.get(target) is None:
                client.barriers.hold(resource.ref, target, at, is_stuck=True)
                client.reject(resource.ref, resource.version, _missing(resource.ref, target), "missing")
                self._answer_without(resource.ref)
                return False
            if not self._is_live(target):
                self._wait(resource, target, at)
                return False
        client.barriers.release(resource.ref)
        report = subscription.rejected.get(resource.name)
        if report is not None and report.cause == "missing":
            client.recover(subscription, resource.name)
        return True

    def open(self, target: Ref) -> None:
        """Something happened to `target`: look again at everything that waits for it."""
        for dependent in self._client.barriers.open(target):
            self._client.subscriptions[dependent.type_url].ask(dependent.name, is_forced=False)

    def give_up(self, target: Ref) -> None:
        """Go on without what waits for `target`. It still goes out should `target` come after all."""
        self._client.barriers.mark_stuck(target)
        for dependent in self._client.barriers.dependents(target):
            self._answer_without(dependent)

    def expire(self, at: Instant) -> None:
        """Go on without what took too long, and say so."""
        while (flight := next((flight for due, flight in self._deadlines() if due <= at), None)) is not None:
            flight.is_overdue = True
            # What can be presumed live is waited for no more; the next look at the others reports them.
            for resource in flight.resources.values():
                self.open(resource.ref)
        for target in self._client.barriers.expire(at):
            if target.type_url in self._client.subscriptions:
                self._report_stuck(target)
                self.give_up(target)
            else:
                # It has its clusters from elsewhere, or would have asked for them by now.
                self._not_asked_for.add(target.type_url)
                self.open_all(target.type_url)

    def open_all(self, type_url: TypeUrl) -> None:
        """Something happened to a whole type."""
        for target in self._client.barriers.targets(type_url):
            self.open(target)

    def wake_at(self) -> Instant | None:
        return min((due for due, _ in self._deadlines()), default=None)

    def _deadlines(self) -> Iterator[tuple[Instant, InFlight]]:
        """Say when each response becomes overdue: sooner if one before it is, for the same reason holds it up."""
        for subscription in self._client.in_order():
            is_stuck = any(flight.is_overdue for flight in subscription.in_flight.values())
            limit = min(PATIENCE, self._client.settings.barrier) if is_stuck else self._client.settings.barrier
            for flight in subscription.in_flight.values():
                if not flight.is_overdue:
                    yield Instant(flight.at + limit), flight

    def look_again_at_overdue(self) -> None:
        """The client has acknowledged what clusters need to warm: some that are overdue may be presumed live now."""
        clusters = self._client.subscriptions.get(CLUSTER)
        for flight in clusters.in_flight.values() if clusters else ():
            if flight.is_overdue:
                for resource in flight.resources.values():
                    self.open(resource.ref)

    def is_waiting(self, subscription: Subscription) -> bool:
        """Say whether something of this type waits for what may still come soon."""
        barriers = self._client.barriers
        if not len(barriers):
            return False
        names = (
            self._client.snapshot.resources(subscription.type_url) if subscription.is_wildcard else subscription.names
        )
        return any(barriers.is_in_time(Ref(subscription.type_url, name)) for name in names)

    def _wait(self, resource: Resource, target: Ref, at: Instant) -> None:
        other = self._client.subscriptions.get(target.type_url)
        is_refused = other is not None and target.name in other.rejected
        is_overdue = other is not None and other.is_overdue(target.name)
        self._client.barriers.hold(resource.ref, target, at, is_stuck=is_refused or is_overdue)
        if is_overdue:
            self._report_stuck(target)
        if not self._client.barriers.is_in_time(resource.ref):
            self._answer_without(resource.ref)

    def _is_live(self, target: Ref) -> bool:
        """Say whether the client can be relied on to have `target`."""
        if target.type_url in _ASKED_FOR_LATER:
            return True
        other = self._client.subscriptions.get(target.type_url)
        if other is None:
            # An Envoy that comes back while a cluster of its own warms asks for clusters last of all.
            is_expected = target.type_url in self._client.settings.expects
            return not is_expected or target.type_url in self._not_asked_for
        if not other.wants(target.name) or other.holdings.is_usable(target.name):
            return True
        return other.is_overdue(target.name) and self._looks_warm(other, target.name)

    def _looks_warm(self, clusters: Subscription, name: ResourceName) -> bool:
        """Guess from what the client did since: it has acknowledged everything that the cluster needs to warm.

        Envoy acknowledges no cluster while any is warming. When one is stuck, the others must not be stuck with it.
        """
        cluster = clusters.holdings.newest(name)
        wanted = [ref for ref in needs(cluster) if ref.type_url in (ENDPOINTS, SECRET)] if cluster else []
        endpoints = self._client.subscriptions.get(ENDPOINTS)
        if endpoints is None or not any(r.type_url == ENDPOINTS and endpoints.wants(r.name) for r in wanted):
            return False  # its endpoints come from elsewhere (DNS): nothing to judge by
        return all(self._is_settled(ref) for ref in wanted)

    def _is_settled(self, ref: Ref) -> bool:
        other = self._client.subscriptions.get(ref.type_url)
        return other is not None and ref.name not in other.pending and other.holdings.is_settled(ref.name)

    def _answer_without(self, dependent: Ref) -> None:
        """Whoever asked for a resource by name and has none waits for an answer: say that there is none, for now."""
        subscription = self._client.subscriptions[dependent.type_url]
        if dependent.name in subscription.names and not subscription.holdings.may_hold(dependent.name):
            subscription.leaving[dependent.name] = None

    def _report_stuck(self, target: Ref) -> None:
        subscription = self._client.subscriptions[target.type_url]
        resource = self._client.snapshot.get(target)
        if target.name in subscription.rejected or resource is None:
            return
        message = (
            f"{_kind(target)} {target.name} was not acknowledged within {self._client.settings.barrier:g} s, so what "
            f"refers to it is held back. It may be waiting for its host name to resolve or for its first health check."
        )
        self._client.reject(target, resource.version, message, "stuck")

    # ── break ────────────────────────────────────────────────────────────────────────────────────────────────────

    def retire(self, ref: Ref) -> None:
        """Take `ref` from the client once nothing there refers to it."""
        self._client.retirements.begin(ref)
        self._begun.append(ref)

    def retire_due(self, at: Instant) -> None:
        """Let go what nothing refers to any more, most of it a grace time later."""
        client = self._client
        freed, begun = client.uses.take_freed(), self._begun
        self._begun = []
        if client.uses.take_cleared() or len(freed) > len(client.retirements):
            begun = client.retirements.unscheduled()
        else:
            begun.extend(ref for ref in freed if ref in client.retirements)
        for ref in begun:
            if ref not in client.retirements or client.uses.is_used(ref):
                continue
            if ref.type_url in _GOES_AT_ONCE:
                client.retirements.cancel(ref)
                self._leave(ref)
            else:
                client.retirements.schedule(ref, at)
        for ref in client.retirements.expire(at):
            if client.uses.is_used(ref):  # a client that came back has told us meanwhile what else it holds
                client.retirements.begin(ref)
            else:
                self._leave(ref)

    def _leave(self, ref: Ref) -> None:
        subscription = self._client.subscriptions[ref.type_url]
        if subscription.wants(ref.name) and subscription.holdings.may_hold(ref.name):
            subscription.say_absent(ref.name)

    # ── warm ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def may_be_warming(self, ref: Ref) -> bool:
        """Say whether a cluster of a client that came back may need these endpoints, though it remembers them.

        An Envoy asks for endpoints before clusters only if it comes back while a cluster warms.
        """
        return ref.type_url == ENDPOINTS and (ref in self._client.owed or CLUSTER not in self._client.subscriptions)

    def refresh_endpoints(self, cluster: Resource) -> bool:
        """A cluster that is new or changed warms, and ends to do so when endpoints come, even the ones it knows.

        Envoy does not ask again for a name that it is subscribed to already. Returns whether it is.
        """
        is_asked = False
        endpoints = self._client.subscriptions.get(ENDPOINTS)
        for ref in needs(cluster):
            if ref.type_url != ENDPOINTS:
                continue
            if endpoints is None or not endpoints.wants(ref.name):
                self._client.owed.add(ref)
                continue
            is_asked = True
            if self._client.snapshot.get(ref) is not None or ref in self._client.retirements:
                endpoints.ask(ref.name, is_forced=True)
            else:
                endpoints.unanswered.add(ref.name)
        return is_asked


def _kind(ref: Ref) -> str:
    return ref.type_url.rsplit(".", 1)[-1]


def _missing(ref: Ref, target: Ref) -> str:
    return (
        f"{_kind(ref)} {ref.name} is held back: it refers to {_kind(target)} {target.name}, which this configuration "
        f"does not contain. It is sent as soon as {target.name} is there."
    )
