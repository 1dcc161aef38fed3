from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.kit.units import Instant
from seawall.traffic.delta import OTHER, WindowDelta
from seawall.traffic.sketch import sketch
from seawall.traffic.window import ABUSE, AHEAD, BURST, FLOOD, MOST_BUSY, MOST_DELTAS, MOST_ROUTES, MOST_ROWS, WindowSet

NOW = Instant(1_700_000_600.0)


def one(number: int = 0, *, ago: int = 0, edge: str = "e1", totals: dict[str, float] | None = None) -> WindowDelta:
    """Make a delta with a total for each route that is named."""
    totals = totals or {"shop": 2.0}
    size = int(sum(totals.values()))
    return WindowDelta(
        edge=edge,
        run="r",
        number=number,
        at=Instant(NOW - ago),
        totals=totals,
        errors={"shop": 1.0},
        costs={"shop": 0.5},
        busy={"path": totals},
        clients=sketch([f"{edge}{number}"]),
        columns={"path": tuple(f"{edge}{number}-{n}" for n in range(size))},
        weights=(1.0,) * size,
        seconds=(0.5,) * size,
    )


def seen(windows: WindowSet) -> object:
    rows = [windows.rows(int(NOW) - ago) for ago in range(BURST)]
    return [windows.window(length, NOW) for length in (FLOOD, BURST, ABUSE)], rows


DELTAS = st.lists(
    st.builds(
        lambda number, ago, edge, count: one(number * 1000 + ago, ago=ago, edge=edge, totals={"shop": float(count)}),
        st.integers(0, 3),
        st.integers(-AHEAD, ABUSE - 1),
        st.sampled_from(["e1", "e2"]),
        st.integers(1, 4),
    ),
    max_size=12,
    unique_by=lambda delta: (delta.edge, delta.number),
)


@settings(max_examples=25, deadline=None)
@given(DELTAS.flatmap(lambda deltas: st.tuples(st.just(deltas), st.permutations(deltas), st.permutations(deltas))))
def test_order_and_repetition_do_not_matter(
    drawn: tuple[list[WindowDelta], list[WindowDelta], list[WindowDelta]],
) -> None:
    straight, shuffled, repeated = drawn
    first, second = WindowSet(), WindowSet()

    for delta in straight:
        first.add(delta, NOW)
    for delta in [*shuffled, *repeated]:
        second.add(delta, NOW)

    assert seen(first) == seen(second)
    assert second.dropped["repeated"] == len(repeated)


@settings(max_examples=25, deadline=None)
@given(st.permutations([(ago, at) for ago in range(0, 90, 9) for at in (0, 30)]))
def test_a_late_delta_counts_as_one_in_time(order: list[tuple[int, int]]) -> None:
    """Time goes on while they come: what is in the long window is the same, whenever it came."""
    windows = WindowSet()

    for ago, at in order:
        windows.add(one(ago, ago=ago), Instant(NOW + at))
        windows.add(one(ago, ago=ago), Instant(NOW + at))

    assert windows.window(ABUSE, NOW).totals == {"shop": 20.0}


def test_windows_are_over_the_time_of_the_traffic() -> None:
    windows = WindowSet()
    for ago in (0, FLOOD, BURST, ABUSE - 1):
        assert windows.add(one(ago=ago), NOW)

    assert [windows.window(length, NOW).totals["shop"] for length in (FLOOD, BURST, ABUSE)] == [2, 4, 8]
    assert windows.window(FLOOD, NOW).busy == {"path": {"shop": 2.0}}
    assert windows.rows(int(NOW)).columns["path"] == ("e10-0", "e10-1")
    assert windows.rows(int(NOW) - BURST).weights == ()


def test_what_is_too_old_or_not_yet_is_counted_and_left_out() -> None:
    windows = WindowSet()

    assert not windows.add(one(ago=ABUSE), NOW)
    assert not windows.add(one(ago=-AHEAD - 1), NOW)

    assert windows.dropped == {"late": 1, "ahead": 1} and len(windows) == 0


def test_time_takes_the_rows_first_and_the_counts_then() -> None:
    windows = WindowSet()
    windows.add(one(), NOW)

    windows.expire(Instant(NOW + BURST))
    assert windows.rows(int(NOW)).weights == () and windows.window(ABUSE, Instant(NOW + BURST)).totals

    windows.expire(Instant(NOW + ABUSE))
    assert len(windows) == 0


def test_no_edge_makes_a_second_large() -> None:
    windows = WindowSet()
    for number in range(MOST_DELTAS + 1):
        windows.add(one(number, totals={f"{number}-{n}": 1.0 for n in range(50)}), NOW)

    found = windows.window(FLOOD, NOW)

    assert windows.dropped["deltas"] == 1 and windows.dropped["rows"] == MOST_DELTAS * 50 - MOST_ROWS
    assert len(windows.rows(int(NOW)).weights) == MOST_ROWS
    assert len(found.totals) == MOST_ROUTES and len(found.busy["path"]) == MOST_BUSY
    assert sum(found.totals.values()) == MOST_DELTAS * 50 and found.totals[OTHER] > 0


def test_what_an_edge_made_up_is_left_out() -> None:
    windows = WindowSet()
    honest = one()
    odd = WindowDelta(
        edge="e2",
        run="r",
        number=0,
        at=NOW,
        clients=b"short",
        busy={str(n): {"a": 1.0} for n in range(100)},
        columns={"path": ("a",)},
        weights=(1.0, 1.0),
        seconds=(1.0, 1.0),
        dropped={"lines": 3.0, "anything": 4.0},
    )

    windows.add(odd, NOW)
    windows.add(honest, NOW)

    assert len(windows.window(FLOOD, NOW).busy) == 16
    assert windows.rows(int(NOW)).columns == honest.columns
    assert windows.dropped == {"rows": 2, "lines": 3, "other": 4}
    assert 0.9 < windows.window(FLOOD, NOW).clients < 1.1
