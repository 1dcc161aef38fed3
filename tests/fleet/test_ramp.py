"""Ramp: when the door is half shut, and how it opens."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet.ramp import MARGIN, PATIENCE, REST, SHARES, STARTS, WITHIN, Ramp
from seawall.fleet.wire import Recovery
from seawall.kit.units import Instant

STEP, CROWDED = Recovery().step, Recovery().memory
CALM, FULL = CROWDED - MARGIN, CROWDED + MARGIN


def at(second: float) -> Instant:
    return Instant(1000.0 + second)


def shut() -> Ramp:
    ramp = Ramp()
    for second in range(STARTS):
        ramp.started(at(second))
    return ramp


def test_who_died_once_is_open() -> None:
    ramp = Ramp()
    assert ramp.started(at(0)) == ramp.started(at(1)) == 1.0
    assert ramp.looked(at(2), 0.5) == 1.0
    assert ramp.started(at(1 + WITHIN)) == 1.0


def test_who_keeps_dying_opens_in_steps_while_memory_is_calm() -> None:
    ramp = shut()
    found = [ramp.looked(at(STARTS + second), CALM - 0.1) for second in (0, STEP, STEP + 1, 2 * STEP, 3 * STEP)]
    assert found == [0.3, 0.6, 0.6, 1.0, 1.0]


def test_starts_that_a_bad_version_explains_shut_no_door() -> None:
    ramp = Ramp()
    for second in range(STARTS - 1):
        ramp.started(at(second))
    ramp.explained()

    assert ramp.started(at(STARTS)) == 1.0


def test_memory_holds_a_step_and_takes_one_back() -> None:
    ramp = shut()
    assert ramp.looked(at(2 + STEP), CALM) == 0.3
    assert ramp.looked(at(3 + STEP), CALM - 0.01) == 0.6
    assert ramp.looked(at(4 + STEP), FULL + 0.01) == 0.3


def test_memory_that_fills_after_a_start_shuts_the_door_and_later_does_not() -> None:
    ramp = Ramp()
    ramp.started(at(0))
    assert ramp.looked(at(5), CROWDED + 0.01) == SHARES[0]
    late = Ramp()
    late.started(at(0))
    assert late.looked(at(61), CROWDED + 0.01) == 1.0


def test_memory_that_stays_as_it_is_does_not_keep_the_door_shut_for_ever() -> None:
    ramp = shut()
    assert ramp.looked(at(STARTS + PATIENCE - 2), CROWDED) == 0.3
    assert ramp.looked(at(STARTS + PATIENCE), CROWDED) == 0.6


def restarts(recovery: Recovery, rate: float, *, has_died: bool = True, pause: float = 1.0) -> float:
    """Serve, start anew, and return the share."""
    ramp = Ramp()
    ramp.recovery = recovery
    ramp.started(at(-200))
    ramp.served(at(0), rate)
    return ramp.started(at(pause), has_died=has_died)


def test_one_death_under_load_is_enough_where_a_perimeter_says_so() -> None:
    wanted = Recovery(ramp="restart", busy=50)
    assert restarts(wanted, 50) == 0.3
    assert restarts(wanted, 49) == 1.0
    assert restarts(wanted, 50, has_died=False) == 1.0
    assert restarts(wanted, 50, pause=REST) == 1.0
    assert restarts(Recovery(busy=50), 50) == 1.0


def test_the_first_start_is_open_whatever_a_perimeter_says() -> None:
    ramp = Ramp()
    ramp.recovery = Recovery(ramp="restart", busy=0)
    assert ramp.started(at(0), has_died=True) == 1.0


def test_a_ramp_that_is_off_is_open_always() -> None:
    ramp = Ramp()
    ramp.recovery = Recovery(ramp="off")
    assert {ramp.started(at(second)) for second in range(10)} == {1.0}
    assert ramp.looked(at(11), 0.99) == 1.0


def test_nobody_looks_when_nothing_has_happened_for_long() -> None:
    ramp = Ramp()
    assert not ramp.is_busy
    ramp.started(at(0))
    assert ramp.is_busy
    ramp.looked(at(WITHIN), 0.1)
    assert not ramp.is_busy


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 400), st.floats(0, 1)), max_size=40))
def test_the_door_is_always_one_of_the_shares_and_opens_in_the_end(story: list[tuple[bool, float, float]]) -> None:
    ramp, now = Ramp(), 0.0
    for is_start, pause, held in story:
        now += pause
        assert (ramp.started(at(now)) if is_start else ramp.looked(at(now), held)) in SHARES
    for _ in SHARES:
        now += STEP
        ramp.looked(at(now), 0.1)
    assert ramp.share == 1.0
