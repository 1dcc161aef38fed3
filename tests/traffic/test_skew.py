"""Skew: clocks that are wrong are put right, deltas that are late stay late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.kit.units import Instant
from seawall.traffic.skew import MOST, MOST_EDGES, REMEMBERED, SURE, Clocks

NOW = 1_700_000_000


def told(clocks: Clocks, behind: float, seconds: int, *, since: int = NOW, way: float = 0.4) -> list[int]:
    """Tell of each second once, `way` after it began, by a clock that is so far behind."""
    return [
        clocks.shift("e1", Instant(float(int(now - behind))), Instant(now + way))
        for now in map(float, range(since, since + seconds))
    ]


@pytest.mark.parametrize("behind", [0, 1, 3, 240, -2, -90])
def test_a_clock_is_put_right_once_it_is_known(behind: int) -> None:
    shifts = told(Clocks(), behind, SURE + 3)

    assert shifts == [0] * (SURE - 1) + [behind] * 4


def test_seconds_that_waited_for_a_stream_are_late_and_no_clock_is_doubted() -> None:
    clocks = Clocks()
    # A minute's worth, all at once.
    waited = [clocks.shift("e1", Instant(float(NOW - 60 + n)), Instant(NOW + 0.5)) for n in range(60)]

    assert set(waited) == {0}
    assert set(told(clocks, 0, 30, since=NOW + 1)) == {0}


def test_an_edge_that_falls_behind_for_good_is_followed_within_a_minute() -> None:
    clocks = Clocks()
    told(clocks, 0, 100)

    shifts = told(clocks, 7, REMEMBERED + 1, since=NOW + 100)

    assert shifts[0] == 0 and shifts[-1] == 7


def test_a_clock_that_is_nonsense_is_left_to_be_dropped() -> None:
    assert set(told(Clocks(), MOST + 5, 20)) == {0}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_what_is_remembered_is_bounded_whatever_edges_say(ways: list[float]) -> None:
    clocks = Clocks()
    for number, way in enumerate(ways):
        assert abs(clocks.shift("e1", Instant(NOW + way), Instant(float(NOW + number)))) <= MOST
    assert clocks.worst <= MOST


def test_the_number_of_edges_is_bounded_and_who_speaks_stays() -> None:
    clocks = Clocks()
    told(clocks, 3, SURE)
    for number in range(MOST_EDGES + 10):
        clocks.shift(f"other-{number}", Instant(float(NOW)), Instant(NOW + 0.5))
        if number % 5_000 == 0:
            told(clocks, 3, 1, since=NOW + SURE + number // 5_000)

    assert clocks.worst == 3
