"""Drills: which positions of a switch count."""

from typing import Any

from seawall.gateway.resources.perimeter import PerimeterSpec, Switch
from seawall.kit.units import Instant
from seawall.rollout.conductor import Conductor
from seawall.rollout.drills import LONG_ENOUGH, Stand, positions, stands
from seawall.rollout.events import Configured

LATER = 2 * LONG_ENOUGH


def spec(**switch: Any) -> PerimeterSpec:
    return PerimeterSpec(switches=(Switch(name="lua-off", **{"key": "lua.off", "value": True, **switch}),))


def after(*story: tuple[float, PerimeterSpec]) -> dict[str, Stand]:
    known: dict[str, Stand] = {}
    for at, one in story:
        known = stands(known, one, Instant(1000.0 + at))
    return known


def test_a_switch_thrown_to_and_fro_was_drilled_in_both_positions() -> None:
    found = after((0, spec()), (LATER, spec(is_on=True)), (2 * LATER, spec()))

    assert positions(found["lua-off"]) == {True: 1000.0 + 2 * LATER, False: 1000.0 + LATER}


def test_a_position_that_nobody_had_time_to_notice_does_not_count() -> None:
    found = after((0, spec()), (LATER, spec(is_on=True)), (LATER + LONG_ENOUGH - 1, spec()))

    assert set(positions(found["lua-off"])) == {False}


def test_a_switch_that_becomes_another_has_not_been_drilled() -> None:
    story = ((0.0, spec()), (LATER, spec(is_on=True)), (2 * LATER, spec()))

    assert positions(after(*story, (3 * LATER, spec(value=False)))["lua-off"]) == {}
    assert positions(after(*story, (3 * LATER, PerimeterSpec()), (4 * LATER, spec()))["lua-off"]) == {}


def test_the_machine_remembers_where_switches_stood() -> None:
    conductor = Conductor()
    for at, one in ((0, spec()), (LATER, spec(is_on=True)), (LATER + 1, spec(is_on=True))):
        conductor.handle(Configured(at=Instant(1000.0 + at), spec=one))

    assert set(positions(conductor.stands["lua-off"])) == {False}
    assert conductor.stands["lua-off"].is_on
