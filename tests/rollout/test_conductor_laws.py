"""Laws of the rollout machine, over random histories of a fleet: crashes, silence, commands, clocks that jump, leaders that
die.

- every edge is in exactly one wave
- no edge is told to run a bundle that failed, or one that nobody proposed
- a rollout that went back leaves every edge on the version before
- a bundle that kills Envoy never gets beyond the wave where it showed
- only what has baked is last-known-good
- the same events lead to the same decisions, and a state put away at any point makes no difference
"""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rollout.play import STAGED, Play, places

from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant
from seawall.rollout.change import Risk
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import (
    Action,
    Assign,
    Decide,
    EdgeApplied,
    EdgeDied,
    EdgePlace,
    EdgeRefused,
    Event,
    Finish,
    Joined,
    Lost,
    MarkGood,
    Proposed,
    Ticked,
    Verb,
)
from seawall.rollout.stages import LONGEST_STEP, minimum

FAST = msgspec.structs.replace(STAGED, rollout=msgspec.structs.replace(STAGED.rollout, pace=0.2))
AT_ONCE = msgspec.structs.replace(FAST, rollout=msgspec.structs.replace(FAST.rollout, strategy="immediate"))
KINDS = ("fine", "fine", "fine", "kills", "refused", "rejected", "errors")
STEPS = (
    *("wait",) * 6,
    *("propose",) * 3,
    "long",
    "lose",
    "return",
    "crash",
    "deaf",
    "hear",
    "command",
    "command",
    "leader",
    "jump",
    "newcomer",
)
VERBS: tuple[Verb, ...] = (
    "promote",
    "pause",
    "resume",
    "abort",
    "back",
    "unpin",
    "approve",
    "freeze",
    "thaw",
    "emergency",
)


class Sea(Play):
    """A fleet on which anything may happen. It checks every action against the laws as it comes."""

    def __init__(self, fleet: tuple[EdgePlace, ...], perimeter: PerimeterSpec) -> None:
        self.kinds: dict[str, str] = {"v0": "fine"}
        self.candidates: dict[str, str] = {}
        self.jumped = 0.0
        self.baked_from: dict[str, float] = {}
        super().__init__(fleet, perimeter)

    def handle(self, event: Event) -> list[Action]:
        if isinstance(event, Proposed):
            self.candidates[event.rollout] = event.report.candidate
        actions = super().handle(event)
        for action in actions:
            self._check(action)
        return actions

    @property
    def lived(self) -> float:
        """The time that has really passed, and what the machine may have counted of each jump."""
        return self.now - self.jumped

    def jump(self, seconds: float) -> None:
        self.now += seconds
        self.jumped += seconds - LONGEST_STEP
        self.do(Ticked(at=self.at))

    def _check(self, action: Action) -> None:
        match action:
            case Assign(edges=edges, bundle=bundle):
                shown = self.conductor.view(self.at)
                candidate = shown.rollout.candidate if shown.rollout else ""
                assert bundle in (shown.running, candidate, *shown.goods)
                assert bundle not in shown.blocked
                assert set(edges) <= set(self.conductor.assigned)
            case Finish(rollout=rollout, outcome="rolled_back" | "aborted"):
                failed = self.candidates[rollout]
                assert not self.on(failed), "an edge is left on what failed"
            case MarkGood(bundle=bundle):
                least = minimum("bake", "R1", 0.2)
                assert self.lived - self.baked_from[bundle] >= least - 0.001
                assert self.kinds[bundle] != "kills"
            case Decide(rollout=rollout, stage="bake", decision="advance"):
                self.baked_from[self.candidates[rollout]] = self.lived
            case _:
                pass

    def check_waves(self) -> None:
        current = self.conductor.view(self.at).rollout
        if current is None:
            return
        placed = [name for stage in current.stages for name in stage.names]
        assert len(placed) == len(set(placed))
        if current.stage not in ("guards", "sandbox"):
            assert set(self.conductor.assigned) >= set(placed)
            begun = {name for stage in current.stages if stage.state in ("running", "done") for name in stage.names}
            assert self.on(current.candidate) <= begun

    def _obey(self, action: Action) -> list[Event]:
        if not isinstance(action, Assign):
            return super()._obey(action)
        found: list[Event] = []
        for edge in action.edges:
            if edge in self.deaf or edge in self.stuck:
                continue
            found += self.take(edge, action.bundle)
        return found

    def take(self, edge: str, bundle: str) -> list[Event]:
        at = self.at
        match self.kinds[bundle]:
            case "refused":
                return [EdgeRefused(at=at, edge=edge, bundle=bundle, by="taster", reason="it died.")]
            case "rejected":
                self.runs[edge] = bundle
                return [EdgeApplied(at=at, edge=edge, bundle=bundle, rejections=("listener x: no.",))]
            case "kills":
                self.runs[edge] = bundle
                return [
                    EdgeApplied(at=at, edge=edge, bundle=bundle),
                    EdgeDied(at=at, edge=edge, bundle=bundle, reason="signal 11."),
                ]
            case _:
                self.runs[edge] = bundle
                return [EdgeApplied(at=at, edge=edge, bundle=bundle)]


def _propose(sea: Sea, data: st.DataObject) -> None:
    number = len(sea.kinds)
    risk: Risk = data.draw(st.sampled_from(("R0", "R1", "R1", "R1")))
    name = f"v{number}"
    sea.kinds[name] = data.draw(st.sampled_from(KINDS))
    base = sea.conductor.running or "v0"
    sea.propose(name, base, risk, origins=("Gateway/a/b", "HTTPRoute/a/c"))


def _command(sea: Sea, data: st.DataObject) -> None:
    verb = data.draw(st.sampled_from(VERBS))
    who = data.draw(st.sampled_from(("ann", "ben")))
    waiting = sea.conductor.view(sea.at).requests
    finished = [each.rollout for each in sea.conductor.view(sea.at).finished]
    rollout = data.draw(st.sampled_from(("", "", *finished[:3]))) if verb == "promote" else ""
    until = sea.now + 300 if verb in ("freeze", "emergency") else 0.0
    sea.say(verb, who, until=until, request=waiting[0].id if waiting else "", rollout=rollout)


def _step(sea: Sea, data: st.DataObject) -> None:
    edge = data.draw(st.sampled_from(sorted(sea.runs)))
    bundle = sea.runs[edge]
    match data.draw(st.sampled_from(STEPS)):
        case "wait":
            sea.errors = 0.2 if sea.kinds.get(_candidate(sea), "") == "errors" else 0.0
            sea.wait(data.draw(st.sampled_from((5, 20, 60))))
        case "long":
            sea.wait(600, step=20)
        case "propose":
            _propose(sea, data)
        case "lose":
            sea.stuck.add(edge)
            sea.do(Lost(at=sea.at, edge=edge, heard_at=Instant(data.draw(st.sampled_from((0.0, sea.now))))))
        case "return":
            sea.stuck.discard(edge)
            place = next(each for each in FLEET if each.edge == edge)
            sea.do(Joined(at=sea.at, place=place, bundle=bundle))
        case "crash":
            sea.do(EdgeDied(at=sea.at, edge=edge, bundle=bundle, reason="signal 6."))
        case "deaf":
            sea.deaf.add(edge)
        case "hear":
            _hear(sea)
        case "command":
            _command(sea, data)
        case "leader":
            sea.conductor = Conductor.restore(sea.conductor.state())
        case "jump":
            sea.jump(data.draw(st.sampled_from((-4000.0, 4000.0))))
        case "newcomer":
            place = data.draw(st.sampled_from(FLEET))
            sea.runs.setdefault(place.edge, "")
            sea.stuck.discard(place.edge)
            sea.do(Joined(at=sea.at, place=place, bundle=sea.runs[place.edge]))


def _hear(sea: Sea) -> None:
    heard, sea.deaf = sea.deaf, set()
    for each in sorted(heard - sea.stuck):
        told = sea.conductor.assigned.get(each, "")
        if told and told != sea.runs[each]:
            for event in sea.take(each, told):
                sea.do(event)


def _candidate(sea: Sea) -> str:
    current = sea.conductor.view(sea.at).rollout
    return current.candidate if current else ""


FLEET = places(3, 2, 3)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_law_holds_whatever_happens_to_the_fleet(data: st.DataObject) -> None:
    perimeter = data.draw(st.sampled_from((FAST, FAST, FAST, AT_ONCE)))
    sea = Sea(FLEET[: data.draw(st.sampled_from((1, 2, 5, 12)))], perimeter)

    for _ in range(data.draw(st.integers(20, 60))):
        _step(sea, data)
        sea.check_waves()

    again = Conductor()
    assert [again.handle(event) for event in sea.events] == sea.answers
    assert again.state() == sea.conductor.state()
