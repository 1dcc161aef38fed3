"""Which edges change together."""

from hypothesis import given
from hypothesis import strategies as st
from tests.rollout.play import places, spec

from seawall.kit.units import Instant
from seawall.rollout.change import Risk
from seawall.rollout.events import EdgePlace
from seawall.rollout.waves import Plan, plan

CONTINENTS = spec(
    '{"regions": [{"name": "r0", "continent": "europe", "cells": [{"name": "r0-c0"}, {"name": "r0-c1", "canary": true}]},'
    '{"name": "r1", "continent": "europe", "cells": [{"name": "r1-c0"}]},'
    '{"name": "r2", "continent": "asia", "cells": [{"name": "r2-c0"}]}]}'
).regions
PLACES = st.lists(
    st.builds(
        EdgePlace,
        edge=st.text("abcdef", min_size=1, max_size=6),
        region=st.sampled_from(("", "r0", "r1", "r2")),
        cell=st.sampled_from(("", "c0", "c1")),
        since=st.floats(0, 1e6).map(Instant),
    ),
    max_size=60,
    unique_by=lambda place: place.edge,
).map(tuple)


def edges_of(made: Plan, stage: str) -> tuple[str, ...]:
    return next(wave.edges for wave in made.waves if wave.stage == stage)


@given(PLACES, st.sampled_from(("R0", "R1", "R2", "R3")), st.booleans())
def test_every_edge_is_in_exactly_one_wave(fleet: tuple[EdgePlace, ...], risk: Risk, is_first: bool) -> None:
    made = plan(fleet, CONTINENTS, risk, is_first=is_first)

    assert sorted(edge for wave in made.waves for edge in wave.edges) == sorted(place.edge for place in fleet)


@given(PLACES)
def test_never_two_regions_before_a_quarter(fleet: tuple[EdgePlace, ...]) -> None:
    made = plan(fleet, CONTINENTS, "R1")

    early = {edge for stage in ("canary", "cell", "region") for edge in edges_of(made, stage)}
    assert len({place.region for place in fleet if place.edge in early}) <= 1


@given(PLACES)
def test_an_empty_wave_says_why(fleet: tuple[EdgePlace, ...]) -> None:
    assert all(wave.edges or wave.note or wave.stage == "all" for wave in plan(fleet, (), "R2").waves)


@given(PLACES)
def test_the_canary_is_one_edge_and_has_a_control_wherever_there_are_two(fleet: tuple[EdgePlace, ...]) -> None:
    made = plan(fleet, CONTINENTS, "R1")

    canary = edges_of(made, "canary")
    assert len(canary) == (len(fleet) > 1)
    assert bool(made.control) == (len(fleet) > 1)
    assert made.control not in canary


def test_a_large_fleet_takes_five_percent_of_one_region_then_a_quarter_then_half() -> None:
    made = plan(places(40, 2, 5), (), "R1")

    assert [len(wave.edges) for wave in made.waves] == [1, 4, 5, 90, 100, 200]


def test_twelve_edges_in_three_regions_use_every_stage() -> None:
    made = plan(places(3, 2, 2), (), "R1")

    assert [len(wave.edges) for wave in made.waves] == [1, 1, 1, 1, 2, 6]


def test_canary_and_control_are_the_two_of_nearest_age_in_the_cell() -> None:
    ages = {"a": 0.0, "b": 500.0, "c": 510.0}
    fleet = tuple(EdgePlace(edge=edge, region="r", cell="c", since=Instant(since)) for edge, since in ages.items())

    made = plan(fleet, (), "R1")

    assert (edges_of(made, "canary"), made.control) == (("b",), "c")


def test_the_canary_comes_from_the_cell_that_the_operator_named() -> None:
    made = plan(places(3, 2, 2), CONTINENTS, "R1")

    assert edges_of(made, "canary") == ("r0-c1-e0",)


def test_a_canary_alone_in_its_cell_has_a_control_elsewhere_and_says_so() -> None:
    made = plan(places(1, 3, 1), (), "R1")

    assert made.control == "r0-c1-e0"
    assert made.notes == ("cell r0-c0 has one edge, so r0-c1-e0 elsewhere is the control of r0-c0-e0",)


def test_the_quarter_leaves_the_continent() -> None:
    made = plan(places(3, 2, 2), CONTINENTS, "R1")

    assert edges_of(made, "quarter") == ("r2-c0-e0",)


def test_a_single_edge_has_no_canary_and_no_control_and_says_so() -> None:
    made = plan(places(1, 1, 1), (), "R3")

    assert [wave.stage for wave in made.waves if wave.edges] == ["all"]
    assert "no control" in made.notes[0]


def test_weights_within_bounds_skip_the_waves() -> None:
    assert [wave.stage for wave in plan(places(), (), "R0").waves if wave.edges] == ["all"]
