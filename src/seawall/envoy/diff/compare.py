"""Compare: two snapshots in, a report for people and facts for guards out.

Pure. Costs what differs: `Comparer` keeps the base's `Standing`; the function `compare` makes one for a single question.

    Change ─▶ each (old, new) ─decode─▶ notes ─▶ ChangeReport (risk, blast)
                                              └▶ Facts (sizes, removed, emptied, …) ─▶ rollout.guards
"""

from collections import Counter
from collections.abc import Callable, Set
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from seawall.envoy.diff import backends, hosts, listeners, rest
from seawall.envoy.diff.notes import Notes
from seawall.envoy.diff.standing import Origins, Standing, Totals
from seawall.envoy.diff.words import host_name, tenant
from seawall.fleet.bundle import Limits
from seawall.rollout.change import MOST_DIFFERENCES, Blast, ChangeReport, Difference
from seawall.rollout.guards.question import Counted, Facts, Missing, Removed
from seawall.rollout.risk import RISKS, sum_up
from seawall.xds.resource import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, RUNTIME, SCOPE, SECRET, Ref, Resource, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot

Share = Callable[[Set[str]], float | None]
"""The part of the last hour's requests that went to these hosts (`shop.example:443`); None if nobody counted."""
Connections = Callable[[str], int]
"""How many connections a socket has open now; -1: unknown."""
_One = Callable[[Ref, Resource | None, Resource | None, tuple[str, ...], Notes], None]

_COMPARE: Final[dict[TypeUrl, _One]] = {
    LISTENER: listeners.compare,
    SCOPE: hosts.compare,
    CLUSTER: backends.cluster,
    ENDPOINTS: backends.endpoints,
    SECRET: backends.secret,
    RUNTIME: rest.runtime,
    EXTENSION: rest.extension,
}
_MANY = 500
_NO_LIMITS = (Limits(), Limits())


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What differs, for people (no guard has been asked yet) and for guards."""

    report: ChangeReport
    facts: Facts


def compare(
    base: Snapshot,
    candidate: Snapshot,
    *,
    origins: Origins,
    limits: tuple[Limits, Limits] = _NO_LIMITS,
    share: Share = lambda hosts: None,
) -> Compared:
    """Compare two snapshots once; walks over all of both. `Comparer` is for whoever asks again."""
    return Comparer(origins, share).compare(base, candidate, limits=limits)


class Comparer:
    """Compares one snapshot after the other. The cheap way round: each candidate becomes the next base."""

    def __init__(
        self, origins: Origins, share: Share = lambda hosts: None, connections: Connections = lambda socket: -1
    ) -> None:
        self._standing = Standing(origins)
        self._share = share
        self._connections = connections

    def compare(
        self,
        base: Snapshot,
        candidate: Snapshot,
        *,
        limits: tuple[Limits, Limits] = _NO_LIMITS,
        names: tuple[str, str] | None = None,
        change: Change | None = None,
    ) -> Compared:
        """Compare; `names` are those of the bundles, `change` what turns base into candidate if the caller has it."""
        standing = self._standing
        standing.follow(base)
        before, known = standing.totals(), standing.filter_kinds()
        change = change if change is not None else candidate.difference(base)
        trace = {ref: standing.origins(ref) for ref in change.remove}
        standing.follow(candidate, change)
        notes = self._notes(base, change, trace)
        rest.limits(*limits, notes)
        facts = self._facts(notes, change, known, before)
        is_first = base is EMPTY or not len(base)
        names = names or (base.version if not is_first else "", candidate.version)
        return Compared(report=self._report(notes, names), facts=msgspec.structs.replace(facts, is_first=is_first))

    def _notes(self, base: Snapshot, change: Change, trace: dict[Ref, tuple[str, ...]]) -> Notes:
        notes = Notes()
        standing = self._standing
        pairs: list[tuple[Ref, Resource | None]] = [(one.ref, one) for one in change.put]
        pairs += [(ref, None) for ref in change.remove]
        for ref, new in pairs:
            old = base.get(ref)
            if ref.type_url == ENDPOINTS and self._goes_with_cluster(base, ref):
                continue
            notes.is_brief = len(notes.differences) > MOST_DIFFERENCES
            origins = standing.origins(ref) if new is not None else trace[ref]
            count = len(notes.differences)
            try:
                _COMPARE.get(ref.type_url, rest.unclassified)(ref, old, new, origins, notes)
            except (DecodeError, KeyError):
                del notes.differences[count:]
                rest.unclassified(ref, old, new, origins, notes)
        return notes

    def _goes_with_cluster(self, base: Snapshot, ref: Ref) -> bool:
        """Endpoints that come or go with their cluster are no news of their own."""
        cluster = backends.cluster_of(ref)
        return (base.get(cluster) is None) != (self._standing.snapshot.get(cluster) is None)

    def _report(self, notes: Notes, names: tuple[str, str]) -> ChangeReport:
        differences = sorted(notes.differences, key=lambda one: -RISKS.index(one.risk))
        origins = tuple(dict.fromkeys(origin for one in differences for origin in one.origins))
        tenants = tuple(sorted({name for name in map(tenant, origins) if name}))
        risk, why = sum_up(differences, tenants)
        touched, many = self._touched(notes, differences)
        total = self._standing.totals().hosts
        return ChangeReport(
            base=names[0],
            candidate=names[1],
            risk=risk,
            why=why,
            differences=tuple(differences[:MOST_DIFFERENCES]),
            counts=dict(sorted(Counter(f"{one.subject} {one.action}" for one in differences).items())),
            is_cut=len(differences) > MOST_DIFFERENCES,
            blast=Blast(
                hosts=max(len(touched), many),
                hosts_total=total,
                tenants=tenants,
                share=None if many else self._share(touched) if touched else 0.0,
                drained=tuple((name, self._connections(name.split(" ")[0])) for name in notes.drained),
            ),
            origins=origins,
        )

    def _touched(self, notes: Notes, differences: list[Difference]) -> tuple[set[str], int]:
        """Name the hosts that meet the change: their own, and those that use what changes; of endpoints that very many
        use only say how many: they change every second."""
        touched, many = set(notes.touched), 0
        for one in differences:
            if one.ref is None:
                continue
            if one.subject in ("cluster", "endpoints"):
                users = self._standing.users(Ref(CLUSTER, one.ref.name))
                if one.subject == "endpoints" and len(users) > _MANY:
                    many = max(many, len(users))
                    continue
                touched |= {host_name(user.name) for user in users if user.type_url == SCOPE}
            elif one.subject in ("listener", "filter"):
                scopes = self._standing.scopes_of(one.ref.name.replace(":", "."))
                touched |= {host_name(user.name) for user in scopes}
        return touched, many

    def _facts(self, notes: Notes, change: Change, known: frozenset[str], before: Totals) -> Facts:
        standing, after = self._standing, self._standing.totals()
        new_kinds = {one.kind: one for one in notes.filters if one.kind not in known}
        return Facts(
            before=before.sizes,
            after=after.sizes,
            removed=tuple(one for one in self._removed(notes, change, before, after) if one.names),
            emptied=tuple(one for one in notes.emptied if one.what != "endpoints" or self._is_used(one.refs)),
            new_filters=tuple(new_kinds.values()),
            patterns=tuple(notes.patterns),
            missing=self._missing(change),
            named_sockets=tuple(standing.named.values()),
            unbudgeted=tuple(notes.unbudgeted),
        )

    def _is_used(self, refs: tuple[Ref, ...]) -> bool:
        return any(self._standing.users(Ref(CLUSTER, ref.name)) for ref in refs)

    def _removed(self, notes: Notes, change: Change, before: Totals, after: Totals) -> list[Removed]:
        # A host that only moves to another port is not removed.
        come = {name.rpartition(":")[0] for name in notes.hosts_come}
        gone = {name: ref for name, ref in notes.hosts_gone.items() if name.rpartition(":")[0] not in come}
        found = [_removed("hosts", gone, before.hosts, after.hosts)]
        kinds: tuple[tuple[Counted, TypeUrl, int, int], ...] = (
            ("listeners", LISTENER, before.listeners, after.listeners),
            ("clusters", CLUSTER, before.clusters, after.clusters),
        )
        for kind, type_url, had, left in kinds:
            went = {str(ref.name): ref for ref in change.remove if ref.type_url == type_url}
            found.append(_removed(kind, went, had, left))
        return found

    def _missing(self, change: Change) -> tuple[Missing, ...]:
        """Find what a resource needs that is not there: among what came, and among the users of what went."""
        snapshot, users = self._standing.snapshot, self._standing.users
        found = [(one.ref, ref) for one in change.put for ref in one.refs if snapshot.get(ref) is None]
        found += [(user, ref) for ref in change.remove for user in users(ref)]
        return tuple(Missing(user=user, needs=ref) for user, ref in dict.fromkeys(found))


def _removed(kind: Counted, gone: dict[str, Ref], had: int, left: int) -> Removed:
    return Removed(kind=kind, names=tuple(gone), total=had, left=left, refs=tuple(dict.fromkeys(gone.values())))
