"""Remnants: what a refused cluster leaves behind in Envoy, and how to clear it away.

Pure. Envoy (1.40) refuses some clusters only after it has counted them as warming, and then counts them for ever. While
anything is warming it holds back every answer about clusters, to say when the others are ready: one bad cluster would
silence an edge until it is restarted, even across reconnects. Removing the name, or sending again the version that the
client holds, clears the count, and the answers that were held back arrive. Seen with the real Envoy, as is:

    the refused alone               it says so at once; cleared right after
    the refused among good ones     no answer; but it asks for the endpoints of the good ones only: cleared a second later
    a changed one refused           no answer, nothing to tell it by: cleared when the barrier's time is up, then tried alone
"""

from collections.abc import Iterable, Iterator

import msgspec

from seawall.kit.units import Instant, Seconds
from seawall.xds.client import Client
from seawall.xds.holdings import needs
from seawall.xds.resource import CLUSTER, ENDPOINTS, Resource, ResourceName
from seawall.xds.subscription import InFlight, mentioned

PATIENCE = Seconds(1.0)
"""So long a client may take to ask for the endpoints of a new cluster when it has asked for those of others."""


class _Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How often a version was cleared away on mere suspicion. It may be slow and not bad: it gets twice the time next."""

    version: str
    times: int


class Remnants:
    """Finds clusters of one client that may have left something behind, and queues what clears it away."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tried: dict[ResourceName, _Tried] = {}

    def after_refusal(self, resources: tuple[Resource, ...], message: str) -> None:
        """The client refused these, or some of them: those that it names, if it names any."""
        self._clear(mentioned(resources, message) or resources)

    def watch(self, at: Instant) -> None:
        """Look at responses that are not answered in time, by a client that has read them and speaks of other things."""
        for flight in self._unanswered():
            if flight.is_watched and flight.at + PATIENCE <= at:
                flight.is_watched = False
                unasked = [r for r in flight.resources.values() if not self._is_held(r) and self._is_asked(r) is False]
                if len(unasked) < len(flight.resources):
                    self._clear(unasked)
            if flight.is_overdue:
                self._clear_silent([r for due, r in self._silent(flight) if due <= at])

    def wake_at(self) -> Instant | None:
        due = [Instant(flight.at + PATIENCE) for flight in self._unanswered() if flight.is_watched]
        due += [at for flight in self._unanswered() if flight.is_overdue for at, _ in self._silent(flight)]
        return min(due, default=None)

    def is_curious(self) -> bool:
        """Say, once for each overdue response, that nothing tells whether it was read: somebody should ask."""
        clusters = self._client.subscriptions.get(CLUSTER)
        flights = clusters.in_flight.values() if clusters else ()
        unread = [f for f in flights if f.is_overdue and f.number > self._client.read and not f.is_probed]
        for flight in unread:
            flight.is_probed = True
        return bool(unread)

    def forget(self, name: ResourceName) -> None:
        self._tried.pop(name, None)

    def _unanswered(self) -> list[InFlight]:
        clusters = self._client.subscriptions.get(CLUSTER)
        flights = clusters.in_flight.values() if clusters else ()
        return [flight for flight in flights if self._client.read > flight.number]

    def _silent(self, flight: InFlight) -> Iterator[tuple[Instant, Resource]]:
        """Say when each of the clusters that show no life has had its time."""
        for resource in flight.resources.values():
            if resource.name in flight.cleared or self._is_surely_live(flight, resource):
                continue
            # One that is alone would have been refused at once: most likely it is slow.
            doublings = self._times_tried(resource) + flight.is_alone
            yield Instant(flight.at + self._client.settings.barrier * 2**doublings), resource

    def _clear_silent(self, resources: list[Resource]) -> None:
        for resource in resources:
            times = self._times_tried(resource) + 1
            self._tried[resource.name] = _Tried(version=resource.version, times=times)
            for flight in self._unanswered():
                flight.cleared.add(resource.name)
        self._clear(resources)

    def _times_tried(self, resource: Resource) -> int:
        tried = self._tried.get(resource.name)
        return tried.times if tried is not None and tried.version == resource.version else 0

    def _is_held(self, cluster: Resource) -> bool:
        return self._client.subscriptions[CLUSTER].holdings.get(cluster.name) is not None

    def _is_surely_live(self, flight: InFlight, cluster: Resource) -> bool:
        """Say whether the client can only have asked for its endpoints because it took this very version."""
        if self._is_held(cluster) or cluster.name in flight.asked_before:
            return False
        if any(ref.type_url == ENDPOINTS and ref.name in self._client.remembered for ref in needs(cluster)):
            return False
        return bool(self._is_asked(cluster))

    def _is_asked(self, cluster: Resource) -> bool | None:
        """Say whether the client asked for its endpoints; None if it has none here (they come by DNS)."""
        endpoints = self._client.subscriptions.get(ENDPOINTS)
        ours = [ref for ref in needs(cluster) if ref.type_url == ENDPOINTS and self._client.snapshot.get(ref)]
        return all(endpoints is not None and endpoints.wants(ref.name) for ref in ours) if ours else None

    def _clear(self, resources: Iterable[Resource]) -> None:
        clusters = self._client.subscriptions[CLUSTER]
        for resource in resources:
            name = resource.name
            if clusters.holdings.is_leaving(name):
                continue  # on its way out, which clears it too
            if clusters.holdings.get(name) is None and not self._client.uses.is_used(resource.ref):
                clusters.clearing[name] = None
            elif (fallback := clusters.holdings.fallback(name, resource.version)) is not None:
                clusters.clearing[name] = fallback
