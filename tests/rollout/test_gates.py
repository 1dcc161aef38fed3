import random
from math import nan

import msgspec
import pytest
from bench.support.canary import R2, Step, Weather, rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.kit.units import Instant
from seawall.rollout.events import Counts
from seawall.rollout.gates import HARD, Gates, GatesState, Look

NOW = Instant(1_700_000_000.0)
NOBODY = Counts(edges=0, counts={})


def arm(edges: int = 1, memory: float = 0.2, **counts: float) -> Counts:
    base = {"requests": 500.0, "upstream_requests": 500.0, "handshakes": 50.0, "memory": 8e7, "open_connections": 100.0}
    return Counts(
        edges=edges,
        counts=base | counts,
        memory_share=0.2,
        memory_forecast=memory,
        cpu_per_request=1e-4 if edges else 0,
    )


def watching(**policy: float) -> Gates:
    gates = Gates(msgspec.structs.replace(GatePolicy(), **policy))
    gates.begin("canary")
    return gates


def look(gates: Gates, new: Counts, old: Counts, times: int = 1) -> Look:
    for _ in range(times):
        found = gates.look(new, old, NOW)
    return found


def tripped(found: Look) -> set[str]:
    return {trip.gate for trip in found.tripped}


def test_arms_alike_trip_and_hold_nothing() -> None:
    found = look(watching(), arm(errors=2, denied=20, retries=5), arm(errors=2, denied=20, retries=5), 60)

    assert found.tripped == ()
    assert found.holding == ()


@pytest.mark.parametrize(
    ("gate", "new"),
    [
        ("errors", arm(errors=60)),
        ("connect_failures", arm(connect_failures=60)),
        ("handshakes", arm(handshake_failures=45)),
        ("filter_errors", arm(filter_errors=500)),
        ("slow", arm(slow=60)),
        ("not_found", arm(not_found=60)),
        ("denied", arm(denied=100)),
        ("retries", arm(retries=80)),
    ],
)
def test_each_share_that_rises_trips_its_gate(gate: str, new: Counts) -> None:
    found = look(watching(), new, arm(), 3)

    assert tripped(found) == {gate}


def test_a_share_of_denials_that_falls_trips_as_well() -> None:
    """A bot filter or a limit that no longer works answers 200 to everybody."""
    found = look(watching(), arm(denied=0), arm(denied=60), 3)

    assert tripped(found) == {"undenied"}
    assert "fewer than" in found.tripped[0].reason


def test_total_failure_trips_at_the_first_look_with_a_sentence() -> None:
    found = look(watching(), arm(errors=500), arm(errors=1))

    assert tripped(found) == {"errors"}
    assert found.tripped[0].value > 1e6
    assert found.tripped[0].reason == (
        "100 % of 500 requests got a 5xx on the candidate, 0.2 % of 500 on its control: more than the tolerance and "
        "chance explain (1 in 1,000)."
    )


def test_failures_of_both_arms_are_not_the_candidates() -> None:
    assert look(watching(), arm(errors=250), arm(errors=250), 100).tripped == ()


def test_the_tolerance_is_tolerated() -> None:
    assert look(watching(), arm(errors=15), arm(errors=10), 200).tripped == ()
    assert tripped(look(watching(tolerance=1.0), arm(errors=15), arm(errors=10), 200)) == {"errors"}


def test_a_dispersion_asks_for_more_failures() -> None:
    one, bursty = watching(), watching(dispersion=10.0)

    assert tripped(look(one, arm(errors=20), arm(), 2)) == {"errors"}
    assert look(bursty, arm(errors=20), arm(), 2).tripped == ()
    assert tripped(look(bursty, arm(errors=20), arm(), 20)) == {"errors"}


def test_hard_gates_remember_the_stages_before_and_soft_ones_do_not() -> None:
    gates = watching()
    before = look(gates, arm(errors=6), arm(), 3)
    gates.begin("cell")
    after = look(gates, arm(), arm())

    assert after.evidence["errors.e"] == pytest.approx(before.evidence["errors.e"], rel=1e-9)
    assert after.evidence["errors.new"] == 0
    assert any(said.startswith("cpu:") for said in after.holding)
    assert gates.requests() == 500


def test_a_stage_that_begins_twice_begins_once() -> None:
    gates = watching()
    look(gates, arm(errors=1), arm(), 7)
    before = gates.state()
    gates.begin("canary")

    assert gates.state() == before


def test_without_a_control_only_absolute_gates_are_left() -> None:
    found = look(watching(), arm(errors=500), NOBODY, 20)

    assert found.tripped == ()
    assert found.evidence["control"] == 0


def test_a_control_that_falls_silent_does_not_wave_the_candidate_through() -> None:
    gates = watching()
    look(gates, arm(), arm(), 2)

    assert any(said.startswith("latency:") for said in look(gates, arm(), NOBODY, 20).holding)


def test_a_gate_with_no_data_holds() -> None:
    assert look(watching(), NOBODY, arm()).holding[0].startswith("traffic: no edge")
    assert (
        look(watching(), arm(requests=0), arm()).holding[0].startswith("traffic: the candidate has served no request")
    )


@pytest.mark.parametrize("bad", [{"errors": nan}, {"requests": -1.0}, {"journeys": float("inf")}])
def test_counts_that_cannot_be_hold_and_teach_nothing(bad: dict[str, float]) -> None:
    gates = watching()
    before = gates.state()
    found = look(gates, msgspec.structs.replace(arm(), counts=arm().counts | bad), arm())

    assert found.tripped == ()
    assert found.holding[0].startswith(f"counts: {next(iter(bad))}")
    assert gates.state() == before


def test_a_journey_that_fails_twice_running_trips() -> None:
    gates = watching()
    failing, silent = arm(journeys=3, journey_failures=1), arm()

    assert look(gates, failing, arm(journeys=3)).tripped == ()
    assert look(gates, silent, arm(journeys=3)).tripped == ()
    assert tripped(look(gates, failing, arm(journeys=3))) == {"journeys"}


def test_a_journey_that_recovers_between_does_not() -> None:
    gates = watching()
    for failures in (1, 0, 1, 0):
        assert look(gates, arm(journeys=3, journey_failures=failures), arm(journeys=3)).tripped == ()


def test_journeys_are_told_by_edge_where_the_tallies_can() -> None:
    gates = watching()
    elsewhere = arm(journeys=3, journey_failures=1, journey_failures_again=0)

    assert look(gates, elsewhere, arm(), 5).tripped == ()
    assert tripped(look(gates, arm(journeys=3, journey_failures=1, journey_failures_again=1), arm())) == {"journeys"}


def test_journeys_that_fail_on_the_control_as_well_hold() -> None:
    found = look(watching(), arm(journeys=3, journey_failures=3), arm(journeys=3, journey_failures=3), 2)

    assert found.tripped == ()
    assert found.holding[0].startswith("journeys: they fail on the control")


def test_memory_that_will_run_out_trips_with_and_without_a_control() -> None:
    assert tripped(look(watching(), arm(memory=0.81), arm())) == {"memory"}
    assert tripped(look(watching(), arm(memory=0.81), NOBODY)) == {"memory"}
    assert look(watching(), arm(memory=0.8), arm()).tripped == ()


def test_memory_that_runs_out_everywhere_holds() -> None:
    found = look(watching(), arm(memory=0.9), arm(memory=0.9))

    assert found.tripped == ()
    assert found.holding[0].startswith("memory: both arms")


def test_filters_that_fail_after_the_control_is_gone_trip() -> None:
    gates = watching()
    look(gates, arm(), arm(), 5)
    gates.begin("all")

    assert look(gates, arm(filter_errors=400), NOBODY).tripped == ()
    assert tripped(look(gates, arm(filter_errors=400), NOBODY)) == {"filter_errors"}


def test_filters_that_fail_on_the_control_as_well_do_not() -> None:
    gates = watching()
    look(gates, arm(filter_errors=400), arm(filter_errors=400), 5)

    assert look(gates, arm(filter_errors=400), NOBODY, 5).tripped == ()


def test_the_weights_are_one_stake() -> None:
    assert sum(pair.weight for pair in HARD) == pytest.approx(1)
    assert look(watching(), arm(), arm()).evidence["e"] == pytest.approx(1)


COUNT = st.integers(0, 500)
ARMS = st.builds(
    lambda edges, errors, denied, journeys, memory: arm(
        edges=edges, errors=errors, denied=denied, journeys=journeys, journey_failures=journeys // 2, memory=memory
    ),
    st.integers(0, 3),
    COUNT,
    COUNT,
    st.integers(0, 3),
    st.floats(0, 1),
)


@given(
    st.lists(st.tuples(ARMS, ARMS, st.sampled_from(["canary", "cell"])), min_size=1, max_size=12), st.integers(0, 11)
)
@settings(max_examples=50)
def test_the_same_looks_lead_to_the_same_decisions_also_from_a_state(
    looks: list[tuple[Counts, Counts, str]], cut: int
) -> None:
    policy = GatePolicy()
    one, other = Gates(policy), Gates(policy)
    for number, (new, old, stage) in enumerate(looks):
        if number == cut:
            kept = msgspec.json.encode(other.state())
            other = Gates.restore(policy, msgspec.json.decode(kept, type=GatesState))
        one.begin(stage)
        other.begin(stage)

        assert one.look(new, old, NOW) == other.look(new, old, NOW)


def test_changes_that_change_nothing_are_not_thrown_back() -> None:
    """A part of `python -m bench gates`, which rolls out 2,000: every gate fed, all stages of an R2 rollout at a third."""
    short = tuple(Step(stage=step.stage, looks=step.looks // 3, new=step.new, old=step.old) for step in R2)

    found = [rollout(seed, GatePolicy(), Weather(), short) for seed in range(40)]

    assert [each.tripped for each in found if each.tripped] == []
    assert sum(each.stuck for each in found) == 0


def test_a_candidate_with_ten_times_the_errors_is_caught_within_the_promise() -> None:
    """100 requests/s and arm, 0.05 % → 0.5 %: within two minutes in 95 of 100, all gates watching."""
    times = []
    for seed in range(60):
        rng, gates, looks = random.Random(seed), watching(), 0
        found = Look()
        while not found.tripped and looks < 100:
            looks += 1
            errors = sum(rng.random() < 0.005 for _ in range(500))
            found = look(gates, arm(errors=errors), arm(errors=sum(rng.random() < 0.0005 for _ in range(500))))
        times.append(looks * 5)

    assert sorted(times)[56] <= 130
