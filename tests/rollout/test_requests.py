"""Two people for what is dangerous."""

from tests.rollout.play import Play, places

from seawall.rollout.events import Assign, Commanded
from seawall.rollout.requests import EXPIRES_AFTER


def in_canary() -> Play:
    play = Play(places())
    play.propose("v1")
    assert play.stage == "canary"
    return play


def emergency(play: Play) -> str:
    return play.say("emergency", "ann", reason="incident 7", until=play.now + 600).request


def test_an_emergency_waits_for_a_second_person() -> None:
    play = in_canary()

    emergency(play)
    play.wait(40)

    assert play.stage == "canary"


def test_another_person_approves_and_it_happens() -> None:
    play = in_canary()

    request = emergency(play)
    answer = play.say("approve", "ben", request=request)

    assert answer.is_accepted
    assert "ann and ben: emergency" in answer.reason


def test_the_same_person_cannot_approve() -> None:
    play = in_canary()

    answer = play.say("approve", "ann", request=emergency(play))

    assert not answer.is_accepted
    assert answer.reason == "ann has asked for request-1 and cannot approve it: it takes another person to say yes."


def test_a_request_expires() -> None:
    play = in_canary()
    request = emergency(play)

    play.wait(EXPIRES_AFTER, step=30)

    assert play.say("approve", "ben", request=request).reason == "there is no request request-1; waiting: none."


def test_a_request_is_approved_once() -> None:
    play = in_canary()
    request = emergency(play)
    play.say("approve", "ben", request=request)

    assert not play.say("approve", "cho", request=request).is_accepted


def test_going_back_to_a_proven_bundle_needs_nobody_else() -> None:
    play = Play(places())
    play.bake("v1", "v0")
    play.bake("v2", "v1")

    actions = play.do(Commanded(at=play.at, verb="back", who="ann"))

    assert isinstance(actions[0], Assign)


def test_an_emergency_without_a_reason_is_refused_before_anybody_is_asked() -> None:
    play = in_canary()

    answer = play.say("emergency", "ann", reason="", until=play.now + 600)

    assert (answer.is_accepted, answer.request) == (False, "")


def test_an_emergency_without_an_end_is_refused() -> None:
    assert not in_canary().say("emergency", "ann", reason="fire").is_accepted
