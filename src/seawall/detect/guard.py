"""Guard: the protection machine. Seconds of traffic in, verdicts out.

Pure: time arrives inside events; the same events lead to the same actions, and so does a state that was put away between.

    Observed ─▶ what verdicts explain is set aside, and measured
             ─▶ detectors ─▶ judge and ten guards ─▶ ledger ─▶ stage: canary, enforce, renew, raise, lower ─▶ Publish, Withdraw
             ─▶ the rest waits, and is learned

Next room: `app` hands it seconds, and carries out what it says.
"""

from typing import assert_never

import msgspec

from seawall.detect import stage
from seawall.detect.baseline import Baseline, Learned
from seawall.detect.commands import command
from seawall.detect.detectors.registry import look
from seawall.detect.events import ActionToDo, Commanded, Configured, Event, Observed, Peopled, Ticked
from seawall.detect.explain import Attack, Why, why
from seawall.detect.finding import Finding
from seawall.detect.judge import Proposal, judge
from seawall.detect.ledger import Book, Ledger
from seawall.detect.lessons import Lessons, without
from seawall.detect.matcher import Matcher
from seawall.detect.scope import Scope
from seawall.detect.seen import Seen
from seawall.detect.settings import Settings
from seawall.detect.sight import Sight, Slot
from seawall.detect.stage import Tally
from seawall.detect.verdict import Verdict
from seawall.kit.units import Instant

MOST_SLOTS = 60
FRESH_SLOTS, OLD_ROWS, FRESH_ROWS = 8, 1_000, 10_000
"""Seconds that keep their requests; older ones keep a thinned thousand. A second has so many at most."""
GAP = 30.0
"""Seconds without traffic after which the past says nothing of the present."""
WATCHED = 5.0
"""For so long after a guard has spared a scope nobody asks about it again."""
MOST_SPARED = 2_000
CALM = 10.0
"""An attack is over when its route was in no excess for so long."""


class State(msgspec.Struct, kw_only=True):
    """What is put away: the last minute is not, it comes again."""

    settings: Settings = Settings()
    edges: tuple[str, ...] = ()
    is_off: bool = False
    book: Book = msgspec.field(default_factory=Book)
    learned: Learned = msgspec.field(default_factory=Learned)
    watched: float = 0.0


class Guard:
    """Decides what is done about whom."""

    def __init__(self, state: State | None = None) -> None:
        self._state = state if state is not None else State()
        self.ledger = Ledger(self._state.book)
        self.baseline = Baseline(self._state.learned)
        self._seen = Seen()
        self._lessons = Lessons(self.baseline, self._seen)
        self._lessons.watched = self._state.watched
        self._slots: list[Slot] = []
        self._attacks: dict[str, Attack] = {}
        self._findings: tuple[Finding, ...] = ()
        self._spared: dict[Scope, Instant] = {}
        self._spared_at = Instant(-1e18)
        self.late = 0
        """Seconds that came too late or twice, and were left out."""

    def handle(self, event: Event) -> list[ActionToDo]:
        """Take in one event; answer with what is to be done now."""
        state = self._state
        actions = stage.expire(self.ledger, event.at, state.edges)
        match event:
            case Configured(settings=settings):
                state.settings = settings
                actions += stage.switch(self.ledger, event.at, state.edges, enforces=self.enforces)
                actions += self._give_way(event.at)
            case Peopled(edges=edges):
                state.edges = tuple(sorted(edges))
            case Observed(slot=slot):
                actions += self._observed(slot)
            case Commanded():
                actions += self._commanded(event)
            case Ticked():
                pass
            case _:
                assert_never(event)
        return actions

    @property
    def enforces(self) -> bool:
        """Say whether automatic verdicts act."""
        return self._state.settings.enforces and not self._state.is_off

    @property
    def settings(self) -> Settings:
        return self._state.settings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the detectors found in the last second."""
        return self._findings

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """Routes in excess now, the first one first."""
        return tuple(self._attacks.values())

    def in_force(self, at: Instant) -> list[Verdict]:
        return self.ledger.in_force(at)

    def why(self, reference: str) -> Why | None:
        """Answer why a request was refused."""
        return why(self.ledger, reference)

    def state(self) -> bytes:
        """Put all of it away."""
        self._state.watched = self._lessons.watched
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def restore(cls, state: bytes) -> "Guard":
        """Go on from a state. Raises msgspec.ValidationError for what is none."""
        return cls(msgspec.msgpack.decode(state, type=State))

    def _observed(self, slot: Slot) -> list[ActionToDo]:
        if not self._is_next(slot):
            self.late += 1
            return []
        at = slot.at
        slot = msgspec.structs.replace(slot, rows=slot.rows.thinned(FRESH_ROWS))
        held = self.ledger.matcher(at).look_up(slot.rows)
        harms = self._measure(slot, held, at)
        clean = without(slot, self._hidden(held), set())
        self._slots = [*self._slots[-MOST_SLOTS + 1 :], clean]
        if len(self._slots) > FRESH_SLOTS:
            old = self._slots[-FRESH_SLOTS - 1]
            self._slots[-FRESH_SLOTS - 1] = msgspec.structs.replace(old, rows=old.rows.thinned(OLD_ROWS))
        sight = self._sight()
        self._findings = tuple(look(sight))
        actions = self._advance(sight, harms)
        actions += self._judge(sight)
        actions += self._follow(sight)
        self._lessons.note(sight.tripped, at)
        self._lessons.take(clean, self._explained(at))
        return actions

    def _is_next(self, slot: Slot) -> bool:
        """Take seconds in their order only. Far ahead or far behind, a new past begins."""
        if not self._slots:
            return True
        passed = slot.at - self._slots[-1].at
        if abs(passed) > GAP:
            self._slots = []
            return True
        return passed > 0

    def _sight(self) -> Sight:
        return Sight(
            self._slots,
            baseline=self.baseline,
            settings=self._state.settings,
            is_known=self._seen.__contains__,
            watched=self._lessons.watched,
        )

    def _hidden(self, held: list[str]) -> list[str]:
        """Name the requests that detectors need not see again: whose verdict does something about them."""
        acting = {one.id for one in self.ledger.book.verdicts.values() if one.rung >= 2 or one.action.kind == "allow"}
        return [name if name in acting else "" for name in held]

    def _explained(self, at: Instant) -> Matcher:
        return self.ledger.matcher(at, least=2)

    def _measure(self, slot: Slot, held: list[str], at: Instant) -> dict[str, float]:
        """Count what each verdict has seen; return the share of vouched requests that each one hits."""
        tallies: dict[str, Tally] = {}
        rows = slot.rows
        total = 0.0
        columns = (held, rows.each_weight, rows.column("refused"), rows.vouched())
        for name, weight, refused, is_vouched in zip(*columns, strict=True):
            total += weight if is_vouched else 0.0
            if not name:
                continue
            tally = tallies.setdefault(name, Tally())
            tally.hits += weight
            tally.refused += weight if refused else 0.0
            tally.vouched += weight if is_vouched else 0.0
        for verdict in list(self.ledger.book.verdicts.values()):
            if verdict.author == "auto" or verdict.id in tallies:
                self.ledger.put(stage.measure(verdict, tallies.get(verdict.id, Tally()), at))
        return {name: tally.vouched / total for name, tally in tallies.items() if total}

    def _advance(self, sight: Sight, harms: dict[str, float]) -> list[ActionToDo]:
        actions: list[ActionToDo] = []
        for verdict in list(self.ledger.book.verdicts.values()):
            if verdict.author == "auto":
                actions += stage.advance(self.ledger, verdict, sight, self._state.edges, harms.get(verdict.id, 0.0))
        return actions

    def _judge(self, sight: Sight) -> list[ActionToDo]:
        """Make verdicts of findings. What they explain leaves the past, so that nobody finds it there again."""
        if not self._findings:
            return []
        at = sight.at
        standing = self.ledger.standing(at, self._state.edges)
        relapses = {one.scope: self.ledger.relapses(one.scope, at) for one in self._findings}
        actions: list[ActionToDo] = []
        findings = [one for one in self._findings if not self._is_watched(one, at)]
        for proposal in judge(sight, findings, standing, relapses):
            if proposal.rung < 2 and any(one.outcome != "pass" for one in proposal.guards):
                actions += self._spare(proposal, at)
                continue
            actions += stage.begin(self.ledger, proposal, at, self._state.edges, enforces=self.enforces)
        if any(one.rung >= 2 for one in self.ledger.book.verdicts.values() if one.since == at):
            matcher = self._explained(at)
            self._slots = [without(slot, matcher.look_up(slot.rows), set()) for slot in self._slots]
        return actions

    def _spare(self, proposal: Proposal, at: Instant) -> list[ActionToDo]:
        """Remember whom the guards have spared, and write it down now and then: that is what they are there for."""
        self._spared[proposal.scope] = self._spared[proposal.finding.scope] = at
        while len(self._spared) > MOST_SPARED:
            del self._spared[next(iter(self._spared))]
        if at - self._spared_at < WATCHED:
            return []
        self._spared_at = at
        why = "; ".join(one.said for one in proposal.guards if one.outcome != "pass")
        return [self.ledger.record(at, "spared", str(proposal.scope), f"{proposal.finding.reason}, but {why}.")]

    def _is_watched(self, finding: Finding, at: Instant) -> bool:
        """Say whether the guards have lately spared a scope: they are not asked again each second."""
        return at - self._spared.get(finding.scope, Instant(-1e18)) < WATCHED

    def _follow(self, sight: Sight) -> list[ActionToDo]:
        """Say when an excess begins and when it is over."""
        actions: list[ActionToDo] = []
        at = sight.at
        began = [
            (one.scope.route, one.evidence[0].value, one.reason) for one in self._findings if one.detector == "volume"
        ]
        verdicts = [one for one in self.ledger.book.verdicts.values() if one.created == at and one.rung >= 2]
        began += [(one.scope.route, one.expected.attack_rps, one.reason) for one in verdicts if one.author == "auto"]
        for route, rate, reason in began:
            attack = self._attacks.get(route)
            if attack is None:
                actions.append(self.ledger.record(at, "excess-began", route, f"{reason}."))
                attack = Attack(route=route, began=at)
            self._attacks[route] = msgspec.structs.replace(attack, seen=at, peak=max(attack.peak, rate))
        hit = {one.scope.route for one in self.ledger.book.verdicts.values() if sight.at - one.measured.last_hit < CALM}
        for route, attack in list(self._attacks.items()):
            if sight.at - attack.seen >= CALM and not hit & {"", route}:
                del self._attacks[route]
                said = f"it lasted {sight.at - attack.began:.0f} s; {attack.peak:.0f} requests a second at most."
                actions.append(self.ledger.record(sight.at, "excess-ended", route, said))
        return actions

    def _commanded(self, event: Commanded) -> list[ActionToDo]:
        if event.verb in ("observe", "enforce"):
            self._state.is_off = event.verb == "observe"
            record = self.ledger.record(event.at, "switched", "", f"{event.who}: {event.verb}. {event.reason}".strip())
            return [record, *stage.switch(self.ledger, event.at, self._state.edges, enforces=self.enforces)]
        return [*command(self.ledger, event, self._state.settings), *self._give_way(event.at)]

    def _give_way(self, at: Instant) -> list[ActionToDo]:
        """End automatic verdicts on whom somebody has allowed since."""
        verdicts = list(self.ledger.book.verdicts.values())
        allowed: list[Scope] = [
            *self._state.settings.allow,
            *(one.scope for one in verdicts if one.action.kind == "allow"),
        ]
        actions: list[ActionToDo] = []
        for verdict in verdicts:
            if verdict.author == "auto" and any(one.contains(verdict.scope) for one in allowed):
                actions += stage.end(self.ledger, verdict, at, "what it is about has been allowed.")
        return actions
