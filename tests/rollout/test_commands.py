"""What people say, what becomes of it, and the sentence that they get."""

import pytest
from tests.rollout.play import SOLO, Play, places, report, spec

from seawall.rollout.change import GuardResult, Override
from seawall.rollout.events import Action, Answer, Assign, Commanded, Compare, Proposed, Verb

HOLD = GuardResult(guard="G11", title="delete budget", verdict="hold", message="12 of 20 routes would go.")
REFUSE = GuardResult(guard="G10", title="never empty", verdict="refuse", message="cluster a would be empty.")


def in_canary() -> Play:
    play = Play(places(), SOLO)
    play.propose("v1")
    return play


def two_good() -> Play:
    play = Play(places(), SOLO)
    play.bake("v1", "v0")
    play.bake("v2", "v1")
    return play


def told(actions: list[Action]) -> list[Assign]:
    return [each for each in actions if isinstance(each, Assign)]


def lift(play: Play, guard: str, until: float) -> Answer:
    given = Override(guard=guard, who="", reason="they are gone for good", until=play.at)
    given = Override(guard=guard, who="", reason=given.reason, until=type(given.until)(until))
    actions = play.do(Commanded(at=play.at, verb="override", who="ann", override=given))
    return next(each for each in actions if isinstance(each, Answer))


def test_promote_skips_the_rest_of_a_wait() -> None:
    play = in_canary()
    play.until("region")

    play.say("promote")

    assert play.stage == "quarter"


def test_promote_never_skips_thirty_seconds_of_canary() -> None:
    play = in_canary()

    play.say("promote")
    assert play.stage == "canary"
    play.wait(25)
    assert play.stage == "canary"
    play.wait(5)

    assert play.stage == "cell"


def test_promote_never_skips_the_sandbox() -> None:
    play = Play(places(), SOLO)
    play.is_sandbox_fine = None
    play.propose("v1")

    assert play.say("promote").reason == "the sandbox cannot be skipped; it ends by itself."


def test_promote_never_skips_an_edge_that_has_not_applied() -> None:
    play = in_canary()
    play.deaf = {"r0-c1-e0"}
    play.until("region")

    play.say("promote")
    play.wait(5)

    assert play.stage == "region"


def test_promote_in_a_bake_ends_it_and_proves_nothing() -> None:
    play = in_canary()
    play.until("bake")

    play.say("promote")

    assert (play.last().outcome, play.good(), play.conductor.running) == ("completed", [], "v1")


def test_promote_of_what_failed_is_a_new_attempt() -> None:
    play = in_canary()
    play.errors = 0.5
    play.wait(15)
    play.errors = 0.0

    actions = play.do(Commanded(at=play.at, verb="promote", who="ann", rollout="to-v1"))
    (compare,) = [each for each in actions if isinstance(each, Compare)]
    play.do(Proposed(at=play.at, rollout=compare.rollout, report=report(compare.candidate, compare.base)))
    play.until("")

    assert (compare.rollout, play.last().outcome) == ("to-v1.2", "completed")


def test_promote_of_what_nobody_knows_says_so() -> None:
    answer = in_canary().say("promote", rollout="nothing")

    assert answer.reason == "there is no rollout nothing that is under way or that failed."


def test_a_freeze_stops_promotion_and_a_thaw_lets_it_go_on() -> None:
    play = in_canary()
    play.say("freeze", reason="incident 7")

    play.wait(7200, step=30)
    assert (play.stage, "incident 7" in play.held) == ("canary", True)
    play.say("thaw")
    play.wait(5)

    assert play.stage == "cell"


def test_a_freeze_stops_no_rollback() -> None:
    play = in_canary()
    play.say("freeze")

    play.errors = 0.5
    play.wait(15)

    assert play.last().outcome == "rolled_back"


def test_nobody_promotes_through_a_freeze() -> None:
    play = in_canary()
    play.say("freeze", reason="incident 7")

    assert "thaw it first" in play.say("promote").reason


def test_a_window_of_the_perimeter_cannot_be_thawed_by_command() -> None:
    play = Play(
        places(),
        spec('{"freeze": [{"from": "2024-12-01T00:00Z", "until": "2025-01-02T00:00Z", "reason": "holidays"}]}'),
    )

    assert "change it there" in play.say("thaw").reason


def test_an_immediate_change_waits_for_the_end_of_a_freeze_too() -> None:
    play = Play(places(), spec())
    play.say("freeze", until=play.now + 60)

    play.propose("v1")
    assert play.on("v1") == set()
    play.wait(60)

    assert play.on("v1") == set(play.runs)


def test_pause_holds_without_a_time_limit_and_resume_goes_on() -> None:
    play = in_canary()
    play.say("pause")
    play.wait(7200, step=30)
    assert play.stage == "canary"

    play.say("resume")
    play.wait(5)

    assert play.stage == "cell"


def test_abort_brings_every_edge_back() -> None:
    play = in_canary()
    play.until("half")

    play.say("abort", reason="I do not like it")

    assert (play.last().outcome, play.on("v0")) == ("aborted", set(play.runs))


def test_an_aborted_candidate_waits_for_a_person() -> None:
    play = in_canary()
    play.say("abort")

    play.propose("v1", rollout="again")

    assert play.last().outcome == "refused"


def test_back_is_one_answer_for_a_thousand_edges_proven_and_without_a_taster() -> None:
    play = Play(places(10, 10, 10), SOLO)
    play.bake("v1", "v0")
    play.bake("v2", "v1")

    (order,) = told(play.conductor.handle(Commanded(at=play.at, verb="back", who="ann")))

    assert (len(order.edges), order.bundle, order.is_proven, order.taste) == (1000, "v1", True, 0.0)


def test_back_in_the_middle_of_a_rollout_goes_to_the_newest_proven_one() -> None:
    play = two_good()
    play.propose("v3", "v2")
    play.until("half")

    play.say("back")

    assert (play.on("v2"), play.last().outcome) == (set(play.runs), "aborted")


def test_back_twice_goes_back_twice_never_forward() -> None:
    play = two_good()
    play.bake("v3", "v2")

    play.say("back")
    play.say("back")

    assert play.on("v1") == set(play.runs)


def test_back_to_the_running_version_says_so_and_does_nothing() -> None:
    play = two_good()

    answer = play.say("back", bundle="v2")

    assert answer.reason == "every edge runs v2 already; nothing was done."


def test_back_to_what_never_baked_is_refused_and_names_what_is_kept() -> None:
    answer = two_good().say("back", bundle="v9")

    assert answer.reason == "v9 is not the name of one proven bundle; kept are: v2, v1."


def test_back_without_anything_proven_goes_to_what_ran_before() -> None:
    play = in_canary()
    assert play.say("back").reason == "all 12 edges go back to v0 and stay there. Afterwards: seawall rollout unpin."


def test_while_pinned_changes_wait_until_somebody_unpins() -> None:
    play = two_good()
    play.say("back")

    play.propose("v3", "v1")
    assert play.stage == ""
    play.say("unpin")

    assert play.stage == "canary"


def test_what_somebody_went_back_from_is_not_tried_again_by_itself() -> None:
    play = two_good()
    play.say("back")
    play.say("unpin")

    play.propose("v2", "v1", rollout="again")

    assert play.last().outcome == "refused"


def test_unpin_without_a_pin_says_so() -> None:
    assert in_canary().say("unpin").reason == "nothing is pinned."


def test_an_override_lets_a_held_rollout_go() -> None:
    play = Play(places(), SOLO)
    play.propose("v1", guards=(HOLD,))

    answer = lift(play, "G11", play.now + 600)

    assert (answer.is_accepted, play.stage) == (True, "canary")


def test_an_override_of_another_guard_lets_nothing_go() -> None:
    play = Play(places(), SOLO)
    play.propose("v1", guards=(HOLD,))

    lift(play, "G12", play.now + 600)

    assert play.stage == "guards"


def test_an_override_lifts_a_refusal_for_the_next_attempt_and_expires() -> None:
    play = Play(places(), SOLO)
    play.propose("v1", guards=(REFUSE,))
    lift(play, "G10", play.now + 600)

    play.propose("v1", guards=(REFUSE,), rollout="second")
    assert play.stage == "canary"
    play.say("abort")
    play.wait(700)
    play.propose("v2", guards=(REFUSE,))

    assert play.last().outcome == "refused"


def test_an_override_without_an_end_is_refused() -> None:
    play = Play(places(), SOLO)

    assert lift(play, "G10", 0.0).reason == "override needs a time in the future at which it ends."


def test_an_emergency_compresses_clocks_and_keeps_sandbox_taster_and_thirty_seconds_of_canary() -> None:
    play = Play(places(), SOLO)
    play.propose("v1", risk="R3")
    began = play.now

    play.say("emergency", reason="incident 7", until=play.now + 3600)
    play.until("cell")
    assert play.now - began == 30
    play.until("bake")

    tastes = [each.taste for each in play.actions if isinstance(each, Assign) and each.bundle == "v1"][1:]
    assert set(tastes) == {5.0}


def test_an_emergency_passes_a_freeze() -> None:
    play = in_canary()
    play.say("freeze")

    play.say("emergency", reason="incident 7", until=play.now + 3600)
    play.wait(60)

    assert play.stage != "canary"


def test_an_emergency_for_what_waits_ends_a_bake() -> None:
    play = in_canary()
    play.until("bake")
    play.propose("v2", "v1")

    answer = play.say("emergency", reason="incident 7", rollout="to-v2", until=play.now + 3600)
    current = play.conductor.view(play.at).rollout

    assert answer.is_accepted
    assert current is not None
    assert (current.candidate, current.emergency_until) == ("v2", play.now + 3600)


@pytest.mark.parametrize("verb", ["promote", "pause", "resume", "abort"])
def test_without_a_rollout_the_answer_says_so(verb: Verb) -> None:
    answer = Play(places(), SOLO).say(verb)

    assert answer.reason == f"there is nothing to {verb}: no rollout is under way."


def test_a_command_for_another_rollout_moves_nothing() -> None:
    answer = in_canary().say("abort", rollout="to-v9")

    assert answer.reason == "to-v9 is not under way; to-v1 is."


def test_a_machine_that_resumes_what_it_paused_leaves_the_pause_of_a_person() -> None:
    play = in_canary()
    play.say("pause", "ann")
    play.say("pause", "seawall")

    play.say("resume", "seawall")
    play.wait(300)
    assert play.stage == "canary"
    play.say("resume", "ben")
    play.wait(5)

    assert play.stage == "cell"
