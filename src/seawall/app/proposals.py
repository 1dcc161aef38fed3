"""Proposals: a compiled snapshot becomes a bundle with a report: what differs from what runs, how risky, what guards say.

    snapshot ─▶ shelf (bundle) ─▶ envoy.diff ─▶ guards ─┬─ nothing to keep ─▶ (bundle, report)
                                                        └─ some of it must stay as it was ─▶ another bundle, once more

Where a guard can name what should stay (a backend that would become empty, hosts beyond the delete budget), that stays and
everything else goes out: one wrong object holds nobody else up.
"""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from seawall.app.offline import Offline
from seawall.app.shelf import Item, Shelf
from seawall.app.standins import Certificate
from seawall.envoy.diff import keep
from seawall.envoy.diff.compare import Compared, Comparer, Connections, compare
from seawall.fleet.bundle import Limits
from seawall.gateway.graph import ObjectKey
from seawall.gateway.resources.perimeter import PerimeterSpec, bytes_of
from seawall.kit.units import Instant
from seawall.rollout.change import ChangeReport, GuardResult, Override
from seawall.rollout.guards.question import Drill, EdgeFact, Proven, Question
from seawall.rollout.guards.registry import judge
from seawall.xds.resource import Ref
from seawall.xds.snapshot import EMPTY, Snapshot

Origins = Callable[[Ref], tuple[str, ...]]
Newest = Callable[[tuple[str, ...], str], tuple[str, ...]]
Share = Callable[[Collection[str]], float | None]
_HOSTS = {"host", "route"}
_SILENT = {"endpoints", "secret"}
"""What changes nothing that a client of a stand-in backend could see."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What guards ask beside the change itself."""

    overrides: tuple[Override, ...] = ()
    edges: tuple[EdgeFact, ...] = ()
    peak: float | None = None
    proven: tuple[Proven, ...] = ()
    drills: tuple[Drill, ...] = ()
    is_described: bool = True
    """There is a Perimeter; without one nobody has asked for stages."""


class Proposals:
    """Compares one candidate after the other with what runs, at the cost of what differs."""

    def __init__(
        self,
        shelf: Shelf,
        origins: Origins,
        surroundings: Callable[[], Surroundings] = Surroundings,
        connections: Connections = lambda socket: -1,
        share: Share = lambda hosts: None,
        newest: Newest = lambda origins, version: (),
    ) -> None:
        """`connections` says how many connections of a socket are open now; -1: nobody knows. `share` says what part of the
        last hour's requests went to some hosts; None: nobody counted. `newest` says which objects were written last."""
        self._shelf = shelf
        self._connections = connections
        self._comparer = Comparer(origins, connections=connections)
        self._surroundings = surroundings
        self.share = share
        self._newest = newest

    def propose(
        self, snapshot: Snapshot, base: Item | None, spec: PerimeterSpec, at: Instant
    ) -> tuple[Item, ChangeReport]:
        """Make the bundle that may go out, and say what it changes."""
        limits = limits_of(spec)
        item = self._shelf.make(snapshot, limits, at)
        report = self._judged(base, item, spec, at)
        kept = _kept(report.guards)
        if base is None or not kept:
            return item, report
        adjusted = keep.kept(base.snapshot, snapshot, kept)
        item = self._shelf.make(adjusted, limits, at)
        partial = self._judged(base, item, spec, at)
        return item, msgspec.structs.replace(partial, guards=_merged(partial.guards, report.guards))

    def compare(self, base: Item | None, found: Offline, spec: PerimeterSpec, at: Instant) -> ChangeReport:
        """Compare other manifests with what runs."""
        described = found.resolver.graph.perimeter
        spec = described.spec if described is not None else spec
        before = base.snapshot if base is not None else EMPTY
        names = (base.name if base is not None else "", "")
        comparer = Comparer(found.builder.origins, connections=self._connections)
        compared = comparer.compare(before, found.builder.snapshot, names=names)
        return shared(judged(compared, spec, Surroundings(is_described=described is not None), at), self.share)

    def _judged(self, base: Item | None, item: Item, spec: PerimeterSpec, at: Instant) -> ChangeReport:
        before = base.snapshot if base is not None else EMPTY
        limits = (base.bundle.limits if base is not None else item.bundle.limits, item.bundle.limits)
        names = (base.name if base is not None else "", item.name)
        compared = self._comparer.compare(before, item.snapshot, limits=limits, names=names)
        report = judged(compared, spec, self._surroundings(), at)
        newest = self._newest(report.origins, item.snapshot.version)
        return msgspec.structs.replace(shared(report, self.share), newest=newest)


def judged(compared: Compared, spec: PerimeterSpec, around: Surroundings, at: Instant) -> ChangeReport:
    """Ask the guards."""
    new = frozenset(one.kind for one in compared.facts.new_filters)
    question = Question(
        report=compared.report,
        facts=compared.facts,
        at=at,
        spec=spec,
        overrides=around.overrides,
        edges=around.edges,
        peak=around.peak,
        proven=around.proven,
        drills=around.drills,
        known_filters=frozenset() if around.is_described else new,
    )
    return msgspec.structs.replace(compared.report, guards=judge(question))


def shared(report: ChangeReport, share: Share) -> ChangeReport:
    """Say what part of the last hour's requests went to the hosts that the change touches."""
    blast = msgspec.structs.replace(report.blast, share=share(touched(report)))
    return msgspec.structs.replace(report, blast=blast)


def touched(report: ChangeReport) -> frozenset[str]:
    """Name the hosts whose answers may change; `*` is all of them."""
    if report.is_cut or any(one.subject not in _HOSTS | _SILENT for one in report.differences):
        return frozenset("*")
    return frozenset(one.name.rsplit(":", 1)[0] for one in report.differences if one.subject in _HOSTS)


def let_pass(report: ChangeReport) -> ChangeReport:
    """The same change, when it has gone out already: what would have stopped it is a warning."""
    guards = tuple(
        msgspec.structs.replace(one, verdict="warn") if one.verdict in ("hold", "refuse") else one
        for one in report.guards
    )
    return msgspec.structs.replace(report, guards=guards)


def limits_of(spec: PerimeterSpec) -> Limits:
    """Read what Envoy is started with on every edge."""
    memory = spec.memory
    return Limits(
        max_heap=bytes_of(memory.max_heap) if memory.max_heap else 0, max_connections=memory.max_connections or 0
    )


def compare_folders(before: Path, after: Path) -> ChangeReport:
    """Compare two folders of manifests; nothing runs. Raises ConfigError if there is nothing to read."""
    certificates: dict[tuple[ObjectKey, str], Certificate] = {}
    old, new = Offline(before, certificates=certificates), Offline(after, certificates=certificates)
    described = new.resolver.graph.perimeter
    spec = described.spec if described is not None else PerimeterSpec()
    compared = compare(old.builder.snapshot, new.builder.snapshot, origins=new.builder.origins)
    return judged(compared, spec, Surroundings(is_described=described is not None), Instant(0.0))


def _kept(guards: Iterable[GuardResult]) -> tuple[Ref, ...]:
    return tuple(dict.fromkeys(ref for one in guards if one.verdict == "hold" and not one.override for ref in one.keep))


def _merged(guards: Iterable[GuardResult], before: Iterable[GuardResult]) -> tuple[GuardResult, ...]:
    """What was kept back is a warning now: it did not stop the rest."""
    said = {one.guard: one for one in before if one.keep and one.verdict == "hold" and not one.override}
    return tuple(
        msgspec.structs.replace(said[one.guard], verdict="warn") if one.guard in said and one.verdict == "pass" else one
        for one in guards
    )
