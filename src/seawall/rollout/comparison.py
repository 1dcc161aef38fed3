"""Comparison: is the candidate as quick and as thrifty as its control? Soft gates: they hold a stage, nothing more.

Pure. Each look gives one difference to what is allowed; below zero is fine. A rank test is asked at a few fixed looks of a
stage (the 5th, 10th, 15th, 20th, 30th, 40th …: a longer stage, or one that is held, knows more), never at each: tests of this
kind must not be peeked at. Next room: `rollout.gates`.
"""

from math import log
from statistics import median
from typing import Literal

import msgspec

from seawall.rollout.events import Counts
from seawall.rollout.evidence import signed_rank

FIRST_TEST = 5
"""The fewest differences of which a rank test at 5 % can say anything: 1 in 32."""
MOST = 640
ENOUGH = 10
"""After so many looks it is enough that the middle one is within what is allowed, and no test says otherwise."""
LEVEL = 0.05
COSTLIER = 1.25
"""CPU per request and memory per connection may be so many times the control's."""
SLOWER = 0.005
"""The share of slow answers may be more by this much, beside the tolerance: with less, an edge with 100 requests/s could not
prove itself within a minute or two. The hard gate `slow` knows no such allowance, and more patience."""
IDLE_REQUESTS = 250.0
"""An Envoy without traffic burns in one look what so many requests cost; else a quiet edge would seem a wasteful one."""
FEWEST_REQUESTS = IDLE_REQUESTS / 3
"""With fewer on each edge in a look, idle work is so much of the CPU that a doubled cost of each request stays within what is
allowed: the comparison would show nothing but noise, and hold good candidates for it."""
IDLE_CONNECTIONS = 1000.0
"""An Envoy without connections holds the memory of so many."""

SOFT = ("latency", "cpu", "memory")
Verdict = Literal["fine", "worse", "inconclusive", "early", "one-sided", "unmeasured"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One measure in one stage. `missing` counts looks at which only one of the arms had it, `quiet` those that had too little
    to say anything."""

    differences: tuple[float, ...] = ()
    missing: int = 0
    quiet: int = 0
    tested: Literal["fine", "worse", "inconclusive", "early"] = "early"

    @property
    def verdict(self) -> Verdict:
        """Say how it stands; `unmeasured`: neither arm reports it, or most looks have too little, so it is no gate here."""
        if self.tested != "worse" and self.quiet > len(self.differences):
            return "unmeasured"
        if self.differences:
            return self.tested
        return "one-sided" if self.missing else "unmeasured"

    @property
    def middle(self) -> float:
        """Return the median difference to what is allowed; below zero is fine."""
        return median(self.differences)

    def after(self, difference: float | None, *, is_one_sided: bool = False) -> "Comparison":
        """Take in one look."""
        if difference is None:
            return msgspec.structs.replace(self, missing=self.missing + is_one_sided)
        if len(self.differences) >= MOST:
            return self
        differences = (*self.differences, difference)
        tested = _test(differences) if _is_due(len(differences)) else self.tested
        return msgspec.structs.replace(self, differences=differences, tested=tested)


def compare(gate: str, before: Comparison, arms: tuple[Counts, Counts], tolerance: float) -> Comparison:
    """Take in one look at a soft gate."""
    new, old = (_MEASURES[gate](arm) for arm in arms)
    if new is None or old is None:
        return before.after(None, is_one_sided=new is not old)
    if gate == "cpu" and any(arm.counts.get("requests", 0.0) < FEWEST_REQUESTS * arm.edges for arm in arms):
        return msgspec.structs.replace(before, quiet=before.quiet + 1)
    if gate == "latency":
        return before.after(new - old * tolerance - SLOWER)
    return before.after(log(new / old) - log(COSTLIER))


def _test(differences: tuple[float, ...]) -> Literal["fine", "worse", "inconclusive"]:
    if signed_rank([-each for each in differences]) <= LEVEL:
        return "fine"
    if signed_rank(differences) <= LEVEL:
        return "worse"
    # A host that is shared with others makes CPU so noisy that a good candidate could not prove itself in any time.
    return "fine" if len(differences) >= ENOUGH and median(differences) <= 0 else "inconclusive"


def _is_due(looks: int) -> bool:
    """Is it 5, 10, 15, 20, 30, 40, 60, 80 …: five times a power of two, or three of them?"""
    times, rest = divmod(looks, FIRST_TEST)
    return rest == 0 and any(part & (part - 1) == 0 for part in (times, times // 3 if times % 3 == 0 else 3))


def _slow_share(arm: Counts) -> float | None:
    requests = arm.counts.get("requests", 0.0)
    return arm.counts.get("slow", 0.0) / requests if requests else None


def _cpu(arm: Counts) -> float | None:
    requests = arm.counts.get("requests", 0.0)
    seconds = arm.cpu_per_request * requests
    return seconds / (requests + IDLE_REQUESTS * arm.edges) if seconds else None


def _memory(arm: Counts) -> float | None:
    memory, connections = arm.counts.get("memory", 0.0), arm.counts.get("open_connections", 0.0)
    return memory / (connections + IDLE_CONNECTIONS * arm.edges) if memory else None


_MEASURES = {"latency": _slow_share, "cpu": _cpu, "memory": _memory}
