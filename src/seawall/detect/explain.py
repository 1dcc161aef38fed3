"""Explain: the answer to "why was this request refused?", as data and in sentences.

Pure. Previous room: `detect.ledger`. Next room: `cli` prints it, `console` hands it out.
"""

import msgspec

from seawall.detect.events import Record
from seawall.detect.ladder import LADDER
from seawall.detect.ledger import Ledger
from seawall.detect.verdict import Verdict
from seawall.kit.units import Instant


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """A route in excess."""

    route: str
    began: Instant
    seen: Instant = Instant(0.0)
    peak: float = 0.0


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with everything that led to it. `ended` is empty while it is in force."""

    verdict: Verdict
    ended: str
    history: tuple[Record, ...]

    def sentences(self) -> list[str]:
        """Write it for people."""
        one = self.verdict
        by = f"by {one.who}" if one.author == "human" else f"automatically, by {one.detector}"
        said = [
            f"Verdict {one.id}: {LADDER[one.rung].title} for {one.scope}, {by}; mode {one.mode}.",
            f"Because {one.reason}.",
            *(f"Evidence: {each}." for each in one.evidence),
            *(f"Guard {each.guard} ({each.title}): {each.outcome}: {each.said}." for each in one.guards),
            *(f"{each.at:.0f}: {each.what}: {each.said}" for each in self.history),
        ]
        return [*said, f"Over: {self.ended}"] if self.ended else said


def why(ledger: Ledger, reference: str) -> Why | None:
    """Find a verdict, in force or over, and what happened to it; None: nobody knows it any more."""
    held, ended = ledger.find(reference)
    history = tuple(ledger.records(reference))
    if held is not None:
        return Why(verdict=held, ended="", history=history)
    return Why(verdict=ended.verdict, ended=ended.reason, history=history) if ended is not None else None
