"""A fleet under a fake clock: obeys the conductor's actions, tells it what happens, remembers everything."""

from collections.abc import Iterable

import msgspec

from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant
from seawall.rollout.change import ChangeReport, Difference, GuardResult, Risk
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import (
    Action,
    Answer,
    Assign,
    Commanded,
    Configured,
    Counted,
    Counts,
    Decide,
    EdgeApplied,
    EdgePlace,
    EdgeTasted,
    Event,
    Finish,
    Joined,
    MarkGood,
    Proposed,
    RunSandbox,
    SandboxFinished,
    Ticked,
    Verb,
)

START = 1_734_567_890.25
LOOK = 5.0


def spec(text: str = "{}") -> PerimeterSpec:
    """Read a perimeter as an operator writes it, in JSON."""
    return msgspec.json.decode(text.encode(), type=PerimeterSpec)


STAGED = spec('{"rollout": {"strategy": "staged"}}')
SOLO = spec('{"rollout": {"strategy": "staged"}, "approvals": {"required": 1}}')


def places(regions: int = 3, cells: int = 2, edges: int = 2) -> tuple[EdgePlace, ...]:
    return tuple(
        EdgePlace(
            edge=f"r{region}-c{cell}-e{edge}", region=f"r{region}", cell=f"r{region}-c{cell}", since=Instant(START)
        )
        for region in range(regions)
        for cell in range(cells)
        for edge in range(edges)
    )


def report(
    candidate: str, base: str, risk: Risk = "R1", guards: tuple[GuardResult, ...] = (), origins: tuple[str, ...] = ()
) -> ChangeReport:
    differences = tuple(
        Difference(
            subject="route",
            action="changed",
            name=origin,
            detail="changed.",
            risk=risk if rank == 0 else "R0",
            why="a route",
            origins=(origin,),
        )
        for rank, origin in enumerate(origins)
    )
    return ChangeReport(
        base=base, candidate=candidate, risk=risk, guards=guards, differences=differences, origins=origins
    )


def counts(edges: int, requests: float = 0.0, errors: float = 0.0) -> Counts:
    return Counts(
        edges=edges,
        counts={"requests": requests, "errors": errors, "upstream_requests": requests, "connections": requests / 10},
        memory_share=0.3,
        memory_forecast=0.3,
        cpu_per_request=0.0001,
    )


class Play:
    """`conductor` and its fleet. Edges obey at once unless they are told not to (`stuck`)."""

    def __init__(self, fleet: Iterable[EdgePlace] = (), perimeter: PerimeterSpec = STAGED, running: str = "v0") -> None:
        self.conductor = Conductor()
        self.now = START
        self.actions: list[Action] = []
        self.events: list[Event] = []
        self.answers: list[list[Action]] = []
        self.runs: dict[str, str] = {}
        self.stuck: set[str] = set()
        self.deaf: set[str] = set()
        self.rate = 1000.0
        self.errors = 0.0
        self.is_counted = True
        self.is_sandbox_fine: bool | None = True
        self.do(Configured(at=self.at, spec=perimeter))
        for place in fleet:
            self.runs[place.edge] = running
            self.do(Joined(at=self.at, place=place, bundle=running))

    @property
    def at(self) -> Instant:
        return Instant(self.now)

    def do(self, event: Event) -> list[Action]:
        """Let something happen, and whatever follows from it."""
        first = self.handle(event)
        queue = list(first)
        while queue:
            action = queue.pop(0)
            self.actions.append(action)
            for answer in self._obey(action):
                queue += self.handle(answer)
        return first

    def handle(self, event: Event) -> list[Action]:
        """Tell the conductor alone; keep what was said."""
        self.events.append(event)
        self.answers.append(self.conductor.handle(event))
        return list(self.answers[-1])

    def propose(
        self,
        candidate: str,
        base: str = "v0",
        risk: Risk = "R1",
        guards: tuple[GuardResult, ...] = (),
        origins: tuple[str, ...] = (),
        rollout: str = "",
    ) -> list[Action]:
        said = report(candidate, base, risk, guards, origins)
        return self.do(Proposed(at=self.at, rollout=rollout or f"to-{candidate}", report=said))

    def say(
        self,
        verb: Verb,
        who: str = "ann",
        *,
        reason: str = "because",
        rollout: str = "",
        bundle: str = "",
        until: float = 0.0,
        request: str = "",
    ) -> Answer:
        """Give a command and return the answer."""
        actions = self.do(
            Commanded(
                at=self.at,
                verb=verb,
                who=who,
                reason=reason,
                rollout=rollout,
                bundle=bundle,
                until=Instant(until),
                request=request,
            )
        )
        (answer,) = [each for each in actions if isinstance(each, Answer)]
        return answer

    def wait(self, seconds: float, step: float = LOOK) -> None:
        """Let time pass with looks at the gates."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.look()
            self.do(Ticked(at=self.at))

    def look(self) -> None:
        current = self.conductor.view(self.at).rollout
        if current is None or not self.is_counted:
            return
        new, old = self.conductor.arms(current.rollout)
        served, compared = self.rate * len(new), self.rate * len(old)
        self.do(
            Counted(
                at=self.at,
                rollout=current.rollout,
                new=counts(len(new), served, self.errors * served),
                old=counts(len(old), compared),
            )
        )

    def until(self, stage: str, longest: float = 100_000.0) -> None:
        """Let time pass until a stage begins; `""`: until nothing is under way."""
        end = self.now + longest
        while self.stage != stage:
            assert self.now < end, (self.stage, self.held, self.decisions()[-3:])
            self.wait(LOOK)

    @property
    def stage(self) -> str:
        current = self.conductor.view(self.at).rollout
        return current.stage if current else ""

    @property
    def held(self) -> str:
        current = self.conductor.view(self.at).rollout
        return current.held if current else ""

    def on(self, bundle: str) -> set[str]:
        """Name the edges that are told to run it."""
        return {edge for edge, told in self.conductor.assigned.items() if told == bundle}

    def good(self) -> list[str]:
        return [each.bundle for each in self.actions if isinstance(each, MarkGood)]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(each.rollout, each.outcome) for each in self.actions if isinstance(each, Finish)]

    def last(self) -> Finish:
        return [each for each in self.actions if isinstance(each, Finish)][-1]

    def decisions(self) -> list[Decide]:
        return [each for each in self.actions if isinstance(each, Decide)]

    def bake(self, candidate: str, base: str) -> None:
        """Bring a bundle through all stages to last-known-good."""
        self.propose(candidate, base)
        self.until("")
        assert self.good()[-1] == candidate

    def _obey(self, action: Action) -> list[Event]:
        match action:
            case Assign(edges=edges, bundle=bundle):
                found: list[Event] = []
                for edge in edges:
                    if edge not in self.stuck and edge not in self.deaf:
                        self.runs[edge] = bundle
                        found.append(EdgeTasted(at=self.at, edge=edge, bundle=bundle))
                        found.append(EdgeApplied(at=self.at, edge=edge, bundle=bundle))
                return found
            case RunSandbox(rollout=rollout) if self.is_sandbox_fine is not None:
                reason = "" if self.is_sandbox_fine else "two routes answered 500."
                return [SandboxFinished(at=self.at, rollout=rollout, is_passed=self.is_sandbox_fine, reason=reason)]
            case _:
                return []
