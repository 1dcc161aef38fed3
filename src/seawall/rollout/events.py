"""What the rollout machine hears, and what it says.

Pure. Every event is written to the history before it is handled, so the history is the state: whoever reads it again
comes to the same decisions (`seawall rollout replay`), and a new leader goes on where the last one stopped.

Actions are wishes about the world, safe to repeat: `app.rollouts` carries them out, also twice.
"""

from typing import Literal

import msgspec

from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport, Override

Stage = Literal["guards", "sandbox", "canary", "cell", "region", "quarter", "half", "all", "bake"]
"""S0, S1, S3 … S9. The taster (S2) runs on each edge as its wave reaches it."""
Verb = Literal[
    "promote", "pause", "resume", "abort", "back", "unpin", "approve", "override", "freeze", "thaw", "emergency"
]


class EdgePlace(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of the fleet: where it stands, and since when its Envoy runs (canary and control are to be of equal age)."""

    edge: str
    region: str = ""
    cell: str = ""
    since: Instant = Instant(0.0)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm has counted between two looks: sums of `fleet.wire.COUNTS` over its edges, and how many edges."""

    edges: int
    counts: dict[str, float]
    memory_share: float = 0.0
    """The worst edge's memory as a share of its limit."""
    memory_forecast: float = 0.0
    """The same in 30 minutes at the slope of the last minutes."""
    cpu_per_request: float = 0.0
    """Seconds of CPU, over all edges of the arm."""


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Configured(msgspec.Struct, frozen=True, kw_only=True, tag="configured"):
    """The perimeter is described anew (or for the first time): strategy, cells, pace, gates, freezes."""

    at: Instant
    spec: PerimeterSpec


class Proposed(msgspec.Struct, frozen=True, kw_only=True, tag="proposed"):
    """A new candidate: compiled, compared with `report.base`, judged by the guards. `rollout` is its id."""

    at: Instant
    rollout: str
    report: ChangeReport
    author: str = "source"
    reason: str = ""


class SandboxFinished(msgspec.Struct, frozen=True, kw_only=True, tag="sandbox_finished"):
    """The real Envoy on the control plane's host has tried the candidate."""

    at: Instant
    rollout: str
    is_passed: bool
    reason: str = ""


class Joined(msgspec.Struct, frozen=True, kw_only=True, tag="joined"):
    """An edge is there, running `bundle` (empty: nothing yet). `kept` are the bundles on its disk."""

    at: Instant
    place: EdgePlace
    bundle: str = ""
    kept: tuple[str, ...] = ()


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag="lost"):
    """An edge's stream has ended or it has been silent for more than ten seconds.

    `heard_at` is when it was heard last, if known: an agent that restarts is back before its silence counts against what
    its edge runs. Without it, the silence counts at once.
    """

    at: Instant
    edge: str
    reason: str = ""
    heard_at: Instant = Instant(0.0)


class EdgeTasted(msgspec.Struct, frozen=True, kw_only=True, tag="edge_tasted"):
    at: Instant
    edge: str
    bundle: str


class EdgeApplied(msgspec.Struct, frozen=True, kw_only=True, tag="edge_applied"):
    """The async barrier: Envoy has acknowledged every type and the agent's own work is done. With `rejections` Envoy
    refused a part of it: a hard failure."""

    at: Instant
    edge: str
    bundle: str
    rejections: tuple[str, ...] = ()


class EdgeRefused(msgspec.Struct, frozen=True, kw_only=True, tag="edge_refused"):
    """See `fleet.wire.Refused`."""

    at: Instant
    edge: str
    bundle: str
    by: str
    reason: str


class EdgeDied(msgspec.Struct, frozen=True, kw_only=True, tag="edge_died"):
    """Envoy on this edge crashed, was killed, or fell back."""

    at: Instant
    edge: str
    bundle: str
    reason: str


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag="counted"):
    """One look at the gates: what the edges on the candidate and those on the base counted since the look before."""

    at: Instant
    rollout: str
    new: Counts
    old: Counts


class Commanded(msgspec.Struct, frozen=True, kw_only=True, tag="commanded"):
    """Somebody has said something. `bundle`: for `back`, empty for the newest last-known-good. `override`: for `override`.
    `until`: for `freeze` and `emergency`. `request`: for `approve`, the id of what is approved."""

    at: Instant
    verb: Verb
    who: str
    reason: str = ""
    rollout: str = ""
    bundle: str = ""
    until: Instant = Instant(0.0)
    request: str = ""
    override: Override | None = None


class Ticked(msgspec.Struct, frozen=True, kw_only=True, tag="ticked"):
    at: Instant


Event = (
    Configured
    | Proposed
    | SandboxFinished
    | Joined
    | Lost
    | EdgeTasted
    | EdgeApplied
    | EdgeRefused
    | EdgeDied
    | Counted
    | Commanded
    | Ticked
)


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RunSandbox(msgspec.Struct, frozen=True, kw_only=True, tag="run_sandbox"):
    """Try `candidate` beside `base` for at least so long, and say `SandboxFinished`."""

    rollout: str
    base: str
    candidate: str
    seconds: Seconds


class Assign(msgspec.Struct, frozen=True, kw_only=True, tag="assign"):
    """These edges run this bundle from now on. The last word on each edge counts."""

    edges: tuple[str, ...]
    bundle: str
    stage: str
    rollout: str = ""
    taste: Seconds = Seconds(0.0)
    is_proven: bool = False


class Decide(msgspec.Struct, frozen=True, kw_only=True, tag="decide"):
    """Tell people: a sentence for a tired person, and the numbers behind it. Written to the history as well."""

    rollout: str
    stage: str
    decision: Literal["begin", "advance", "hold", "roll_back", "complete", "refuse", "queue", "note"]
    reason: str
    evidence: dict[str, float] = {}


class MarkGood(msgspec.Struct, frozen=True, kw_only=True, tag="mark_good"):
    """The bundle has baked: it is last-known-good now, immutable, and every edge keeps it."""

    bundle: str


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, tag="quarantine"):
    """Suspects: hold the newest of these objects at what they were in `base`, so that everything else can go on. `are_all`:
    nothing else has changed, so that it helps only if some are newer than others."""

    rollout: str
    base: str
    origins: tuple[str, ...]
    reason: str
    are_all: bool = False


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag="finish"):
    """The rollout is over."""

    rollout: str
    outcome: Literal["completed", "rolled_back", "aborted", "refused", "superseded"]
    reason: str = ""


class Compare(msgspec.Struct, frozen=True, kw_only=True, tag="compare"):
    """What runs now is not what this candidate was compared with (or somebody wants it tried once more): compare it with
    `base` and say `Proposed` with this id. Saying `Proposed` for something newer instead is as good."""

    rollout: str
    base: str
    candidate: str


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """Tell whoever gave a command what has become of it: exactly one for each `Commanded`. `request` is set where a second
    person must approve it first."""

    who: str
    verb: Verb
    is_accepted: bool
    reason: str
    rollout: str = ""
    request: str = ""


Action = RunSandbox | Assign | Decide | MarkGood | Quarantine | Finish | Compare | Answer
