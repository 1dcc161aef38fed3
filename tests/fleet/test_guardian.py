"""When an Envoy is started again, and when its state is taken back. No process, no clock."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet.guardian import (
    PROBATION,
    Action,
    Booted,
    Died,
    Event,
    Guardian,
    Offered,
    Promote,
    Refuse,
    Remember,
    Restore,
    Settled,
    Start,
    Started,
    Take,
    Ticked,
    Vouched,
)
from seawall.kit.units import Instant, Seconds

NOON = Instant(5_000.0)
"""A clock starts anywhere."""


def at(seconds: float) -> Instant:
    return Instant(NOON + seconds)


def serving(*, good: str = "good") -> Guardian:
    """An Envoy that has run on a proven state for ever."""
    guardian = Guardian(mark=0, version=good, good=good)
    guardian.handle(Started(at=at(-1000)))
    guardian.handle(Settled(at=at(-999), version=good, is_serving=True))
    return guardian


def offer(guardian: Guardian, seconds: float, version: str) -> Sequence[Action]:
    return guardian.handle(Offered(at=at(seconds), version=version))


def settle(guardian: Guardian, seconds: float, version: str) -> Sequence[Action]:
    return guardian.handle(Settled(at=at(seconds), version=version, is_serving=True))


def die(guardian: Guardian, seconds: float, luck: float = 0.0) -> Sequence[Action]:
    return guardian.handle(Died(at=at(seconds), reason="signal 11", luck=luck))


def crash(guardian: Guardian, seconds: float) -> list[Action]:
    """Two deaths, a second apart."""
    first = die(guardian, seconds)
    guardian.handle(Started(at=at(seconds)))
    second = die(guardian, seconds + 1)
    guardian.handle(Started(at=at(seconds + 1)))
    return [*first, *second]


def test_a_new_edge_starts_at_once() -> None:
    guardian = Guardian(mark=0, version="", good="")

    assert guardian.handle(Booted(at=NOON, is_adopted=False, was_running=False)) == [Start(after=Seconds(0))]
    assert not guardian.has_settled


def test_an_adopted_envoy_is_left_alone() -> None:
    guardian = Guardian(mark=3, version="v", good="good", remembered=Remember(deaths=1))

    assert guardian.handle(Booted(at=NOON, is_adopted=True, was_running=True)) == []


def test_changes_of_five_seconds_share_a_mark() -> None:
    guardian = serving()

    assert offer(guardian, 0, "a") == [Take(version="a", mark=1)]
    assert offer(guardian, 4.9, "b") == [Take(version="b", mark=1)]
    assert offer(guardian, 5.0, "c") == [Take(version="c", mark=2)]


def test_what_runs_already_is_not_taken_again() -> None:
    assert offer(serving(), 0, "good") == []


def test_a_state_is_proven_after_a_minute_of_life() -> None:
    guardian = serving()
    offer(guardian, 0, "a")
    settle(guardian, 2, "a")

    assert guardian.handle(Ticked(at=at(2 + PROBATION - 0.1))) == []
    assert guardian.handle(Ticked(at=at(2 + PROBATION))) == [Promote(mark=1), Remember(refused="", deaths=0)]
    assert guardian.handle(Ticked(at=at(500))) == []


def test_what_never_settled_is_never_proven() -> None:
    guardian = serving()
    offer(guardian, 0, "a")

    assert guardian.handle(Ticked(at=at(1000))) == []


def test_a_stream_of_changes_is_proven_behind_its_head() -> None:
    guardian = serving()
    promoted: list[Action] = []
    for second in range(200):
        offer(guardian, second, f"v{second}")
        promoted += settle(guardian, second + 0.5, f"v{second}")

    marks = [action.mark for action in promoted if isinstance(action, Promote)]
    assert marks[:2] == [1, 2]
    assert marks[-1] == max(marks) >= 200 // 5 - 14


def test_a_mark_is_settled_by_a_later_version_even_if_its_own_was_skipped() -> None:
    guardian = serving()
    offer(guardian, 0, "a")
    offer(guardian, 1, "b")
    offer(guardian, 6, "c")
    offer(guardian, 7, "d")
    settle(guardian, 8, "a")
    settle(guardian, 9, "c")

    assert guardian.handle(Ticked(at=at(200))) == [Promote(mark=1), Remember(refused="", deaths=0)]


def test_the_first_restart_is_immediate_and_later_ones_wait_longer() -> None:
    guardian = serving()
    waits = []
    for second in range(0, 16, 2):
        [start] = die(guardian, second, luck=1.0)
        assert isinstance(start, Start)
        waits.append(start.after)
        guardian.handle(Started(at=at(second + 1)))

    assert waits == [0, 0, 0.5, 1, 2, 4, 8, 15]
    assert guardian.deaths == 8


def test_restarts_of_a_fleet_are_spread() -> None:
    guardian = serving()
    die(guardian, 0)
    die(guardian, 1)

    assert [die(guardian, 2, luck=0.0), die(guardian, 3, luck=0.5)] == [
        [Start(after=Seconds(0.25))],
        [Start(after=Seconds(0.75))],
    ]


def test_a_long_life_forgives() -> None:
    guardian = serving()
    crash(guardian, 0)
    die(guardian, 3)
    guardian.handle(Started(at=at(4)))

    assert die(guardian, 4 + PROBATION) == [Start(after=Seconds(0))]


def test_one_death_on_a_new_state_restarts_it() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")

    assert die(guardian, 1) == [Remember(refused="", deaths=1), Start(after=Seconds(0))]
    assert not guardian.has_settled


def test_two_deaths_on_a_new_state_restore_the_one_before() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    settle(guardian, 0.5, "bad")

    actions = crash(guardian, 1)

    reason = guardian.fallback
    assert "died 2 times on version bad" in reason
    restore = Restore(version="good", refused="bad", reason=reason)
    assert actions[2:] == [restore, Remember(refused="bad", deaths=0, haven="good"), Start(after=Seconds(0))]


def test_deaths_long_after_a_change_restore_nothing() -> None:
    guardian = serving()
    offer(guardian, 0, "a")
    settle(guardian, 1, "a")
    guardian.handle(Ticked(at=at(62)))

    assert crash(guardian, 63) == [Start(after=Seconds(0)), Start(after=Seconds(0))]
    assert guardian.fallback == ""


def test_a_death_is_forgiven_when_its_state_is_proven() -> None:
    guardian = serving()
    offer(guardian, 0, "a")
    die(guardian, 1)
    guardian.handle(Started(at=at(1)))
    settle(guardian, 2, "a")
    offer(guardian, 30, "b")
    settle(guardian, 31, "b")
    guardian.handle(Ticked(at=at(63)))

    assert die(guardian, 64) == [Remember(refused="", deaths=1), Start(after=Seconds(0))]


def test_without_a_proven_state_there_is_nothing_to_go_back_to() -> None:
    guardian = Guardian(mark=0, version="", good="")
    guardian.handle(Started(at=at(-1)))
    offer(guardian, 0, "first")

    actions = crash(guardian, 1)

    assert not any(isinstance(action, Restore) for action in actions)
    assert guardian.fallback == ""


def test_the_refused_version_stays_refused_and_a_different_one_is_taken() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    crash(guardian, 1)

    assert offer(guardian, 3, "bad") == [Refuse(version="bad", reason=guardian.fallback)]
    assert guardian.fallback
    assert offer(guardian, 4, "fixed") == [Take(version="fixed", mark=2)]
    assert guardian.fallback == ""


def test_an_edge_that_was_taken_elsewhere_comes_back_to_what_it_once_refused() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    crash(guardian, 1)
    offer(guardian, 4, "worse")

    assert offer(guardian, 6, "bad") == [Take(version="bad", mark=2)]
    crash(guardian, 7)
    assert isinstance(offer(guardian, 8, "bad")[0], Refuse)


def test_going_back_to_the_proven_version_ends_the_fallback() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    crash(guardian, 1)

    assert offer(guardian, 3, "good") == []
    assert guardian.fallback == ""


def test_a_stream_of_bad_versions_is_not_a_stream_of_crashes() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    crash(guardian, 1)
    offer(guardian, 3, "worse")
    crash(guardian, 4)

    [held] = offer(guardian, 10, "next")
    assert isinstance(held, Refuse) and held.is_for_now
    assert "tried in 55 s" in held.reason
    assert offer(guardian, 5 + PROBATION, "next") == [Take(version="next", mark=3)]


def test_a_refusal_outlives_the_agent() -> None:
    guardian = Guardian(mark=0, version="good", good="good", remembered=Remember(refused="bad", haven="good"))

    [refusal] = offer(guardian, 0, "bad")

    assert isinstance(refusal, Refuse)
    assert "has killed Envoy" in guardian.fallback


def test_deaths_before_the_agent_died_count() -> None:
    guardian = Guardian(mark=7, version="bad", good="good", remembered=Remember(deaths=1))
    guardian.handle(Booted(at=NOON, is_adopted=False, was_running=False))
    guardian.handle(Started(at=at(0)))

    assert isinstance(die(guardian, 1)[0], Restore)


def test_dying_together_twice_restores_too() -> None:
    guardian = Guardian(mark=7, version="bad", good="good", remembered=Remember(deaths=1))

    actions = guardian.handle(Booted(at=NOON, is_adopted=False, was_running=True))

    assert isinstance(actions[0], Restore)
    assert actions[-1] == Start(after=Seconds(0))


def test_dying_together_on_a_proven_state_is_no_suspicion() -> None:
    guardian = Guardian(mark=0, version="good", good="good")

    assert guardian.handle(Booted(at=NOON, is_adopted=False, was_running=True)) == [Start(after=Seconds(0))]


def trust(guardian: Guardian, seconds: float, version: str) -> Sequence[Action]:
    return guardian.handle(Offered(at=at(seconds), version=version, is_proven=True))


def test_what_the_fleet_has_lived_with_is_proven_at_once() -> None:
    guardian = serving()
    [take] = offer(guardian, 0, "bad")
    assert isinstance(take, Take)

    assert trust(guardian, 1, "good") == [
        Take(version="good", mark=take.mark + 1),
        Promote(mark=take.mark + 1),
        Remember(refused="", deaths=0),
    ]
    assert crash(guardian, 2) == [Start(after=Seconds(0)), Start(after=Seconds(0))]


def test_what_runs_here_on_trial_is_proven_when_the_fleet_has_lived_with_it() -> None:
    guardian = serving()
    [take] = offer(guardian, 0, "new")
    assert isinstance(take, Take)
    die(guardian, 1)

    assert trust(guardian, 2, "new") == [Promote(mark=take.mark), Remember(refused="", deaths=0)]
    assert trust(guardian, 3, "new") == []


def test_what_the_fleet_has_lived_with_is_taken_even_if_it_was_refused_here() -> None:
    guardian = serving()
    offer(guardian, 0, "bad")
    crash(guardian, 1)

    assert isinstance(trust(guardian, 2, "bad")[0], Take)
    assert guardian.fallback == ""
    assert offer(guardian, 3, "bad") == []


def test_the_way_back_is_what_the_fleet_has_lived_with() -> None:
    guardian = serving()
    guardian.handle(Vouched(version="lkg"))
    offer(guardian, 0, "bad")

    restore = crash(guardian, 1)[2]

    assert isinstance(restore, Restore)
    assert (restore.version, restore.refused) == ("lkg", "bad")


def test_what_kills_envoy_is_no_way_back_though_the_fleet_has_lived_with_it() -> None:
    guardian = serving()
    guardian.handle(Vouched(version="bad"))
    offer(guardian, 0, "bad")

    restore = crash(guardian, 1)[2]

    assert isinstance(restore, Restore)
    assert restore.version == "good"


events = st.one_of(
    st.builds(Started, at=st.just(NOON)),
    st.builds(Died, at=st.just(NOON), reason=st.just("x"), luck=st.floats(0, 0.99)),
    st.builds(Offered, at=st.just(NOON), version=st.sampled_from("abcd"), is_proven=st.booleans()),
    st.builds(Settled, at=st.just(NOON), version=st.sampled_from("abcd"), is_serving=st.booleans()),
    st.builds(Ticked, at=st.just(NOON)),
)


@given(st.lists(st.tuples(events, st.floats(0, 50)), max_size=60))
def test_every_death_is_followed_by_exactly_one_start(history: list[tuple[Event, float]]) -> None:
    guardian = Guardian(mark=0, version="a", good="a")
    now = float(NOON)
    last_mark = 0
    for event, pause in history:
        now += pause
        actions = guardian.handle(_moved(event, Instant(now)))

        starts = [action for action in actions if isinstance(action, Start)]
        assert len(starts) == isinstance(event, Died)
        for action in actions:
            if isinstance(action, Take):
                assert action.mark >= last_mark
                last_mark = action.mark
            if isinstance(action, Promote):
                assert action.mark <= last_mark


def _moved(event: Event, to: Instant) -> Event:
    if isinstance(event, Vouched):
        return event
    return msgspec.structs.replace(event, at=to)
