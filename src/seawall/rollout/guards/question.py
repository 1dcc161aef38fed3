"""Question: all that a guard may look at, and the shape of its answer.

Pure data. `envoy.diff` fills `Facts`; `app` adds what only it knows: the edges, the history, the clock.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport, Override
from seawall.xds.resource import Ref, TypeUrl

Counted = Literal["hosts", "listeners", "clusters"]


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of a type."""

    resources: int = 0
    bytes: int = 0


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What goes, of so many that there were. A host that only moves to another socket does not go."""

    kind: Counted
    names: tuple[str, ...]
    total: int
    left: int
    refs: tuple[Ref, ...] = ()


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stays in use and has nothing in it any more; `had` so many things before."""

    what: Literal["endpoints", "routes", "trust bundle"]
    name: str
    had: int
    refs: tuple[Ref, ...]
    origins: tuple[str, ...] = ()


class NewFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of filter that no listener of the base had."""

    kind: str
    place: str
    origins: tuple[str, ...] = ()


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """A regular expression of a changed route, with the size of its RE2 program; -1: RE2 does not take it."""

    pattern: str
    size: int
    place: str
    origins: tuple[str, ...] = ()


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A resource of the candidate needs another one that is not in it."""

    user: Ref
    needs: Ref


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What only a look into the two configurations tells. `named_sockets` are listeners whose address has to be looked up."""

    before: Mapping[TypeUrl, Size] = {}
    after: Mapping[TypeUrl, Size] = {}
    removed: tuple[Removed, ...] = ()
    emptied: tuple[Emptied, ...] = ()
    new_filters: tuple[NewFilter, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    missing: tuple[Missing, ...] = ()
    named_sockets: tuple[str, ...] = ()
    unbudgeted: tuple[str, ...] = ()
    """Clusters whose retries have no budget."""
    is_first: bool = False
    """There was nothing before: nothing can shrink, nobody is served yet."""


class EdgeFact(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge has said of itself. `memory_limit` is read from the live cgroup; 0: none or unknown."""

    name: str
    region: str = ""
    memory_limit: int = 0


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """A switch was tried in a position."""

    switch: str
    is_on: bool
    at: Instant


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """Data that was fetched from elsewhere: does it fit its schema, and how big was it last time? `problem` empty: it fits."""

    name: str
    problem: str = ""
    size: int = 0
    previous_size: int = 0


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A last-known-good as it lies in the history: `content_now` is what its bytes are now, to be what they were."""

    bundle: str
    content: str
    content_now: str
    is_baked: bool


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """How the candidate came: built here, or brought signed by `key`. `stated_base`: what its author compared it with."""

    is_built_here: bool = True
    key: str = ""
    trusted: frozenset[str] = frozenset()
    stated_base: str = ""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How edges come back: jitter of reconnects, streams admitted a second."""

    jitter: Seconds = Seconds(5.0)
    streams_per_second: float = 200.0


class ApiLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What our own API lets one client do, and what it keeps free for operators."""

    requests_per_second: float = 50.0
    operator_share: float = 0.1


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """May this change go out?

    Args:
        edges: all that are part of the perimeter.
        peak: requests per second over all edges at the busiest time; None where nobody counted.
        known_filters: kinds of filters that have run on this perimeter before, whenever.
        probed: tenants that get synthetic requests (the sandbox's, or journeys that were seen to pass).
        shards: the edges of each tenant; None: no sharding.
        warned: guards that have given their standing warning already.
    """

    report: ChangeReport
    facts: Facts
    at: Instant
    spec: PerimeterSpec = PerimeterSpec()
    overrides: tuple[Override, ...] = ()
    edges: tuple[EdgeFact, ...] = ()
    peak: float | None = None
    known_filters: frozenset[str] = frozenset()
    drills: tuple[Drill, ...] = ()
    pulled: tuple[Pulled, ...] = ()
    proven: tuple[Proven, ...] = ()
    probed: frozenset[str] = frozenset()
    shards: Mapping[str, frozenset[str]] | None = None
    warned: frozenset[str] = frozenset()
    provenance: Provenance = Provenance()
    recovery: Recovery = Recovery()
    api: ApiLimits = ApiLimits()

    @property
    def is_staged(self) -> bool:
        return self.spec.rollout.strategy == "staged"

    @property
    def unstaged(self) -> Literal["warn", "hold"]:
        """What to say of a change that wants stages and has none. A single edge has no stages to offer: it is only told."""
        return "hold" if len(self.edges) > 1 else "warn"


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """Why not, and what to do about it. `keep`: let these stay as they were, and the rest may go."""

    verdict: Literal["warn", "hold", "refuse"]
    message: str
    remedy: str
    keep: tuple[Ref, ...] = ()


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with a number and a name. `where`: what else of it acts at run time, and in which room."""

    id: str
    title: str
    rule: str
    where: str
    outage: str
    check: Callable[[Question], Objection | None]
    is_liftable: bool = True


_MOST_NAMES = 5


def listed(names: tuple[str, ...]) -> str:
    """Write names for a sentence, the first few."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def blamed(origins: tuple[str, ...]) -> str:
    """Name the objects that something was built from, in brackets, where anybody knows them."""
    return f" (from {listed(origins)})" if origins else ""
