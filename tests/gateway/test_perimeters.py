"""Perimeters: the oldest is in force, and its switches for as long as they say."""

from typing import Any

import pytest

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resources.perimeter import bytes_of, instant, seconds
from seawall.kit.units import Instant
from tests.gateway.world import made, problems, resolved, said

UNTIL = "2026-05-01T00:00:00Z"


def perimeter(name: str = "default", at: int = 0, **spec: Any) -> Object:
    return made("Perimeter", name, {"spec": spec}, at=at)


def switch(name: str = "shed", *, on: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "key": f"seawall.{name}", "value": 1, "on": on, "until": UNTIL, **more}


def test_the_oldest_perimeter_is_in_force_and_the_others_are_told() -> None:
    world = resolved(perimeter("young", at=2), perimeter("old", at=1))

    assert world.graph.perimeter is not None
    assert world.graph.perimeter.name == "Perimeter//old"
    assert said(world, "Perimeter//old", "Accepted") == ("True", "Accepted")
    assert said(world, "Perimeter//young", "Accepted") == ("False", "Conflicted")
    assert "Perimeter old is older" in problems(world, "Perimeter//young")[0].message


def test_the_next_one_steps_in_and_the_last_leaves_nothing() -> None:
    world = resolved(perimeter("young", at=2), perimeter("old", at=1))

    first = world.update(remove=[ObjectKey("Perimeter//old")])
    assert world.graph.perimeter is not None
    named = world.graph.perimeter.name
    last = world.update(remove=[ObjectKey("Perimeter//young")])

    assert (named, first.perimeter, last.perimeter) == ("Perimeter//young", True, True)
    assert world.graph.perimeter is None
    assert not world.statuses


def test_what_does_not_concern_it_does_not_change_it() -> None:
    world = resolved(perimeter())

    assert not world.update(put=[perimeter("other", at=5)]).perimeter


def test_switches_that_are_on_are_keys_of_the_runtime() -> None:
    world = resolved(perimeter(switches=[switch(), switch("off", on=False)]))

    assert world.graph.runtime == {"seawall.shed": 1}


def test_a_switch_goes_off_by_itself_and_says_so() -> None:
    world = resolved(perimeter(switches=[switch()]), at=Instant(instant(UNTIL) - 1))
    assert world.graph.runtime == {"seawall.shed": 1}

    change = world.update(at=instant(UNTIL))

    assert (world.graph.runtime, change.runtime, change.perimeter) == ({}, frozenset({"seawall.shed"}), False)
    (warning,) = problems(world, "Perimeter//default")
    assert (warning.severity, warning.path) == ("warning", "$.spec.switches[0].until")


def test_a_switch_that_comes_too_late_is_never_on() -> None:
    world = resolved(perimeter(), at=Instant(instant(UNTIL) + 1))

    change = world.update(put=[perimeter(switches=[switch()])])

    assert (world.graph.runtime, change.runtime) == ({}, frozenset())


@pytest.mark.parametrize(
    ("text", "count"), [("1Gi", 1 << 30), ("1.5G", 1_500_000_000), ("64Mi", 64 << 20), ("12", 12), ("2k", 2000)]
)
def test_quantities_are_bytes(text: str, count: int) -> None:
    assert bytes_of(text) == count


def test_durations_and_times_are_seconds() -> None:
    assert seconds("1m30s") == 90.0
    assert instant("2026-01-31T12:00Z") == instant("2026-01-31T13:00:00+01:00") == 1_769_860_800.0
    with pytest.raises(ValueError, match="no time"):
        instant("2026-02-30T12:00:00Z")
