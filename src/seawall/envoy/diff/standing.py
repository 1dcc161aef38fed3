"""Standing: what is known of a snapshot as a whole, kept up at the cost of what changes.

Pure. A comparison needs totals (how many hosts, how many bytes, who uses this cluster); to count 20,000 hosts for each of
a thousand changes would cost more than the changes.
"""

from collections import defaultdict
from collections.abc import Callable

import msgspec

from seawall.envoy.diff.listeners import kinds, sockets
from seawall.envoy.diff.words import hosts_of, is_fallback
from seawall.rollout.guards.question import Size
from seawall.xds.resource import CLUSTER, LISTENER, SCOPE, Ref, Resource, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot

Origins = Callable[[Ref], tuple[str, ...]]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counts at one moment."""

    sizes: dict[TypeUrl, Size]
    hosts: int
    listeners: int
    clusters: int


class Standing:
    """Follows snapshots. `origins` is asked once for each resource that comes, so that what goes can still be traced."""

    def __init__(self, origins: Origins) -> None:
        self.snapshot = EMPTY
        self._ask = origins
        self._sizes: dict[TypeUrl, list[int]] = {}
        self._users: defaultdict[Ref, set[Ref]] = defaultdict(set)
        self._origins: dict[Ref, tuple[str, ...]] = {}
        self._hosts: dict[Ref, int] = {}
        """How many hosts a fallback serves; every other scope is one."""
        self._scopes = 0
        self._kinds: dict[Ref, frozenset[str]] = {}
        self.named: dict[Ref, str] = {}
        """Listeners whose address is a name."""

    def follow(self, snapshot: Snapshot, change: Change | None = None) -> None:
        """Go on to another snapshot; `change` is what leads there, if somebody knows."""
        if snapshot is self.snapshot:
            return
        change = change if change is not None else snapshot.difference(self.snapshot)
        for resource in change.put:
            self._swap(resource.ref, self.snapshot.get(resource.ref), resource)
        for ref in change.remove:
            self._swap(ref, self.snapshot.get(ref), None)
        self.snapshot = snapshot

    def totals(self) -> Totals:
        sizes = {kind: Size(resources=count, bytes=size) for kind, (count, size) in self._sizes.items() if count}
        count = {kind: size.resources for kind, size in sizes.items()}
        listeners, clusters = count.get(LISTENER, 0), count.get(CLUSTER, 0)
        return Totals(
            sizes=sizes, hosts=self._scopes + sum(self._hosts.values()), listeners=listeners, clusters=clusters
        )

    def users(self, ref: Ref) -> set[Ref]:
        """Name the resources that need this one."""
        return self._users.get(ref, set())

    def origins(self, ref: Ref) -> tuple[str, ...]:
        return self._origins.get(ref, ())

    def filter_kinds(self) -> frozenset[str]:
        """Name the kinds of HTTP filters that some listener has."""
        return frozenset().union(*self._kinds.values())

    def scopes_of(self, listener: str) -> list[Ref]:
        """Name the route tables of a listener. Walks over all of them: listeners change seldom."""
        names = self.snapshot.resources(SCOPE)
        refs = [Ref(SCOPE, name) for name in names if name.startswith((f"{listener}|", f"{listener}/"))]
        return [ref for ref in refs if self._hosts.get(ref, 1)]

    def _swap(self, ref: Ref, old: Resource | None, new: Resource | None) -> None:
        size = self._sizes.setdefault(ref.type_url, [0, 0])
        if old is not None:
            size[0] -= 1
            size[1] -= len(old.body)
            for used in old.refs:
                self._users[used].discard(ref)
                if not self._users[used]:
                    del self._users[used]
        if new is not None:
            size[0] += 1
            size[1] += len(new.body)
            for used in new.refs:
                self._users[used].add(ref)
            if origins := self._ask(ref):
                self._origins[ref] = origins
        else:
            self._origins.pop(ref, None)
        if ref.type_url == SCOPE:
            self._count_hosts(ref, old, new)
        elif ref.type_url == LISTENER:
            self._look(ref, new)

    def _count_hosts(self, ref: Ref, old: Resource | None, new: Resource | None) -> None:
        if not is_fallback(ref.name):
            self._scopes += (new is not None) - (old is not None)
        elif new is None:
            self._hosts.pop(ref, None)
        else:
            self._hosts[ref] = len(hosts_of(new))

    def _look(self, ref: Ref, new: Resource | None) -> None:
        self._kinds.pop(ref, None)
        self.named.pop(ref, None)
        if new is not None:
            self._kinds[ref] = kinds(new)
            if name := sockets(new):
                self.named[ref] = name
