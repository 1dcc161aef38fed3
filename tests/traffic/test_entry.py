import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.traffic.entry import (
    COLUMNS,
    COUNTED,
    FIELDS,
    LONGEST,
    MOST_COUNTED,
    MOST_READ,
    SEPARATOR,
    fingerprint,
    networks,
    parse,
    short,
    target,
    thinned,
)

SOUND = {"ended": "1700000000.125", "took": "20", "address": "192.0.2.7", "target": "/a?b=1", "route": "shop"}


def line(**values: str) -> bytes:
    return (SEPARATOR.join({**SOUND, **values}.get(field, "-") for field in FIELDS) + "\n").encode()


def test_a_line_becomes_columns() -> None:
    entries = parse(line(status="200", agent="curl/8", fetch="document", accept="*/*"))

    assert entries.ended == [1_700_000_000.125] and entries.seconds == [0.02]
    assert {field: entries.columns[field][0] for field in ("path", "query", "agent", "headers", "language")} == {
        "path": "/a",
        "query": "b",
        "agent": "curl/8",
        "headers": "10001",
        "language": "",
    }


def test_lines_that_are_none_are_counted_and_the_others_stay() -> None:
    data = line() + b"half\n" + line(ended="nan") + line(took="1e9") + line(host="\u2028") + b"\xff\xfe\n\n"

    entries = parse(data)

    assert len(entries) == 2
    assert entries.refused == 5
    assert list(entries.columns["host"]) == ["", "\u2028"]


@given(st.binary(max_size=400))
def test_reading_any_bytes_never_raises(data: bytes) -> None:
    entries = parse(data + line() + data)

    assert set(entries.columns) == {*COLUMNS, "flags"}
    assert all(len(column) == len(entries) for column in entries.columns.values())


@given(st.text(alphabet=st.characters(exclude_characters="\n\x1f", codec="utf-8")))
def test_no_text_in_a_value_makes_a_second_request(text: str) -> None:
    assert len(parse(line(agent=text, target=text, host=text))) == 1


def test_what_varies_in_a_path_is_left_out() -> None:
    assert target("/item/4711/x?b=2&a=1&b=3") == ("/item/*/x", "a&b")
    assert target("/" + "f" * 40) == ("/*", "")
    assert target("-") == ("", "")


def test_long_values_are_bounded_and_stay_apart() -> None:
    one, other = short("a" * 65_536 + "1"), short("a" * 65_536 + "2")

    assert len(one) <= LONGEST and one != other
    assert max(map(len, target("/?" + "&".join(f"{n}=" for n in range(20_000))))) <= LONGEST


def test_the_fingerprint_leaves_out_what_changes_with_each_connection() -> None:
    assert fingerprint("t13d1517h2_8daaf6152771_b6f405a00624") == "t13d1517h2_8daaf6152771"


def test_networks_are_a_24_or_a_64() -> None:
    assert networks("192.0.2.7") == ("192.0.2.0/24", "")
    assert networks("2001:db8:1:2:3:4:5:6") == ("", "2001:db8:1:2::/64")
    assert networks("2001:db8::1") == ("", "2001:db8:0:0::/64")
    assert networks("::1") == ("", "0:0:0:0::/64")


def test_lines_that_make_up_for_each_other_are_not_taken_for_sound_ones() -> None:
    """One line has a value too many, the next one too few: together they have the right number."""
    whole = line()
    long, little = whole[:-1] + b"\x1fmore\n", whole.rpartition(b"\x1f")[0] + b"\n"

    entries = parse(whole + long + little + whole)

    assert len(entries) == 2 and entries.refused == 2
    assert len(parse(b"")) == 0


@given(st.lists(st.sampled_from(["a", "/x", "-", "\u2028"]), min_size=1, max_size=5))
def test_many_lines_read_as_each_of_them(agents: list[str]) -> None:
    together = parse(b"".join(line(agent=agent) for agent in agents))

    assert list(together.columns["agent"]) == [parse(line(agent=agent)).columns["agent"][0] for agent in agents]
    assert together.refused == 0


def test_a_line_without_a_time_is_left_out_of_sound_ones() -> None:
    entries = parse(line() + line(ended="soon") + line())

    assert len(entries) == 2 and entries.refused == 1


def test_of_many_lines_all_are_counted_and_some_are_read() -> None:
    count = MOST_READ + 1_000
    entries = parse(b"".join(line(address=f"192.0.2.{n % 7}", target=f"/{'a' * (n % 3)}") for n in range(count)))

    assert len(entries) == count and set(entries.columns) == {*COUNTED, "path"}
    assert list(entries.columns["address"][:8]) == [f"192.0.2.{n % 7}" for n in range(8)]
    assert entries.sample is not None and len(entries.sample) == MOST_READ
    assert set(entries.sample.columns) == {*COLUMNS, "flags"}


def test_targets_that_are_never_the_same_are_taken_apart_in_the_sample_only() -> None:
    entries = parse(b"".join(line(target=f"/find?q={n}") for n in range(MOST_READ + 1)))

    assert "path" not in entries.columns
    assert entries.sample is not None and set(entries.sample.columns["path"]) == {"/find"}


@pytest.mark.parametrize("count", [1, MOST_COUNTED, MOST_COUNTED + 1, 2 * MOST_COUNTED, 40 * MOST_COUNTED])
def test_lines_that_are_left_out_are_stood_for_exactly(count: int) -> None:
    data = b"".join(line(target=f"/{n}", host="a" * (n % 50)) for n in range(count))

    taken, each = thinned(data)

    lines = taken.split(b"\n")[:-1]
    assert len(lines) * each == pytest.approx(count) and len(lines) <= MOST_COUNTED + 500
    assert len(set(lines)) == len(lines) and set(lines) <= set(data.split(b"\n"))
    assert parse(taken).refused == 0


@given(st.binary(max_size=2_000), st.integers(1, 40))
def test_thinning_any_bytes_never_raises(data: bytes, times: int) -> None:
    taken, each = thinned((data + b"\n" * 400) * times)

    assert each >= 1 and len(taken) <= (len(data) + 400) * times


def test_times_are_numbers_without_tricks() -> None:
    for ended in ("nan", "inf", "1e9", "1_0", "-1", "", ".", "1.2.3", "9" * 400):
        assert len(parse(line(ended=ended))) == 0
