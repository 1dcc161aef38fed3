"""What `seawall rollout status` shows."""

from tests.rollout.play import Play, places


def test_the_stages_say_who_has_it_and_how_long_it_takes() -> None:
    play = Play(places())
    play.propose("v1")
    play.wait(20)

    current = play.conductor.view(play.at).rollout
    assert current is not None
    shown = {each.stage: each for each in current.stages}

    assert (shown["canary"].state, shown["canary"].names, shown["canary"].remaining) == ("running", ("r0-c0-e0",), 40.0)
    assert (shown["sandbox"].state, shown["all"].state, shown["all"].edges) == ("done", "waiting", 6)


def test_a_view_changes_nothing() -> None:
    play = Play(places())
    play.propose("v1")
    before = play.conductor.state()

    play.conductor.view(play.at)

    assert play.conductor.state() == before


def test_what_is_over_is_listed_newest_first() -> None:
    play = Play(places())
    play.bake("v1", "v0")
    play.bake("v2", "v1")

    shown = play.conductor.view(play.at)

    assert [each.rollout for each in shown.finished] == ["to-v2", "to-v1"]
    assert (shown.goods, shown.bundles, shown.running) == (("v2", "v1"), {"v2": 12}, "v2")
