"""What edges say, and who is blamed for it."""

import pytest
from tests.rollout.play import Play, places, spec

from seawall.kit.units import Instant
from seawall.rollout.events import Action, Assign, Decide, EdgeApplied, EdgeDied, EdgePlace, EdgeRefused, Joined, Lost

CANARY, CONTROL = "r0-c0-e0", "r0-c0-e1"


def in_canary() -> Play:
    play = Play(places())
    play.propose("v1")
    assert play.stage == "canary"
    return play


def assigned(actions: list[Action]) -> list[tuple[tuple[str, ...], str]]:
    return [(each.edges, each.bundle) for each in actions if isinstance(each, Assign)]


def test_a_death_on_the_candidate_goes_back_at_once() -> None:
    play = in_canary()

    actions = play.do(EdgeDied(at=play.at, edge=CANARY, bundle="v1", reason="signal 11."))

    assert assigned(actions) == [((CANARY,), "v0")]
    assert play.last().reason == f"Envoy on {CANARY} died: signal 11."


def test_a_death_on_the_control_is_not_held_against_the_candidate() -> None:
    play = in_canary()

    actions = play.do(EdgeDied(at=play.at, edge=CONTROL, bundle="v0", reason="signal 11."))

    assert play.stage == "canary"
    assert [each.decision for each in actions if isinstance(each, Decide)] == ["note"]


@pytest.mark.parametrize("by", ["signature", "content", "memory", "taster", "guardian"])
def test_a_refusal_goes_back_at_once(by: str) -> None:
    play = in_canary()

    play.do(EdgeRefused(at=play.at, edge=CANARY, bundle="v1", by=by, reason="no."))

    assert (play.last().outcome, play.on("v1")) == ("rolled_back", set())


def test_an_order_that_is_too_old_was_sent_twice() -> None:
    play = in_canary()

    play.do(EdgeRefused(at=play.at, edge=CANARY, bundle="v1", by="fence", reason="old."))

    assert play.stage == "canary"


def test_an_edge_that_its_operator_has_pinned_stops_nobody() -> None:
    play = Play(places())
    play.deaf = {"r2-c1-e1"}
    play.propose("v1")
    play.until("all")

    play.do(EdgeRefused(at=play.at, edge="r2-c1-e1", bundle="v1", by="operator", reason="pinned to v0."))
    play.until("")

    assert play.last().outcome == "completed"


def test_a_nack_goes_back_at_once() -> None:
    play = in_canary()

    play.do(EdgeApplied(at=play.at, edge=CANARY, bundle="v1", rejections=("listener http-80: no such filter",)))

    assert play.last().reason == f"Envoy on {CANARY} refused a part: listener http-80: no such filter."


def test_a_nack_of_an_immediate_change_is_told_and_no_more() -> None:
    play = Play(places(), spec())
    play.propose("v1")

    play.do(EdgeApplied(at=play.at, edge=CANARY, bundle="v1", rejections=("listener http-80: no",)))

    assert play.stage == "bake"


def test_a_death_on_an_immediate_change_goes_back_everywhere() -> None:
    play = Play(places(), spec())
    play.propose("v1")

    actions = play.do(EdgeDied(at=play.at, edge=CANARY, bundle="v1", reason="signal 11."))

    assert [len(edges) for edges, _ in assigned(actions)] == [12]


def test_silence_with_the_candidate_goes_back_at_once() -> None:
    play = in_canary()

    play.do(Lost(at=play.at, edge=CANARY, reason="nothing was heard of it for 10 s"))

    assert play.last().outcome == "rolled_back"
    assert play.last().reason.startswith("silence: r0-c0-e0")


def test_a_stream_that_ends_and_is_back_in_time_is_no_silence() -> None:
    play = in_canary()

    play.do(Lost(at=play.at, edge=CANARY, reason="its stream ended", heard_at=play.at))
    play.wait(5)
    play.do(Joined(at=play.at, place=places()[0], bundle="v1"))
    play.wait(20)

    assert play.stage == "canary"


def test_a_stream_that_ends_and_stays_away_is_silence() -> None:
    play = in_canary()

    play.do(Lost(at=play.at, edge=CANARY, reason="its stream ended", heard_at=play.at))
    play.wait(10)

    assert play.last().outcome == "rolled_back"


def test_one_of_many_hosts_may_go_away_in_a_bake() -> None:
    play = Play(places())
    play.propose("v1")
    play.until("bake")

    play.do(Lost(at=play.at, edge=CANARY))
    play.until("")

    assert play.good() == ["v1"]


def test_two_of_twelve_that_go_away_in_a_bake_bring_it_back() -> None:
    play = Play(places())
    play.propose("v1")
    play.until("bake")

    play.do(Lost(at=play.at, edge=CANARY))
    play.do(Lost(at=play.at, edge=CONTROL))

    assert play.last().outcome == "rolled_back"


def test_a_lost_edge_with_the_candidate_is_told_to_go_back_when_it_returns() -> None:
    play = in_canary()
    play.do(Lost(at=play.at, edge=CANARY))

    actions = play.do(Joined(at=play.at, place=places()[0], bundle="v1"))

    assert assigned(actions) == [((CANARY,), "v0")]


def test_an_edge_that_says_what_nobody_told_it_is_noted_and_told_again_once() -> None:
    play = Play(places())
    play.propose("v1")
    play.deaf = {CONTROL}

    first = play.do(EdgeApplied(at=play.at, edge=CONTROL, bundle="strange"))
    second = play.do(EdgeApplied(at=play.at, edge=CONTROL, bundle="strange"))

    assert assigned(first) == [((CONTROL,), "v0")]
    assert "which nobody has told it to run" in next(each.reason for each in first if isinstance(each, Decide))
    assert second == []


def test_a_late_word_of_the_version_before_is_no_lie() -> None:
    play = in_canary()

    actions = play.do(EdgeApplied(at=play.at, edge=CANARY, bundle="v0"))

    assert assigned(actions) == []


def test_a_newcomer_is_told_what_its_cell_runs() -> None:
    play = Play(places())
    play.propose("v1")
    play.until("half")

    for cell, bundle in (("r0-c0", "v1"), ("r2-c1", "v0")):
        place = EdgePlace(edge=f"new-{cell}", region=cell[:2], cell=cell)
        assert play.conductor.bundle_for(place) == bundle
        play.runs[place.edge] = ""
        assert assigned(play.do(Joined(at=play.at, place=place))) == [((place.edge,), bundle)]


def test_a_newcomer_of_a_later_wave_takes_the_candidate_with_it() -> None:
    play = in_canary()
    play.runs["new"] = ""
    play.do(Joined(at=play.at, place=EdgePlace(edge="new", region="r2", cell="r2-c1")))

    play.until("")

    assert play.on("v1") == {*play.runs}


def test_an_edge_that_was_away_when_waves_were_planned_takes_the_candidate_with_its_cell() -> None:
    play = Play(places())
    play.do(Lost(at=play.at, edge="r2-c1-e1"))
    play.propose("v1")
    play.until("canary")

    play.do(Joined(at=play.at, place=next(one for one in places() if one.edge == "r2-c1-e1"), bundle="v0"))

    course = play.conductor.view(play.at).rollout
    assert course is not None
    named = [name for step in course.stages for name in step.names]
    assert sorted(named) == sorted(play.runs)
    play.until("")
    assert play.on("v1") == {*play.runs}


def test_an_edge_that_joins_again_with_what_it_should_run_is_left_alone() -> None:
    play = in_canary()

    assert assigned(play.do(Joined(at=play.at, place=places()[0], bundle="v1"))) == []


def test_an_edge_that_nobody_knows_moves_nothing() -> None:
    play = in_canary()

    for event in (
        EdgeDied(at=play.at, edge="stranger", bundle="v1", reason="x"),
        EdgeApplied(at=play.at, edge="stranger", bundle="v1", rejections=("x",)),
        EdgeRefused(at=play.at, edge="stranger", bundle="v1", by="taster", reason="x"),
        Lost(at=play.at, edge="stranger"),
    ):
        assert play.do(event) == []


def test_an_edge_that_was_away_for_a_week_is_forgotten() -> None:
    play = Play(places())
    play.do(Lost(at=play.at, edge=CANARY))

    play.now = Instant(play.now + 8 * 86400)
    play.wait(1)

    assert CANARY not in play.conductor.assigned


def test_without_stages_an_edge_may_run_a_change_before_the_machine_hears_of_it() -> None:
    play = Play(places(), spec())
    play.propose("v1")

    assert play.do(EdgeApplied(at=play.at, edge=CANARY, bundle="v2")) == []
