"""One rollout: what each stage waits for, and what brings it back."""

import msgspec
import pytest
from tests.rollout.play import SOLO, STAGED, Play, counts, places, report, spec

from seawall.kit.units import Instant
from seawall.rollout.change import GuardResult
from seawall.rollout.events import (
    Assign,
    Counted,
    EdgeApplied,
    Joined,
    Lost,
    Proposed,
    Quarantine,
    RunSandbox,
    SandboxFinished,
    Ticked,
)

HOLD = GuardResult(guard="G11", title="delete budget", verdict="hold", message="12 of 20 routes would go.")
REFUSE = GuardResult(guard="G10", title="never empty", verdict="refuse", message="cluster a would be empty.")
WARN = GuardResult(guard="G6", title="size", verdict="warn", message="it grows.")
NOW = spec('{"rollout": {"strategy": "immediate"}}')


def started(stage: str = "canary", **options: object) -> Play:
    play = Play(places())
    play.propose("v1", origins=("HTTPRoute/a/x", "HTTPRoute/a/y"))
    play.until(stage)
    return play


def test_a_good_candidate_reaches_everybody_and_is_marked_good_after_its_bake() -> None:
    play = started("bake")

    play.until("")

    assert (play.outcomes(), play.good(), len(play.on("v1"))) == ([("to-v1", "completed")], ["v1"], 12)


def test_the_stages_take_as_long_as_the_table_says() -> None:
    play = Play(places())
    play.propose("v1")
    began = play.now

    times = []
    for stage in ("cell", "region", "quarter", "half", "bake", ""):
        play.until(stage)
        times.append(play.now - began)
        began = play.now

    assert times == [60, 60, 120, 120, 120, 1800]


def test_the_sandbox_comes_before_any_edge() -> None:
    play = Play(places())
    play.is_sandbox_fine = None

    play.propose("v1")
    play.wait(100)

    assert [each.seconds for each in play.actions if isinstance(each, RunSandbox)] == [30.0]
    assert play.on("v1") == set()


def test_a_failed_sandbox_refuses_and_no_edge_has_had_it() -> None:
    play = Play(places())
    play.is_sandbox_fine = False

    play.propose("v1", origins=("HTTPRoute/a/x", "HTTPRoute/a/y"))

    assert (play.last().outcome, play.last().reason) == ("refused", "the sandbox: two routes answered 500.")
    assert not [each for each in play.actions if isinstance(each, Assign) and each.bundle == "v1"]


def test_a_sandbox_that_never_answers_refuses() -> None:
    play = Play(places())
    play.is_sandbox_fine = None
    play.propose("v1")

    play.wait(400)

    assert play.last().outcome == "refused"


def test_an_answer_of_another_sandbox_changes_nothing() -> None:
    play = Play(places())
    play.is_sandbox_fine = None
    play.propose("v1")

    play.do(SandboxFinished(at=play.at, rollout="another", is_passed=True))

    assert play.stage == "sandbox"


def test_every_edge_tastes_before_its_envoy_gets_it() -> None:
    play = started("")

    assert {each.taste for each in play.actions if isinstance(each, Assign) and each.bundle == "v1"} == {5.0}


def test_the_clock_of_a_stage_begins_when_all_its_edges_have_applied() -> None:
    play = Play(places())
    play.deaf = {"r0-c0-e0"}
    play.propose("v1")

    play.wait(100)
    assert play.stage == "canary"
    play.deaf = set()
    play.do(EdgeApplied(at=play.at, edge="r0-c0-e0", bundle="v1"))
    play.wait(55)

    assert play.stage == "canary"


def test_a_wave_that_never_applies_goes_back() -> None:
    play = Play(places())
    play.deaf = {"r0-c0-e0"}
    play.propose("v1")

    play.wait(400)

    assert play.last().outcome == "rolled_back"
    assert play.on("v0") == set(play.runs)


def test_a_quiet_canary_takes_twice_its_time() -> None:
    play = Play(places())
    play.rate = 1.0
    play.propose("v1")

    play.wait(115)
    assert play.stage == "canary"
    play.wait(5)

    assert play.stage == "cell"


def test_no_counts_hold_and_time_never_promotes() -> None:
    play = started()
    play.is_counted = False

    play.wait(100)
    assert "no data is no proof" in play.held
    play.wait(300)

    assert play.last().outcome == "rolled_back"
    assert play.last().reason.endswith("Time never promotes.")


def test_counts_of_no_edge_are_no_data() -> None:
    play = started()
    play.is_counted = False

    for _ in range(20):
        play.do(Counted(at=play.at, rollout="to-v1", new=counts(0), old=counts(1, 1000)))
        play.wait(5)

    assert play.stage == "canary"


def test_a_tripped_gate_goes_back_at_once() -> None:
    play = started("half")
    play.errors = 0.5

    play.wait(15)

    assert play.last().outcome == "rolled_back"
    assert "gate errors" in play.last().reason
    assert play.on("v0") == set(play.runs)


def test_the_evidence_stands_in_the_decision() -> None:
    play = started("half")
    play.errors = 0.5

    play.wait(15)

    (decision,) = [each for each in play.decisions() if each.decision == "roll_back"]
    assert decision.evidence["errors.e"] > 1000


def test_a_rollback_quarantines_the_riskiest_and_lets_the_rest_go() -> None:
    play = started("half")
    play.errors = 0.5

    play.wait(15)

    assert [each.origins for each in play.actions if isinstance(each, Quarantine)] == [("HTTPRoute/a/x",)]


def test_where_everything_is_suspect_it_is_said_so() -> None:
    play = Play(places())
    both = ("HTTPRoute/a/x", "HTTPRoute/b/y")
    said = report("v1", "v0", "R1", (), both)
    differences = tuple(msgspec.structs.replace(each, origins=both) for each in said.differences)
    said = msgspec.structs.replace(said, differences=differences)
    play.do(Proposed(at=play.at, rollout="to-v1", report=said))
    play.errors = 0.5

    play.wait(15)

    (found,) = [each for each in play.actions if isinstance(each, Quarantine)]
    assert (found.origins, found.are_all) == (both, True)


def test_nothing_is_quarantined_where_there_is_one_suspect_and_nothing_else() -> None:
    play = Play(places())
    play.propose("v1", origins=("HTTPRoute/a/x",))
    play.errors = 0.5

    play.wait(15)

    assert play.last().outcome == "rolled_back"
    assert not [each for each in play.actions if isinstance(each, Quarantine)]


def test_what_was_rolled_back_is_not_tried_again_by_itself() -> None:
    play = started()
    play.errors = 0.5
    play.wait(15)
    play.errors = 0.0

    play.propose("v1", rollout="again")

    assert play.last().outcome == "refused"
    assert "seawall rollout promote to-v1" in play.last().reason


def test_a_guard_that_refuses_ends_it() -> None:
    play = Play(places())

    play.propose("v1", guards=(REFUSE,))

    assert (play.last().outcome, play.last().reason) == ("refused", "G10 (never empty): cluster a would be empty.")


def test_a_guard_that_holds_waits_for_a_person_however_long() -> None:
    play = Play(places(), SOLO)
    play.propose("v1", guards=(HOLD,))

    play.wait(86400, step=30)
    assert (play.stage, "12 of 20 routes would go." in play.held) == ("guards", True)
    play.say("promote")

    assert play.stage == "canary"


def test_a_guard_that_warns_lets_it_go() -> None:
    play = Play(places())

    play.propose("v1", guards=(WARN,))

    assert play.stage == "canary"


def test_a_single_edge_goes_from_sandbox_to_all_and_says_that_there_is_no_control() -> None:
    play = Play(places(1, 1, 1))

    play.propose("v1")

    assert play.stage == "bake"
    assert any("no control" in each.reason for each in play.decisions())


def test_the_first_configuration_goes_to_all_because_nothing_runs_yet() -> None:
    play = Play(places(), running="")

    play.propose("v1", base="")

    assert (play.stage, len(play.on("v1"))) == ("bake", 12)


def test_without_an_edge_it_waits_for_the_first_one() -> None:
    play = Play()

    play.propose("v1", base="")
    play.wait(4000, step=30)
    assert play.stage == "sandbox"
    for place in places(1, 1, 2):
        play.runs[place.edge] = ""
        play.do(Joined(at=play.at, place=place))

    assert play.stage == "bake"


def test_a_clock_that_jumps_forward_promotes_nothing() -> None:
    play = started()
    play.wait(5)

    play.now += 86400
    play.do(Ticked(at=play.at))

    assert play.stage == "canary"
    assert "30 s of it count" in play.decisions()[-1].reason


def test_a_clock_that_jumps_back_promotes_nothing_and_does_not_stop() -> None:
    play = started()

    play.now -= 86400
    play.do(Ticked(at=play.at))
    assert play.stage == "canary"
    play.wait(70)

    assert play.stage == "cell"


def test_a_clock_that_jumps_back_does_not_hide_silence() -> None:
    play = started()
    play.do(Lost(at=play.at, edge="r0-c0-e0", heard_at=play.at))

    play.now -= 86400
    play.do(Ticked(at=play.at))
    play.wait(15)

    assert play.last().outcome == "rolled_back"


def test_immediate_tells_everybody_at_once_without_taster_and_bakes_on_the_clock() -> None:
    play = Play(places(), NOW)
    play.is_counted = False

    (told,) = [each for each in play.propose("v1") if isinstance(each, Assign)]
    play.wait(1800, step=30)

    assert (len(told.edges), told.taste) == (12, 0.0)
    assert play.good() == ["v1"]


def test_immediate_is_superseded_by_a_newer_change_and_its_bake_counts_for_nothing() -> None:
    play = Play(places(), NOW)
    play.propose("v1")
    play.wait(1700)

    play.propose("v2", base="v1")
    play.wait(1700)

    assert (play.outcomes(), play.good(), len(play.on("v2"))) == ([("to-v1", "superseded")], [], 12)


def test_a_refused_change_does_not_disturb_the_bake_of_the_one_before() -> None:
    play = Play(places(), NOW)
    play.propose("v1")

    play.propose("v2", base="v1", guards=(REFUSE,))

    assert play.stage == "bake"
    assert play.conductor.running == "v0"


@pytest.mark.parametrize("stage", ["canary", "cell", "region", "quarter", "half"])
def test_a_region_that_disappears_without_the_candidate_holds(stage: str) -> None:
    play = started(stage)

    for place in places():
        if place.region == "r2":
            play.do(Lost(at=play.at, edge=place.edge, reason="its stream ended"))
    play.wait(150)

    assert play.stage == stage
    assert "all 4 edges of region r2 are silent" in play.held


def test_a_region_that_disappears_with_the_candidate_brings_it_back() -> None:
    play = started("half")

    for place in places():
        if place.region == "r1":
            play.do(Lost(at=play.at, edge=place.edge, reason="its stream ended"))

    assert play.last().outcome == "rolled_back"
    assert play.on("v0") == set(play.runs)


def test_with_nothing_to_go_back_to_it_stays_and_its_bake_begins_anew() -> None:
    play = Play(places(1, 1, 2), running="")
    play.propose("v1", base="")
    play.wait(1700)

    play.do(Lost(at=play.at, edge="r0-c0-e0", heard_at=Instant(play.now - 60)))
    play.wait(1700)

    assert play.on("v1") == set(play.runs)


def test_a_canary_keeps_its_control_and_later_stages_compare_with_the_unchanged_of_the_same_cells() -> None:
    play = started("canary")
    assert play.conductor.arms("to-v1") == (frozenset({"r0-c0-e0"}), frozenset({"r0-c0-e1"}))

    play.until("quarter")
    new, old = play.conductor.arms("to-v1")

    assert new == {"r0-c0-e0", "r0-c0-e1", "r0-c1-e0", "r1-c0-e0"}
    assert old == {"r0-c1-e1", "r1-c0-e1"}


def test_where_everybody_has_it_there_is_no_control() -> None:
    play = started("bake")

    new, old = play.conductor.arms("to-v1")

    assert (len(new), old) == (12, frozenset())


def test_quarantine_can_be_switched_off() -> None:
    perimeter = spec('{"rollout": {"strategy": "staged", "quarantine": false}}')
    play = Play(places(), perimeter)
    play.propose("v1", origins=("HTTPRoute/a/x", "HTTPRoute/a/y"))
    play.errors = 0.5

    play.wait(15)

    assert not [each for each in play.actions if isinstance(each, Quarantine)]
    assert STAGED.rollout.quarantine
