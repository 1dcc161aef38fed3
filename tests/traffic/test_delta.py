from collections.abc import Sequence

import msgspec
import pytest

from seawall.kit.units import Instant
from seawall.traffic.delta import (
    MOST_BUSY,
    MOST_ROUTES,
    MOST_ROWS,
    OTHER,
    WindowDelta,
    before_and_after,
    delta,
    sampled,
    seconds_of,
)
from seawall.traffic.entry import COLUMNS, FIELDS, MOST_READ, SEPARATOR, Entries, parse
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


def read(count: int, **values: str) -> Entries:
    """Make lines and read them; a `#` in a value is the line's number. Half of them ended in the next second."""
    usual = {"took": "500", "address": "192.0.2.1", "target": "/a/b", "route": "shop", "status": "200", **values}
    lines = []
    for number in range(count):
        said = {field: value.replace("#", str(number)) for field, value in usual.items()}
        said["ended"] = f"{AT + 2 * number / count:.6f}"
        lines.append(SEPARATOR.join(said.get(field, "-") for field in FIELDS) + "\n")
    return parse("".join(lines).encode())


def test_what_is_counted_of_many_entries_is_exact_and_rows_stand_for_them() -> None:
    count = 3 * MOST_READ
    counted = made(read(count, status="503", target="/item/#?q=#"), weight=4)

    assert counted.totals == {"shop": 4 * count} and counted.errors == {"shop": 4 * count}
    assert counted.costs == {"shop": 2 * count} and counted.busy["address"] == {"192.0.2.1": 4 * count}
    assert sum(counted.weights) == pytest.approx(4 * count)
    assert counted.busy["path"]["/item/*"] == pytest.approx(4 * count)


def test_entries_are_parted_by_an_instant_and_nothing_is_lost() -> None:
    count = 2 * MOST_READ
    before, after = before_and_after(read(count), Instant(AT + 0.5))

    assert (len(before), len(after)) == (count / 4, count * 3 / 4)
    assert max(before.ended) < AT + 0.5 <= min(after.ended)
    for part, all_of in ((before, count / 4), (after, count * 3 / 4)):
        assert part.sample is not None and len(part.sample) == pytest.approx(MOST_READ * all_of / count, rel=0.01)
        assert sum(made(part).weights) == pytest.approx(all_of)
    assert before_and_after(read(10), AT)[0].columns.keys() == {*COLUMNS, "flags"}


def test_lines_that_were_refused_are_told_once() -> None:
    entries = msgspec.structs.replace(read(10), refused=3)

    assert [made(part).dropped.get("lines", 0) for part in seconds_of(entries).values()] == [0, 3]
