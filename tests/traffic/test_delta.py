from collections.abc import Sequence

import msgspec
import pytest

from seawall.kit.units import Instant
from seawall.traffic.delta import MOST_BUSY, MOST_ROUTES, MOST_ROWS, OTHER, WindowDelta, delta, sampled, seconds_of
from seawall.traffic.entry import COLUMNS, Entries
from seawall.traffic.sketch import distinct

AT = Instant(1_700_000_000.0)


def entries(count: int, **values: str) -> Entries:
    """Make requests; a `#` in a value is the request's number."""
    given = {"address": "192.0.2.1", "route": "shop", "status": "200", **values}
    columns: dict[str, Sequence[str]] = {
        field: [given.get(field, "").replace("#", str(n)) for n in range(count)] for field in COLUMNS
    }
    return Entries(columns=columns, ended=[AT + n / count for n in range(count)], seconds=[0.5] * count)


def made(value: Entries, weight: float = 1.0) -> WindowDelta:
    return delta(value, edge="e1", run="r", number=1, at=AT, weight=weight)


def test_a_second_is_counted_by_route_by_value_and_by_row() -> None:
    counted = made(entries(4, status="503"), weight=10)

    assert counted.totals == {"shop": 40} and counted.errors == {"shop": 40} and counted.costs == {"shop": 20}
    assert counted.busy["address"] == {"192.0.2.1": 40} and counted.busy["net24"] == {"192.0.2.0/24": 40}
    assert counted.columns["route"] == ("shop",) and counted.weights == (40,) and counted.seconds == (0.5,)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(counted), type=WindowDelta) == counted


@pytest.mark.parametrize("field", COLUMNS)
def test_no_field_makes_a_delta_large(field: str) -> None:
    count = 20_000

    counted = made(entries(count, **{field: "#"}))

    assert sum(counted.totals.values()) == count
    assert sum(counted.weights) == pytest.approx(count)
    assert len(counted.weights) <= MOST_ROWS and len(counted.totals) <= MOST_ROUTES + 1
    assert all(len(values) <= MOST_BUSY for values in counted.busy.values())
    assert len(msgspec.msgpack.encode(counted)) < 200_000


def test_routes_beyond_the_limit_are_counted_together() -> None:
    assert made(entries(2 * MOST_ROUTES, route="#")).totals[OTHER] == MOST_ROUTES


def test_the_number_of_clients_is_known_though_none_of_them_is_named() -> None:
    counted = made(entries(5_000, address="#"))

    assert counted.busy["address"] == {}
    assert distinct(counted.clients) == pytest.approx(5_000, rel=0.08)


def test_a_sample_keeps_the_share_of_what_is_large() -> None:
    counts: dict[tuple[str, ...], int] = {("many",): 6_000, **{(str(n),): 1 for n in range(4_000)}}

    chosen = sampled(counts, 1_000)

    assert len(chosen) <= 1_000
    assert chosen[("many",)] == pytest.approx(6_000, rel=0.01)


def test_requests_are_parted_by_the_second_in_which_they_ended() -> None:
    first = entries(2)
    both = Entries(columns=first.columns, ended=[AT, AT + 1], seconds=[1.0, 2.0])

    parted = seconds_of(both)

    assert {second: list(part.seconds) for second, part in parted.items()} == {int(AT): [1.0], int(AT) + 1: [2.0]}
    assert seconds_of(first) == {int(AT): first}
    assert seconds_of(entries(0)) == {}
