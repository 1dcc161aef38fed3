"""In step: what an edge holds is what it was told, or it says that it missed something."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet import holding
from seawall.fleet.holding import MOST_FRESH, UNKNOWN, Holding
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Verdicts
from seawall.kit.units import Instant

NOW = Instant(1000.0)


def entry(name: str, **fields: Any) -> Entry:
    plain = {"id": name, "generation": 1, "expires": Instant(2000.0), "kind": "deny", "match": {"agent": name}}
    return Entry(**{**plain, **fields})


def told(*entries: Entry, number: int = 1, whole: bool = True, gone: tuple[str, ...] = ()) -> Verdicts:
    return Verdicts(number=number, whole=whole, put=entries, gone=gone)


def held(one: Holding) -> set[str]:
    return {each.id for each in one.entries}


def test_before_the_whole_nothing_is_taken() -> None:
    one = Holding()

    assert one.take(told(entry("a"), whole=False, number=7), NOW) == "hole"
    assert one.number == UNKNOWN and not one.entries
    assert one.take(told(entry("a"), number=7), NOW) == "taken"
    assert held(one) == {"a"}


def test_a_hole_is_seen_and_what_is_held_stays_until_the_whole_comes() -> None:
    one = Holding()
    one.take(told(entry("a"), number=1), NOW)

    assert one.take(told(entry("b"), number=3, whole=False), NOW) == "hole"
    assert held(one) == {"a"}
    assert one.take(told(entry("c"), number=4, whole=False), NOW) == "hole"
    assert one.take(told(entry("b"), entry("c"), number=4), NOW) == "taken"
    assert held(one) == {"b", "c"}


def test_numbers_may_begin_anew_with_a_whole() -> None:
    one = Holding()
    one.take(told(entry("a"), number=900), NOW)

    assert one.take(told(entry("b"), number=1), NOW) == "taken"
    assert one.take(told(entry("c"), number=2, whole=False), NOW) == "taken"
    assert held(one) == {"b", "c"}


def test_what_is_told_twice_or_late_changes_nothing() -> None:
    one = Holding()
    one.take(told(entry("a"), number=1), NOW)
    one.take(told(number=2, whole=False, gone=("a",)), NOW)

    assert one.take(told(entry("a"), number=2, whole=False), NOW) == "old"
    assert held(one) == set()


def test_an_older_generation_never_replaces_a_newer_one() -> None:
    one = Holding()
    one.take(told(entry("a", generation=5, code=429)), NOW)
    one.take(told(entry("a", generation=4), number=2, whole=False), NOW)

    assert one.entries[0].generation == 5


def test_too_many_are_refused_and_the_old_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MOST", 3)
    one = Holding()
    one.take(told(entry("a"), entry("b")), NOW)

    assert one.take(told(*(entry(str(n)) for n in range(4)), number=2), NOW) == "taken"
    assert held(one) == {"a", "b"} and "" in one.refused and one.number == 2
    one.take(told(entry("c"), entry("d"), number=3, whole=False), NOW)
    assert held(one) == {"a", "b", "c"} and "d" in one.refused
    one.take(told(entry("d"), number=4, whole=False, gone=("a",)), NOW)
    assert held(one) == {"b", "c", "d"} and "d" not in one.refused


def test_few_are_fresh_and_many_last() -> None:
    one = Holding()
    one.take(told(*(entry(str(n)) for n in range(MOST_FRESH + 1))), NOW)
    assert {slot: len(each) for slot, each in one.changed(NOW).items()} == {"fresh": 0, "lasting": MOST_FRESH + 1}

    one.take(told(entry("new"), number=2, whole=False), NOW)
    assert {slot: len(each) for slot, each in one.changed(NOW).items()} == {"fresh": 1}

    one.take(told(*(entry(f"n{n}") for n in range(MOST_FRESH)), number=3, whole=False), NOW)
    assert {slot: len(each) for slot, each in one.changed(NOW).items()} == {"fresh": 0, "lasting": 2 * MOST_FRESH + 2}
    assert one.changed(NOW) == {}


def test_a_verdict_that_changes_leaves_the_many_and_one_that_only_lasts_longer_does_not() -> None:
    one = Holding()
    one.take(told(*(entry(str(n)) for n in range(MOST_FRESH + 1))), NOW)
    one.changed(NOW)

    one.take(told(entry("1", generation=2, expires=Instant(3000.0)), number=2, whole=False), NOW)
    assert set(one.changed(NOW)) == {"fresh"}
    one.take(told(entry("1", generation=3, kind="tag"), number=3, whole=False), NOW)
    assert set(one.changed(NOW)) == {"fresh", "lasting"}
    assert len(one) == MOST_FRESH + 1


def test_what_has_ended_is_taken_out() -> None:
    one = Holding()
    one.take(told(entry("a", expires=Instant(1001.0)), entry("b")), NOW)
    one.changed(NOW)

    later = Instant(NOW + 100)
    assert {slot: [each.id for each in found] for slot, found in one.changed(later).items()} == {"fresh": ["b"]}
    one.load([entry("c", expires=Instant(1.0)), entry("d")], NOW)
    assert held(one) == {"d"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 4)), max_size=40))
def test_an_edge_that_misses_nothing_holds_what_it_was_told(steps: list[tuple[bool, int, int]]) -> None:
    one, model = Holding(), dict[str, Entry]()
    one.take(told(number=0), NOW)
    seen: dict[str, tuple[Entry, ...]] = {}
    for number, (is_put, name, generation) in enumerate(steps, start=1):
        made = entry(str(name), generation=generation)
        if is_put:
            old = model.get(made.id)
            if old is None or old.generation <= generation:
                model[made.id] = made
            one.take(told(made, number=number, whole=False), NOW)
        else:
            model.pop(made.id, None)
            one.take(told(number=number, whole=False, gone=(made.id,)), NOW)
        seen |= one.changed(NOW)

    assert {each.id: each for each in one.entries} == model
    assert {each.id for slot in seen.values() for each in slot} == set(model)
