"""The table of times."""

import pytest

from seawall.rollout.change import Risk
from seawall.rollout.events import Stage
from seawall.rollout.stages import floor, limit, minimum, taste


@pytest.mark.parametrize(
    ("stage", "times"),
    [
        ("sandbox", (30, 60, 300)),
        ("canary", (60, 180, 900)),
        ("cell", (60, 300, 900)),
        ("region", (120, 600, 1800)),
        ("quarter", (120, 600, 1800)),
        ("half", (120, 600, 1800)),
        ("all", (0, 0, 0)),
        ("bake", (1800, 3600, 86400)),
    ],
)
def test_minimum_times_are_those_of_the_table(stage: Stage, times: tuple[float, float, float]) -> None:
    risks: tuple[Risk, ...] = ("R1", "R2", "R3")
    assert tuple(minimum(stage, risk, 1.0) for risk in risks) == times


def test_the_pace_multiplies_every_minimum() -> None:
    assert minimum("region", "R2", 0.1) == 60.0


def test_an_emergency_keeps_thirty_seconds_of_canary() -> None:
    assert minimum("canary", "R3", 1.0, is_emergency=True) == 30.0


def test_an_emergency_keeps_the_bake() -> None:
    assert minimum("bake", "R1", 1.0, is_emergency=True) == 1800.0


def test_an_emergency_keeps_the_taster() -> None:
    assert taste("R3", 1.0, is_emergency=True) == 5.0


def test_nobody_skips_thirty_seconds_of_canary() -> None:
    assert (floor("canary", "R2", 1.0), floor("cell", "R2", 1.0)) == (30.0, 0.0)


def test_an_undecided_stage_ends_at_four_times_its_minimum_and_a_fast_pace_leaves_five_minutes() -> None:
    assert limit("half", "R2", 1.0) == 4.0 * 615
    assert limit("half", "R2", 0.001) == 300.0
