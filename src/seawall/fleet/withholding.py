"""Withholding: the snapshot without the listeners that this host cannot bind.

Pure: whether a socket can be bound is asked of a function that is handed in. A listener that cannot be bound is kept
from Envoy and reported; everything else goes on; it is tried again.
Next rooms: `seawall.agent.preflight` is the function, `seawall.agent.relay` the user.
"""

from collections.abc import Callable, Collection

from seawall.fleet.sockets import Socket, socket_of
from seawall.fleet.wire import Rejection
from seawall.xds.resource import LISTENER, Ref, Resource, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot

Preflight = Callable[[Socket], str]
"""Says why a socket cannot be bound; empty if it can."""


class Withholding:
    """`relayed` is what Envoy is given, `withheld` what it is not, and why."""

    def __init__(self, preflight: Preflight) -> None:
        self.relayed: Snapshot = EMPTY
        self.withheld: dict[Ref, Rejection] = {}
        self._preflight = preflight
        # Listeners that this Envoy was given: it holds their sockets, so there is nothing to ask any more.
        self._given: set[Ref] = set()

    def take(self, change: Change) -> Change:
        """Take a change of the snapshot; return what of it Envoy is given. Costs O(change)."""
        put, gone = [], list(change.remove)
        for resource in change.put:
            if resource.type_url != LISTENER or self._may_go(resource):
                put.append(resource)
            elif self.relayed.get(resource.ref) is not None:
                gone.append(resource.ref)
        for ref in change.remove:
            self._given.discard(ref)
            self.withheld.pop(ref, None)
        return self._advance(Change(put=tuple(put), remove=tuple(gone)))

    def renew(self, snapshot: Snapshot, held: Collection[ResourceName] = ()) -> Change:
        """Begin anew with another Envoy, which holds the listeners `held`; return what changes for the relay."""
        self.withheld.clear()
        self._given = {Ref(LISTENER, name) for name in held}
        refused = tuple(r.ref for r in snapshot.resources(LISTENER).values() if not self._may_go(r))
        return self._advance(snapshot.apply(Change(remove=refused)).difference(self.relayed))

    def retry(self, snapshot: Snapshot) -> Change:
        """Try again what was withheld."""
        candidates = (snapshot.get(ref) for ref in list(self.withheld))
        return self._advance(Change(put=tuple(r for r in candidates if r is not None and self._may_go(r))))

    def _may_go(self, resource: Resource) -> bool:
        ref = resource.ref
        socket = socket_of(resource.name)
        message = self._preflight(socket) if socket is not None and ref not in self._given else ""
        if message:
            self.withheld[ref] = Rejection(ref=ref, version=resource.version, message=message)
            return False
        self.withheld.pop(ref, None)
        self._given.add(ref)
        return True

    def _advance(self, change: Change) -> Change:
        self.relayed = self.relayed.apply(change)
        return change
