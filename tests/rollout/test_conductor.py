"""The queue, the first start, the state that is put away."""

from tests.rollout.play import SOLO, Play, places, report, spec

from seawall.kit.units import Instant
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Assign, Compare, Decide, Proposed, RunSandbox, Ticked


def in_canary() -> Play:
    play = Play(places(), SOLO)
    play.propose("v1")
    return play


def test_a_rollout_of_nothing_is_over_at_once() -> None:
    play = Play(places())

    play.propose("v0", base="v0")

    assert (play.last().outcome, play.last().reason) == ("completed", "nothing differs: v0 is what runs.")


def test_one_rollout_at_a_time_and_the_next_one_waits() -> None:
    play = in_canary()

    actions = play.propose("v2")

    assert play.conductor.view(play.at).waiting == "to-v2"
    (decision,) = [each for each in actions if isinstance(each, Decide)]
    assert (decision.decision, decision.reason) == (
        "queue",
        "it waits: to-v1 is under way; one rollout at a time.",
    )


def test_of_two_that_wait_the_newest_does() -> None:
    play = in_canary()

    play.propose("v2")
    play.propose("v3")

    assert play.outcomes() == [("to-v2", "superseded")]
    assert play.conductor.view(play.at).waiting == "to-v3"


def test_what_gave_way_does_not_come_back_when_its_comparison_is_late() -> None:
    play = in_canary()
    play.propose("v2", base="v0")
    play.until("")
    play.propose("v3", base="v1")

    actions = play.do(Proposed(at=play.at, rollout="to-v2", report=report("v2", "v1")))

    assert actions == []
    assert play.outcomes().count(("to-v2", "superseded")) == 1
    assert play.on("v3") == {"r0-c0-e0"}


def test_what_waited_is_compared_with_what_runs_by_then() -> None:
    play = in_canary()
    play.propose("v2", base="v0")

    play.until("")
    assert [each for each in play.actions if isinstance(each, Compare)] == [
        Compare(rollout="to-v2", base="v1", candidate="v2")
    ]
    play.do(Proposed(at=play.at, rollout="to-v2", report=report("v2", "v1")))

    assert (play.stage, play.on("v2")) == ("canary", {"r0-c0-e0"})


def test_after_a_rollback_what_waited_begins_from_the_version_before() -> None:
    play = in_canary()
    play.propose("v2", base="v0")

    play.say("abort")

    assert play.on("v2") == {"r0-c0-e0"}


def test_the_same_candidate_twice_is_one_rollout() -> None:
    play = in_canary()

    play.propose("v1", rollout="again")

    assert play.last().reason == "the same is under way as to-v1."
    assert play.stage == "canary"


def test_the_same_proposal_twice_changes_nothing() -> None:
    play = in_canary()

    assert play.propose("v1") == []


def test_a_source_that_goes_back_ends_the_rollout() -> None:
    play = in_canary()

    play.propose("v0", base="v0")

    assert play.outcomes() == [("to-v1", "aborted"), ("to-v0", "completed")]
    assert play.on("v0") == set(play.runs)


def test_a_source_that_went_back_may_come_again() -> None:
    play = in_canary()
    play.propose("v0", base="v0")

    play.propose("v1", rollout="again")

    assert play.stage == "canary"


def test_what_reached_nobody_gives_way() -> None:
    play = Play()
    play.propose("v1", base="")
    play.propose("v2", base="", rollout="second")

    # The sandbox of the first has ended, but there is nobody yet.
    assert play.conductor.view(play.at).waiting == "second"


def test_without_a_memory_the_base_of_the_report_is_what_runs() -> None:
    play = Play(places())

    play.propose("v1", base="v0")

    assert play.conductor.running == "v0"


def test_decide_after_restore_is_decide_without() -> None:
    play = in_canary()
    play.until("half")

    other = Conductor.restore(play.conductor.state())

    event = Ticked(at=play.at)
    assert other.handle(event) == play.conductor.handle(event)
    assert other.state() == play.conductor.state()


def test_a_new_leader_repeats_what_is_wished_for() -> None:
    play = Play(places())
    play.is_sandbox_fine = None
    play.propose("v1")

    wishes = Conductor.restore(play.conductor.state()).again(play.at)

    assert [type(each) for each in wishes] == [Assign, RunSandbox]


def test_repeating_the_wishes_changes_nothing() -> None:
    play = in_canary()
    before = play.conductor.state()

    play.conductor.again(play.at)

    assert play.conductor.state() == before


def test_nothing_that_may_be_needed_is_free_to_go() -> None:
    play = Play(places(), SOLO)
    play.bake("v1", "v0")
    play.bake("v2", "v1")
    play.propose("v3", "v2")
    play.propose("v4", "v2")

    assert play.conductor.used == {"v1", "v2", "v3", "v4"}


def test_only_so_many_good_ones_are_kept() -> None:
    play = Play(places(1, 1, 1), spec('{"rollout": {"keep": 3}}'))
    play.is_counted = False

    for number in range(1, 6):
        play.propose(f"v{number}", f"v{number - 1}")
        play.wait(1800, step=30)

    assert play.conductor.view(play.at).goods == ("v5", "v4", "v3")


def test_what_is_under_way_can_be_asked_for() -> None:
    play = in_canary()
    conductor = play.conductor
    assert (conductor.under_way, conductor.candidate, conductor.stage, conductor.is_staged) == (
        "to-v1",
        "v1",
        "canary",
        True,
    )

    play.until("")

    assert (conductor.under_way, conductor.candidate, conductor.stage, conductor.goods) == ("", "", "", ("v1",))


def test_a_change_without_stages_passes_unless_something_is_said_against_it() -> None:
    play = Play(places(), spec())
    conductor = play.conductor
    assert conductor.lets_pass("v1", play.at)

    play.say("freeze")
    assert not conductor.lets_pass("v1", play.at)
    play.say("thaw")
    play.propose("v1")
    play.say("abort")

    assert not conductor.lets_pass("v1", play.at)
    assert conductor.lets_pass("v2", play.at)


def test_nothing_passes_by_a_rollout_in_stages() -> None:
    assert not in_canary().conductor.lets_pass("v2", Instant(0.0))
