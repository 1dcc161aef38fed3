"""Ledger: the verdicts in force, those of lately, and what happened to them.

Pure: a bounded, serialisable store with few laws: nothing in it acts at its end or later, what comes back within a day holds twice
as long, and what is full refuses instead of forgetting. Next room: `detect.stage` moves verdicts along, `detect.guard` asks.
"""

from collections.abc import Mapping

import msgspec

from seawall.detect import ladder
from seawall.detect.events import Record, What
from seawall.detect.guards.question import Standing
from seawall.detect.matcher import Matcher, ranked
from seawall.detect.scope import Scope
from seawall.detect.settings import Settings
from seawall.detect.verdict import Verdict
from seawall.kit.digest import digest
from seawall.kit.units import Instant, Seconds

MOST_ENDED = 10_000
MOST_RECORDS = 20_000
RELAPSE = Seconds(86400.0)
ABORTED = Seconds(600.0)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that is over; the same scope again within a day is a relapse."""

    at: Instant
    verdict: Verdict
    reason: str
    was_aborted: bool = False


class Book(msgspec.Struct, kw_only=True):
    """What is put away. `ended` by scope, the last one at the end."""

    verdicts: dict[str, Verdict] = {}
    ended: dict[str, Ended] = {}
    records: list[Record] = []
    issued: int = 0


class Ledger:
    """Keeps verdicts."""

    def __init__(self, book: Book | None = None) -> None:
        self._book = book if book is not None else Book()
        self._by_scope = {one.scope: name for name, one in self._book.verdicts.items()}

    @property
    def book(self) -> Book:
        return self._book

    def __len__(self) -> int:
        return len(self._book.verdicts)

    def in_force(self, at: Instant) -> list[Verdict]:
        """Return what acts now, in the order in which the data plane looks."""
        return ranked(one for one in self._book.verdicts.values() if one.acts(at))

    def of(self, scope: Scope) -> Verdict | None:
        """Return the verdict on a scope."""
        return self._book.verdicts.get(self._by_scope.get(scope, ""))

    def get(self, name: str) -> Verdict | None:
        return self._book.verdicts.get(name)

    def matcher(self, at: Instant, *, least: int = 0) -> Matcher:
        """Make a table of what acts now, from a rung on; allows are always in it."""
        held = [one for one in self.in_force(at) if one.rung >= least or one.action.kind == "allow"]
        return Matcher((one.id, one.scope) for one in held)

    def ruling(self, request: Mapping[str, str], at: Instant, settings: Settings) -> Verdict | None:
        """Say which verdict a request falls under, as an edge would."""
        held = [one for one in self.in_force(at) if one.scope.holds(request)]
        first = held[0] if held else None
        if first is not None and first.author == "human":
            return first
        return None if any(one.holds(request) for one in settings.allow) else first

    def next_id(self, scope: Scope) -> str:
        """Name a new verdict: short enough to be shown to whoever is refused."""
        self._book.issued += 1
        return f"{digest(str(scope).encode())[:6]}-{self._book.issued}"

    def relapses(self, scope: Scope, at: Instant) -> int:
        """Say how often a scope has come back within a day."""
        ended = self._book.ended.get(str(scope))
        if ended is None or ended.was_aborted or ended.verdict.author == "human" or at - ended.at > RELAPSE:
            return 0
        return ended.verdict.relapses + 1

    def put(self, verdict: Verdict) -> None:
        """Take a verdict in, or its next generation."""
        before = self._book.verdicts.get(verdict.id)
        if before is not None and before.scope != verdict.scope:
            self._by_scope.pop(before.scope, None)
        self._book.verdicts[verdict.id] = verdict
        self._by_scope[verdict.scope] = verdict.id

    def end(self, verdict: Verdict, at: Instant, reason: str, *, was_aborted: bool = False) -> None:
        """Take a verdict out."""
        self._book.verdicts.pop(verdict.id, None)
        self._by_scope.pop(verdict.scope, None)
        key = str(verdict.scope)
        self._book.ended.pop(key, None)
        self._book.ended[key] = Ended(at=at, verdict=verdict, reason=reason, was_aborted=was_aborted)
        while len(self._book.ended) > MOST_ENDED:
            del self._book.ended[next(iter(self._book.ended))]

    def record(self, at: Instant, what: What, subject: str, said: str) -> Record:
        """Write down what has happened."""
        one = Record(at=at, what=what, subject=subject, said=said)
        self._book.records.append(one)
        if len(self._book.records) > MOST_RECORDS:
            del self._book.records[: MOST_RECORDS // 10]
        return one

    def standing(self, at: Instant, edges: tuple[str, ...]) -> Standing:
        """Say what the guards have to know of it."""
        denied: dict[str, float] = {}
        for one in self._book.verdicts.values():
            if one.action.refuses and one.author == "auto":
                denied[one.scope.route] = denied.get(one.scope.route, 0.0) + one.expected.impact
        return Standing(
            entries=len(self._book.verdicts),
            denied=denied,
            allowed=tuple(
                one.scope for one in self._book.verdicts.values() if one.action.kind == "allow" and one.acts(at)
            ),
            aborted=frozenset(
                one.verdict.scope for one in self._book.ended.values() if one.was_aborted and at - one.at < ABORTED
            ),
            edges=edges,
        )

    def find(self, reference: str) -> tuple[Verdict | None, Ended | None]:
        """Find a verdict by its id, in force or over."""
        held = self._book.verdicts.get(reference)
        if held is not None:
            return held, None
        return None, next((one for one in self._book.ended.values() if one.verdict.id == reference), None)

    def records(self, subject: str = "") -> list[Record]:
        """Return what happened, to one verdict or at all."""
        return [one for one in self._book.records if not subject or one.subject == subject]


def until(verdict: Verdict, at: Instant) -> Instant:
    """Say how long the next generation of a verdict holds."""
    return Instant(at + ladder.ttl(verdict.rung, verdict.relapses))
