"""Theatre: plays a scenario against the protection machine, on event time, with an edge that obeys its verdicts.

The edge is a stand-in of twenty lines: it looks requests up as the data plane does, refuses what is denied, and counts what a limit
lets through. What the machine sees next second is what such an edge would have logged.
"""

from random import Random

import msgspec

from bench.support.people import FIELDS, Play, Request, Second, crowd
from bench.support.scenarios import Scenario
from seawall.detect.columns import Rows
from seawall.detect.events import ActionToDo, Configured, Observed, Peopled, Publish, Withdraw
from seawall.detect.guard import Guard
from seawall.detect.matcher import Matcher, ranked
from seawall.detect.settings import Settings
from seawall.detect.sight import Peer, Slot
from seawall.detect.sight import slot_of as sight_slot
from seawall.detect.verdict import Verdict
from seawall.kit.units import Instant, Seconds

START = Instant(1_700_000_000.0)
WARM_UP = 75
ENFORCING = Settings(enforces=True, cold_start=Seconds(30.0))


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it. Times are seconds since the attack began; -1: never."""

    first_verdict: float = -1.0
    enforced: float = -1.0
    mitigated: float = -1.0
    sent: int = 0
    passed: int = 0
    good: int = 0
    good_denied: int = 0
    good_limited: int = 0
    verdicts: dict[str, Verdict] = {}
    scopes: list[str] = []

    @property
    def acting(self) -> list[Verdict]:
        return [one for one in self.verdicts.values() if one.rung >= 2]

    def precision(self, planted: frozenset[str]) -> float:
        """Return the share of the fields named that were planted."""
        named = [field for one in self.acting for field in one.scope.fields]
        return sum(field in planted for field in named) / len(named) if named else 0.0


class Edge:
    """Obeys verdicts."""

    def __init__(self) -> None:
        self._held: dict[str, Verdict] = {}
        self._matcher = Matcher(())

    def obey(self, actions: list[ActionToDo]) -> None:
        before = dict(self._held)
        for action in actions:
            match action:
                case Publish(verdict=verdict):
                    self._held[verdict.id] = verdict
                case Withdraw(verdict=name):
                    self._held.pop(name, None)
        if before != self._held:
            acting = [one for one in self._held.values() if one.mode == "enforce"]
            self._matcher = Matcher((one.id, one.scope) for one in ranked(acting))

    def serve(self, rows: Rows, at: Instant) -> list[str]:
        """Say for each request what refused it, at `at`; a verdict past its end refuses nobody."""
        left: dict[str, float] = {}
        refused = []
        keys = zip(self._matcher.look_up(rows), rows.column("address"), strict=True)
        for name, address in keys:
            verdict = self._held[name] if name else None
            if verdict is None or not verdict.acts(at) or verdict.action.kind in ("allow", "tag", "tarpit"):
                refused.append("")
                continue
            if verdict.action.kind == "limit":
                bucket = f"{name} {address}" if verdict.action.per_client else name
                left.setdefault(bucket, verdict.action.rate)
                left[bucket] -= 1
                refused.append("" if left[bucket] >= 0 else "limit")
                continue
            refused.append("deny")
        return refused


def slot_of(second: Second, at: Instant) -> tuple[Slot, list[Request]]:
    """Write down a second as the edges would."""
    asked = second.requests
    columns = (
        dict(zip(FIELDS, map(list, zip(*(one.values() for one in asked), strict=True)), strict=True)) if asked else {}
    )
    rows = Rows(columns=columns, seconds=[one.seconds for one in asked])
    peers = {
        one.address: Peer(
            opened=one.opened,
            handshakes=one.handshakes,
            without_request=one.without_request,
            resets=one.resets,
            floods=one.floods,
            requests=one.requests,
        )
        for one in second.peers
    }
    return sight_slot(at, rows, peers), asked


def refuse(slot: Slot, refused: list[str]) -> Slot:
    """Write into a second what the edge refused: the origin has spent nothing on it."""
    columns = {**slot.rows.columns, "refused": refused}
    seconds = [0.0 if one else took for one, took in zip(refused, slot.rows.seconds, strict=True)]
    return sight_slot(slot.at, Rows(columns=columns, seconds=seconds), slot.peers)


def warmed(
    seed: int, before: Play | None = None, settings: Settings = ENFORCING
) -> tuple[Guard, Play, Random, Instant]:
    """Make a machine that has watched the background for a while."""
    rng = Random(seed)
    usual = crowd(rng)
    guard = Guard()
    guard.handle(Configured(at=START, settings=settings))
    guard.handle(Peopled(at=START, edges=("edge-1", "edge-2", "edge-3")))
    at = START
    for number in range(WARM_UP):
        at = Instant(START + number)
        asked = usual(rng, number).requests + (before(rng, number).requests if before is not None else [])
        slot, _ = slot_of(Second(requests=asked), at)
        guard.handle(Observed(at=at, slot=slot))
    return guard, usual, rng, at


def play(one: Scenario, seed: int, settings: Settings = ENFORCING) -> Outcome:
    """Play a scenario to its end; what the edges do about it counts from the next second on."""
    guard, usual, rng, at = warmed(seed, one.before(Random(seed)) if one.before is not None else None, settings)
    outcome, edge = Outcome(), Edge()
    edge.obey([Publish(verdict=held) for held in guard.in_force(at)])
    shown = one.begin(Random(seed))
    calm = 0
    for number in range(one.lasts):
        at = Instant(at + 1)
        more = shown(rng, number)
        slot, asked = slot_of(Second(requests=usual(rng, number).requests + more.requests, peers=more.peers), at)
        refused = edge.serve(slot.rows, at)
        passed = _score(outcome, asked, refused)
        calm = calm + 1 if passed[0] <= 0.1 * passed[1] else 0
        if calm == 3 and outcome.mitigated < 0 and passed[1]:
            outcome.mitigated = float(number - 2)
        actions = guard.handle(Observed(at=at, slot=refuse(slot, refused)))
        edge.obey(actions)
        _note(outcome, actions, float(number + 1))
    return outcome


def _score(outcome: Outcome, asked: list[Request], refused: list[str]) -> tuple[int, int]:
    """Count what got through, by the truth; return what passed of the attack, and what was sent."""
    sent = passed = 0
    for one, said in zip(asked, refused, strict=True):
        if one.label == "bad":
            sent += 1
            passed += not said
        else:
            outcome.good += 1
            outcome.good_denied += said == "deny"
            outcome.good_limited += said == "limit"
    outcome.sent += sent
    outcome.passed += passed
    return passed, sent


def _note(outcome: Outcome, actions: list[ActionToDo], after: float) -> None:
    for action in actions:
        if not isinstance(action, Publish):
            continue
        verdict = action.verdict
        outcome.verdicts[verdict.id] = verdict
        if verdict.rung >= 2 and outcome.first_verdict < 0:
            outcome.first_verdict = after
        if verdict.rung >= 2 and verdict.mode == "enforce" and outcome.enforced < 0:
            outcome.enforced = after
