"""Gates: what the counts of a candidate and of its control say: go back, wait, or nothing against it.

Pure. `rollout.tallies` makes the counts, `rollout.evidence` weighs them, `rollout.comparison` holds the soft gates;
`rollout.conductor` acts on a `Look`. The same looks lead to the same decisions, whoever repeats them
(`seawall rollout replay`), also from a state that was put away.

    gates = Gates(policy)
    gates.begin("canary")                      # soft gates start afresh, hard gates remember the whole rollout
    look = gates.look(new, old, at)            # every few seconds
    look.tripped → roll back      look.holding → not yet      neither → may go on

**α is spent once for a rollout.** Each hard gate is one e-process from the first look to the last, through all stages; at
each look their weighed mean is held against 1/α. The mean of e-processes is an e-process however they depend on each other,
so by Ville's inequality the chance that a candidate within the tolerance is ever thrown back is at most α, over all gates
and all looks. (Weighed and left: α split over gates and stages. A rollout of 9 gates and 5 stages would have to reach 45/α
each time, and a slow fault would start from nothing at each stage.) A part of the stake stays in cash and joins when a new
stage begins, and in small change between: a fault that sleeps until then is still found soon.

**Without a control** (all edges have the candidate) there is nothing to compare with: only absolute gates are left, and
the evidence says `control: 0`. Yesterday's counts are no control.
"""

from math import isfinite, log
from typing import Literal

import msgspec

from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.kit.units import Instant
from seawall.rollout import comparison, evidence
from seawall.rollout.comparison import SOFT, Comparison
from seawall.rollout.events import Counts
from seawall.rollout.evidence import Evidence


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A hard gate says no: `reason` is a sentence for people, `value` what was measured."""

    gate: str
    reason: str
    value: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look has found. `holding` are sentences that begin with the name of their gate (`cpu: …`)."""

    tripped: tuple[Trip, ...] = ()
    holding: tuple[str, ...] = ()
    evidence: dict[str, float] = {}


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A hard gate on a share. `weight`: its part of the stake. `rise`, or `fall`: protection that was switched off."""

    gate: str
    bad: str
    total: str
    weight: float
    said: str
    direction: Literal["rise", "fall"] = "rise"


HARD = (
    Pair(gate="errors", bad="errors", total="requests", weight=0.6, said="requests got a 5xx"),
    Pair(
        gate="connect_failures",
        bad="connect_failures",
        total="upstream_requests",
        weight=0.05,
        said="requests to backends found no connection",
    ),
    Pair(gate="handshakes", bad="handshake_failures", total="handshakes", weight=0.05, said="TLS handshakes failed"),
    Pair(gate="filter_errors", bad="filter_errors", total="requests", weight=0.1, said="requests met a failing filter"),
    Pair(gate="slow", bad="slow", total="requests", weight=0.08, said="requests were slow"),
    Pair(
        gate="retries", bad="retries", total="upstream_requests", weight=0.05, said="requests to backends were retries"
    ),
    Pair(gate="not_found", bad="not_found", total="requests", weight=0.03, said="requests got a 404"),
    Pair(gate="denied", bad="denied", total="requests", weight=0.02, said="requests were denied"),
    Pair(gate="undenied", bad="denied", total="requests", weight=0.02, said="requests were denied", direction="fall"),
)
"""5xx weighs most because most faults end there; e-values are multiplied by their weights, which sum up to 1."""

RESERVE = 0.1
AT_STAGE = 1 / 3
"""Cash at the beginning, and the part of what is left that joins at each stage after the first."""
FILTER_SHARE, FILTER_ERRORS, FILTER_CONTROL = 0.05, 10.0, 2000.0
"""Filters fail without doubt: this share of a look's requests and so many, at two looks running, where the control of this
rollout had none among so many requests. The only gate on shares that still works without a control."""

_Sums = tuple[float, float, float, float]


class GatesState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a `Gates` remembers; may be kept as JSON or MessagePack. `sums` and `soft` are those of the stage."""

    stage: str = ""
    hard: dict[str, Evidence] = {}
    sums: dict[str, _Sums] = {}
    soft: dict[str, Comparison] = {}
    looks: int = 0
    has_failed_journeys: bool = False
    has_failed_filters: bool = False
    control_requests: float = 0.0
    control_filter_errors: float = 0.0


class Gates:
    """Watches one rollout from its first canary to its end. The policy is the one that the rollout began with."""

    def __init__(self, policy: GatePolicy) -> None:
        self._policy = policy
        self._state = GatesState(hard={pair.gate: evidence.begin(policy.tolerance, RESERVE) for pair in HARD})

    def begin(self, stage: str) -> None:
        """A stage begins: what is compared once per stage is compared anew. Repeated, it changes nothing."""
        before = self._state
        if stage == before.stage:
            return
        hard = before.hard
        if before.looks:
            hard = {gate: each.invested(AT_STAGE) for gate, each in hard.items()}
        self._state = msgspec.structs.replace(before, stage=stage, hard=hard, sums={}, soft={})

    def look(self, new: Counts, old: Counts, at: Instant) -> Look:
        """Weigh what both arms have counted since the look before. `old.edges == 0`: there is no control."""
        for name, arm in (("candidate", new), ("control", old)):
            if strange := _nonsense(arm):
                said = f"counts: {strange} of the {name} cannot be; this look was left out."
                return Look(holding=(said,), evidence={"at": at, "control": float(old.edges > 0)})
        before = self._state
        self._learn(new, old)
        merged = evidence.average((pair.weight, self._state.hard[pair.gate]) for pair in HARD)
        journeys, waiting = _journeys(new, old, before, self._state)
        memory, crowded = _memory(new, old, self._policy.memory_share)
        is_filter_failing = before.has_failed_filters and self._state.has_failed_filters
        tripped = (
            *(self._shares() if merged >= -log(self._policy.alpha) else ()),
            *journeys,
            *memory,
            *(_failing_filters(new) if is_filter_failing else ()),
        )
        holding = (*waiting, *crowded, *self._held(new, old))
        return Look(tripped=tripped, holding=holding, evidence=self._evidence(merged, new, old, at))

    def state(self) -> GatesState:
        """Return what must be kept to go on from here."""
        return self._state

    @classmethod
    def restore(cls, policy: GatePolicy, state: GatesState) -> "Gates":
        """Go on from a state."""
        gates = cls(policy)
        gates._state = state
        return gates

    def requests(self) -> float:
        """Say how many requests the candidate has served in this stage."""
        return self._state.sums.get("errors", (0.0, 0.0, 0.0, 0.0))[1]

    def _learn(self, new: Counts, old: Counts) -> None:
        before, arms = self._state, (new, old)
        hard, sums = dict(before.hard), dict(before.sums)
        for pair in HARD:
            seen = _seen(pair, new, old)
            had = sums.get(pair.gate, (0.0, 0.0, 0.0, 0.0))
            sums[pair.gate] = (had[0] + seen[0], had[1] + seen[1], had[2] + seen[2], had[3] + seen[3])
            bad, total, control_bad, control_total = seen if pair.direction == "rise" else (*seen[2:], *seen[:2])
            burst = self._policy.dispersion
            hard[pair.gate] = hard[pair.gate].after(bad / burst, total, control_bad / burst, control_total)
        soft = before.soft
        if new.edges and old.edges:
            tolerance = self._policy.tolerance
            soft = {
                gate: comparison.compare(gate, before.soft.get(gate, Comparison()), arms, tolerance) for gate in SOFT
            }
        counted = msgspec.structs.replace(
            before,
            hard=hard,
            sums=sums,
            soft=soft,
            looks=before.looks + 1,
            control_requests=before.control_requests + old.counts.get("requests", 0.0),
            control_filter_errors=before.control_filter_errors + old.counts.get("filter_errors", 0.0),
        )
        self._state = msgspec.structs.replace(
            counted,
            has_failed_journeys=_have_journeys_failed(new, before.has_failed_journeys),
            has_failed_filters=_have_filters_failed(new, counted),
        )

    def _shares(self) -> tuple[Trip, ...]:
        """Name the gates that brought the mean so high: at least one holds its share of it."""
        needed = -log(self._policy.alpha) - log(len(HARD))
        return tuple(
            Trip(
                gate=pair.gate,
                reason=_sentence(pair, self._state.sums[pair.gate], self._policy.alpha),
                value=evidence.e_value(self._state.hard[pair.gate].log),
            )
            for pair in HARD
            if log(pair.weight) + self._state.hard[pair.gate].log >= needed
        )

    def _held(self, new: Counts, old: Counts) -> tuple[str, ...]:
        """Say what is missing before this stage may end. No data is no reason to go on."""
        held = []
        if not new.edges:
            held.append("traffic: no edge on the candidate has counted anything since the last look.")
        elif not self.requests():
            held.append(
                "traffic: the candidate has served no request in this stage; without visitors, give it journeys."
            )
        if old.edges or self._state.soft:
            verdicts = ((gate, self._state.soft.get(gate, Comparison()).verdict) for gate in SOFT)
            held += [f"{gate}: {_SOFT_SAID[verdict]}" for gate, verdict in verdicts if verdict in _SOFT_SAID]
        return tuple(held)

    def _evidence(self, merged: float, new: Counts, old: Counts, at: Instant) -> dict[str, float]:
        found = {
            "at": at,
            "e": evidence.e_value(merged),
            "needed": 1 / self._policy.alpha,
            "control": float(old.edges > 0),
            "edges.new": float(new.edges),
            "edges.old": float(old.edges),
            "requests.new": self.requests(),
            "memory.new": new.memory_forecast,
            "memory.old": old.memory_forecast,
        }
        for pair in HARD:
            bad, total, control_bad, control_total = self._state.sums[pair.gate]
            found[f"{pair.gate}.e"] = evidence.e_value(self._state.hard[pair.gate].log)
            found[f"{pair.gate}.new"] = bad / total if total else 0.0
            found[f"{pair.gate}.old"] = control_bad / control_total if control_total else 0.0
        for gate in SOFT:
            compared = self._state.soft.get(gate)
            if compared is not None and compared.differences:
                found[f"{gate}.allowed"] = compared.middle
        return found


_SOFT_SAID = {
    "worse": "the candidate does worse than its control, beyond what is allowed; it waits for people or for the time limit.",
    "inconclusive": "the looks so far do not show that the candidate does as well as its control.",
    "early": f"compared from the {comparison.FIRST_TEST}th look on that has data.",
    "one-sided": "only one of the arms reports it: no data is no reason to go on.",
}


def _seen(pair: Pair, new: Counts, old: Counts) -> _Sums:
    return (
        new.counts.get(pair.bad, 0.0),
        new.counts.get(pair.total, 0.0),
        old.counts.get(pair.bad, 0.0),
        old.counts.get(pair.total, 0.0),
    )


def _sentence(pair: Pair, sums: _Sums, alpha: float) -> str:
    bad, total, control_bad, control_total = sums
    return (
        f"{_percent(bad, total)} of {total:,.0f} {pair.said} on the candidate, {_percent(control_bad, control_total)} "
        f"of {control_total:,.0f} on its control: {'fewer' if pair.direction == 'fall' else 'more'} than the tolerance "
        f"and chance explain (1 in {1 / alpha:,.0f})."
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "none"


def _have_journeys_failed(new: Counts, before: bool) -> bool:
    """A look without journeys neither proves nor clears."""
    if not new.counts.get("journeys", 0.0):
        return before
    return new.counts.get("journey_failures", 0.0) > 0


def _journeys(
    new: Counts, old: Counts, before: GatesState, now: GatesState
) -> tuple[tuple[Trip, ...], tuple[str, ...]]:
    """Trip where a journey fails twice running on one edge. `Tallies` says so in `journey_failures_again`; of counts that
    do not say it, any failure at two looks running counts. Where the control's fail, too, it is not the candidate."""
    failures = new.counts.get("journey_failures", 0.0)
    is_twice = bool(failures) and before.has_failed_journeys and now.has_failed_journeys
    if not new.counts.get("journey_failures_again", is_twice):
        return (), ()
    if old.counts.get("journey_failures", 0.0):
        return (), ("journeys: they fail on the control as well; look at the backends.",)
    said = f"{failures:,.0f} of {new.counts.get('journeys', 0.0):,.0f} journeys failed, as at the look before."
    return (Trip(gate="journeys", reason=said, value=failures),), ()


def _memory(new: Counts, old: Counts, limit: float) -> tuple[tuple[Trip, ...], tuple[str, ...]]:
    forecast, control = max(new.memory_forecast, new.memory_share), max(old.memory_forecast, old.memory_share)
    if forecast <= limit:
        return (), ()
    if old.edges and control > limit:
        both = (
            f"memory: both arms will be above {limit:.0%} of their limit within 30 minutes: give the edges more memory."
        )
        return (), (both,)
    said = f"an edge on the candidate will hold {forecast:.0%} of its memory limit within 30 minutes, allowed are {limit:.0%}."
    return (Trip(gate="memory", reason=said, value=forecast),), ()


def _have_filters_failed(new: Counts, counted: GatesState) -> bool:
    errors, requests = new.counts.get("filter_errors", 0.0), new.counts.get("requests", 0.0)
    is_clean = not counted.control_filter_errors and counted.control_requests >= FILTER_CONTROL
    return is_clean and errors >= FILTER_ERRORS and errors >= FILTER_SHARE * requests


def _failing_filters(new: Counts) -> tuple[Trip, ...]:
    errors, requests = new.counts.get("filter_errors", 0.0), new.counts.get("requests", 0.0)
    said = f"filters failed {errors:,.0f} times in {requests:,.0f} requests on the candidate, never on its control."
    return (Trip(gate="filter_errors", reason=said, value=errors),)


def _nonsense(arm: Counts) -> str:
    """Name a number that no counting can give, empty if there is none."""
    gauges = {"memory_share": arm.memory_share, "memory_forecast": arm.memory_forecast, "cpu": arm.cpu_per_request}
    numbers = {**arm.counts, **gauges, "edges": float(arm.edges)}
    return next((f"{name} {each}" for name, each in numbers.items() if not (isfinite(each) and each >= 0)), "")
