"""The protection machine, through its events and actions."""

import msgspec
import pytest
from bench.support.scenarios import scenario
from bench.support.theatre import ENFORCING, play, slot_of, warmed

from seawall.detect.events import Commanded, Configured, Observed, Publish, Ticked, Withdraw
from seawall.detect.guard import Guard
from seawall.detect.scope import scope
from seawall.detect.settings import Settings
from seawall.detect.sight import Slot
from seawall.kit.units import Instant


def attacked(seconds: int = 5, settings: Settings = ENFORCING, name: str = "A2") -> tuple[Guard, Instant]:
    """Play the first seconds of an attack; nobody refuses anything."""
    guard, usual, rng, at = warmed(0, None, settings)
    attack = scenario(name).begin(rng)
    for number in range(seconds):
        at = Instant(at + 1)
        more = attack(rng, number)
        both = msgspec.structs.replace(more, requests=[*usual(rng, number).requests, *more.requests])
        guard.handle(Observed(at=at, slot=slot_of(both, at)[0]))
    return guard, at


def test_everything_begins_in_observe() -> None:
    guard, at = attacked(settings=Settings())

    assert not guard.enforces
    assert guard.in_force(at) and all(one.mode == "observe" for one in guard.in_force(at))


def test_the_switch_undoes_everything_at_once_and_a_persons_verdicts_stay() -> None:
    guard, at = attacked()
    guard.handle(Commanded(at=at, verb="add", who="ada", scope=scope("", {"address": "192.0.2.1"})))

    actions = guard.handle(Commanded(at=at, verb="observe", who="ada"))

    assert all(one.verdict.mode == "observe" for one in actions if isinstance(one, Publish))
    assert {one.mode for one in guard.in_force(at) if one.author == "auto"} == {"observe"}
    assert [one.mode for one in guard.in_force(at) if one.author == "human"] == ["enforce"]
    guard.handle(Configured(at=at, settings=ENFORCING))
    assert not guard.enforces, "a new policy does not turn the switch back"
    guard.handle(Commanded(at=at, verb="enforce", who="ada"))
    assert guard.enforces


def test_whoever_is_allowed_is_let_go_at_once() -> None:
    guard, at = attacked(name="A1")
    (held,) = [one for one in guard.in_force(at) if one.rung >= 2]

    actions = guard.handle(Commanded(at=at, verb="allow", who="ada", scope=held.scope))

    assert Withdraw(verdict=held.id, generation=held.generation, reason="ada has decided otherwise.") in actions
    assert [one.action.kind for one in guard.in_force(at) if one.scope == held.scope] == ["allow"]


def test_a_policy_that_allows_ends_what_stands_against_it() -> None:
    guard, at = attacked(name="A1")
    (held,) = [one for one in guard.in_force(at) if one.rung >= 2]
    allowed = msgspec.structs.replace(ENFORCING, allow=(held.scope,))

    actions = guard.handle(Configured(at=at, settings=allowed))

    assert [one.verdict for one in actions if isinstance(one, Withdraw)] == [held.id]


def test_an_attack_has_a_beginning_and_an_end() -> None:
    guard, at = attacked(name="A1")
    began = [one.what for one in guard.ledger.records() if one.what.startswith("excess")]
    for number in range(30):
        guard.handle(
            Observed(at=Instant(at + 1 + number), slot=Slot(at=Instant(at + 1 + number), totals={"shop": 150.0}))
        )

    assert began == ["excess-began"]
    assert [one.what for one in guard.ledger.records() if one.what.startswith("excess")] == [
        "excess-began",
        "excess-ended",
    ]
    assert guard.attacks == ()


def test_verdicts_are_gone_within_five_minutes_of_an_attacks_end() -> None:
    guard, at = attacked(name="A1")
    end = Instant(at + 300)
    while at < end:
        at = Instant(at + 1)
        guard.handle(Ticked(at=at))

    assert guard.in_force(at) == [] and len(guard.ledger) == 0


def test_late_and_repeated_seconds_are_left_out() -> None:
    guard, at = attacked(2)
    guard.handle(Observed(at=at, slot=Slot(at=at)))
    guard.handle(Observed(at=at, slot=Slot(at=Instant(at - 3))))

    assert guard.late == 2


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_jumps_begins_a_new_past(jump: float) -> None:
    guard, at = attacked(2)
    then = Instant(at + jump)

    guard.handle(Observed(at=then, slot=Slot(at=then)))
    guard.handle(Observed(at=Instant(then + 1), slot=Slot(at=Instant(then + 1))))

    assert guard.late == 0


def test_every_automatic_verdict_can_say_why_and_has_ten_guards() -> None:
    guard, at = attacked()

    for one in guard.in_force(at):
        answer = guard.why(one.id)
        assert answer is not None and len(answer.verdict.guards) == 10 and answer.history


def test_a_state_put_away_decides_the_same() -> None:
    guard, at = attacked(name="A1")
    again = Guard.restore(guard.state())

    assert again.in_force(at) == guard.in_force(at)
    assert again.state() == guard.state()
    later = Instant(at + 100)
    assert again.handle(Ticked(at=later)) == guard.handle(Ticked(at=later))


def test_the_same_events_lead_to_the_same_actions() -> None:
    assert play(scenario("A3"), 4) == play(scenario("A3"), 4)
