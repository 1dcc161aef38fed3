from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet.wire import Tally
from seawall.kit.units import Instant, Seconds
from seawall.rollout import tallies as module
from seawall.rollout.tallies import Tallies, forecast

BEGUN = 1_700_000_000.0


def at(seconds: float) -> Instant:
    return Instant(BEGUN + seconds)


def tally(requests: float, *, errors: float = 0, run: str = "r1", bundle: str = "base", **gauges: float) -> Tally:
    return Tally(at=0.0, run=run, bundle=bundle, counts={"requests": requests, "errors": errors}, gauges=gauges)


def test_a_look_holds_what_was_counted_since_the_look_before() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(1000, errors=7), at(0))
    tallies.heard("b", tally(50), at(0))
    tallies.heard("a", tally(1010, errors=8), at(1))
    tallies.heard("a", tally(1030, errors=8), at(2))
    tallies.heard("b", tally(55, errors=2), at(2))

    new, old = tallies.look(["a"], ["b"], at(5))

    assert (new.edges, new.counts["requests"], new.counts["errors"]) == (1, 30, 1)
    assert (old.edges, old.counts["requests"], old.counts["errors"]) == (1, 5, 2)


def test_nothing_is_counted_twice() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(10), at(0))
    tallies.heard("a", tally(20), at(1))
    tallies.look(["a"], [], at(2))

    new, _ = tallies.look(["a"], [], at(7))

    assert new.edges == 0
    assert not new.counts.get("requests")


def test_the_first_tally_of_an_edge_is_where_counting_begins() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(1_000_000, errors=5000), at(0))

    new, _ = tallies.look(["a"], [], at(1))

    assert not new.counts.get("errors")


def test_a_new_run_begins_at_nothing() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(1000, errors=9), at(0))
    tallies.heard("a", tally(1010, errors=9), at(1))
    tallies.heard("a", tally(40, errors=4, run="r2"), at(2))

    new, _ = tallies.look(["a"], [], at(3))

    assert (new.counts["requests"], new.counts["errors"]) == (50, 4)


def test_counts_that_fall_are_left_out_and_counted() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(1000), at(0))
    tallies.heard("a", tally(10), at(1))
    tallies.heard("a", tally(1005), at(2))

    new, _ = tallies.look(["a"], [], at(3))

    assert new.counts["requests"] == 5
    assert tallies.ignored == {"a": 1}


def test_a_count_that_vanishes_has_fallen_and_one_that_appears_began_at_nothing() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(1000), at(0))
    tallies.heard("a", Tally(at=0, run="r1", bundle="base", counts={"requests": 1001, "retries": 3}), at(1))
    tallies.heard("a", Tally(at=0, run="r1", bundle="base", counts={"requests": 1002}), at(2))

    new, _ = tallies.look(["a"], [], at(3))

    assert (new.counts["requests"], new.counts["retries"]) == (1, 3)
    assert tallies.ignored == {"a": 1}


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_numbers_that_cannot_be_are_left_out(bad: float) -> None:
    tallies = Tallies()
    tallies.heard("a", tally(bad), at(0))
    tallies.heard("b", tally(1, memory=bad), at(0))

    assert tallies.ignored == {"a": 1, "b": 1}
    assert tallies.silent(at(100), Seconds(10)) == ()


def test_a_tally_of_countless_names_is_left_out() -> None:
    tallies = Tallies()
    counts = {f"c{number}": 1.0 for number in range(module.MOST_NAMES + 1)}
    tallies.heard("a", Tally(at=0, run="r1", bundle="base", counts=counts), at(0))

    assert tallies.ignored == {"a": 1}


def test_the_candidate_does_not_pay_for_what_its_edge_did_before() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(100), at(0))
    tallies.heard("a", tally(200, errors=90), at(1))
    tallies.heard("a", tally(220, errors=99, bundle="candidate"), at(2))
    tallies.heard("a", tally(250, errors=100, bundle="candidate"), at(3))

    new, _ = tallies.look(["a"], [], at(4), candidate="candidate")

    assert (new.counts["requests"], new.counts["errors"]) == (30, 1)


def test_a_restart_into_the_candidate_counts_from_its_second_tally() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(100), at(0))
    tallies.heard("a", tally(20, run="r2", bundle="candidate"), at(1))
    tallies.heard("a", tally(30, run="r2", bundle="candidate"), at(2))

    new, _ = tallies.look(["a"], [], at(3), candidate="candidate")

    assert new.counts["requests"] == 10


def test_an_edge_counts_for_nobody_while_it_runs_the_other_arms_bundle() -> None:
    tallies = Tallies()
    for edge, bundle in (("late", "base"), ("early", "candidate")):
        tallies.heard(edge, tally(0, bundle=bundle), at(0))
        tallies.heard(edge, tally(10, bundle=bundle), at(1))

    new, old = tallies.look(["late"], ["early"], at(2), candidate="candidate")

    assert (new.edges, old.edges) == (0, 0)


def test_counts_from_before_the_rollout_are_no_control() -> None:
    tallies = Tallies()
    tallies.heard("b", tally(0), at(0))
    tallies.heard("b", tally(5000, errors=400), at(3600))

    _, old = tallies.look([], ["b"], at(3601))
    tallies.heard("b", tally(5010, errors=400), at(3605))
    _, then = tallies.look([], ["b"], at(3606))

    assert old.edges == 0
    assert (then.edges, then.counts["requests"], then.counts["errors"]) == (1, 10, 0)


def test_an_edge_that_says_nothing_believable_falls_silent() -> None:
    tallies = Tallies()
    tallies.heard("liar", tally(1000), at(0))
    tallies.heard("quiet", tally(10), at(0))
    tallies.heard("well", tally(10), at(0))
    for second in range(1, 12):
        tallies.heard("liar", tally(5), at(second))
        tallies.heard("well", tally(10 + second), at(second))

    assert tallies.silent(at(11), Seconds(10)) == ("liar", "quiet")
    tallies.forget("quiet")
    tallies.forget("never seen")
    assert tallies.silent(at(11), Seconds(10)) == ("liar",)


def test_a_journey_that_fails_at_two_looks_running_on_one_edge_is_told() -> None:
    tallies, told = Tallies(), []
    for look, failures in enumerate(((0, 0), (1, 0), (1, 1), (1, 2), (1, 2), (2, 2))):
        for edge, failed in zip(("a", "b"), failures, strict=True):
            counts = {"journeys": look + 1.0, "journey_failures": float(failed)}
            tallies.heard(edge, Tally(at=0, run="r1", bundle="base", counts=counts), at(5 * look))
        new, _ = tallies.look(["a", "b"], [], at(5 * look + 1))
        told.append(new.counts.get("journey_failures_again"))

    assert told == [None, 0, 0, 1, 0, 0]


def test_cpu_is_told_per_request_and_gauges_as_they_stand() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(0, cpu_seconds=100.0, memory=5e7, open_connections=10), at(0))
    tallies.heard("b", tally(0, cpu_seconds=7.0, memory=5e7, open_connections=10), at(0))
    tallies.heard("a", tally(1000, cpu_seconds=100.2, memory=6e7, open_connections=20, memory_limit=1e8), at(1))
    tallies.heard("b", tally(500, cpu_seconds=7.1, memory=7e7, open_connections=30, memory_limit=1e9), at(1))

    new, _ = tallies.look(["a", "b"], [], at(2))

    assert new.cpu_per_request == pytest.approx(0.3 / 1500)
    assert (new.counts["memory"], new.counts["open_connections"]) == (1.3e8, 50)
    assert new.memory_share == 0.6
    assert "cpu_seconds" not in new.counts


def test_cpu_that_is_missing_once_is_no_fault() -> None:
    tallies = Tallies()
    tallies.heard("a", tally(0, cpu_seconds=100.0), at(0))
    tallies.heard("a", tally(10), at(1))
    tallies.heard("a", tally(20, cpu_seconds=101.0), at(2))
    tallies.heard("a", tally(30, cpu_seconds=101.5), at(3))
    tallies.heard("a", tally(40, cpu_seconds=99.0), at(4))

    new, _ = tallies.look(["a"], [], at(5))

    assert new.counts["requests"] == 30
    assert new.cpu_per_request == pytest.approx(0.5 / 30)
    assert tallies.ignored == {"a": 1}


def test_a_leak_is_foreseen() -> None:
    tallies = Tallies()
    for second in range(0, 61, 2):
        tallies.heard("a", tally(second, memory=2e8 + 1e6 * second, memory_limit=1e9), at(second))
        new, _ = tallies.look(["a"], [], at(second))

    assert new.memory_share == pytest.approx(0.26)
    assert new.memory_forecast == pytest.approx(0.26 + 1.8)


def test_a_step_and_growth_that_ends_are_no_leak() -> None:
    step = [(float(second), 0.3 if second < 40 else 0.6) for second in range(0, 120, 2)]
    early_step = [(float(second), 0.3 if second < 4 else 0.6) for second in range(0, 120, 2)]
    ends = [(float(second), 0.3 + 0.2 * min(second, 50) / 50) for second in range(0, 120, 2)]

    assert forecast(step) == forecast(early_step) == pytest.approx(0.6)
    assert forecast(ends) == pytest.approx(0.5)


def test_a_few_samples_foresee_nothing() -> None:
    assert forecast([]) == 0
    assert forecast([(float(second), second / 100) for second in range(0, 20, 2)]) == 0.18
    assert forecast([(5.0, 0.1 * number) for number in range(20)]) == pytest.approx(1.9)


def test_samples_begin_anew_with_a_run_or_a_bundle() -> None:
    tallies = Tallies()
    for second in range(0, 61, 2):
        tallies.heard("a", tally(second, memory=2e8 + 1e6 * second, memory_limit=1e9), at(second))
    tallies.heard("a", tally(63, memory=2e8, memory_limit=1e9, bundle="candidate"), at(63))
    tallies.heard("a", tally(64, memory=2e8, memory_limit=1e9, bundle="candidate"), at(64))

    new, _ = tallies.look(["a"], [], at(65), candidate="candidate")

    assert new.memory_forecast == 0.2


def test_the_longest_silent_edge_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EDGES", 2)
    tallies = Tallies()
    for second, edge in enumerate(("a", "b", "c")):
        tallies.heard(edge, tally(1), at(second))

    assert tallies.silent(at(100), Seconds(10)) == ("b", "c")


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.booleans(), st.sampled_from(["base", "candidate"])),
        max_size=40,
    )
)
def test_no_arm_ever_counts_more_than_its_bundle_has_served(steps: list[tuple[str, int, bool, str]]) -> None:
    tallies = Tallies()
    sums, runs, bundles = {"a": 0, "b": 0}, {"a": 0, "b": 0}, {"a": "base", "b": "base"}
    served, seen = {"base": 0.0, "candidate": 0.0}, {"base": 0.0, "candidate": 0.0}
    for second, (edge, more, has_restarted, bundle) in enumerate(steps):
        sums[edge] = 0 if has_restarted else sums[edge]
        runs[edge] += has_restarted
        bundles[edge] = bundle
        sums[edge] += more
        served[bundle] += more
        tallies.heard(edge, tally(sums[edge], run=str(runs[edge]), bundle=bundle), at(second))
        if second % 3 == 0:
            new, old = tallies.look(["a", "b"], ["a", "b"], at(second), candidate="candidate")
            seen["candidate"] += new.counts.get("requests", 0)
            seen["base"] += old.counts.get("requests", 0)

    assert seen["candidate"] <= served["candidate"]
    assert seen["base"] <= served["base"]


def test_what_a_leak_before_has_left_in_an_edge_is_not_the_candidates() -> None:
    tallies = Tallies()
    tallies.heard("old", tally(1, memory=5e7), at(0))
    tallies.heard("new", tally(1, memory=9e8), at(0))
    tallies.heard("new", tally(2, memory=9e8, bundle="candidate"), at(1))
    tallies.heard("new", tally(3, memory=9.1e8, bundle="candidate"), at(2))
    tallies.heard("old", tally(3, memory=6e7), at(2))

    new, old = tallies.look(["new"], ["old"], at(3), candidate="candidate")

    assert (new.counts["memory"], old.counts["memory"]) == (7e7, 6e7)


def test_an_edge_that_has_given_back_what_a_leak_left_still_has_memory_of_its_own() -> None:
    tallies = Tallies()
    tallies.heard("old", tally(1, memory=5e7), at(0))
    tallies.heard("new", tally(1, memory=9e8), at(0))
    tallies.heard("new", tally(2, memory=9e8, bundle="candidate"), at(1))
    tallies.heard("new", tally(3, memory=5.5e7, bundle="candidate"), at(2))
    tallies.heard("old", tally(3, memory=5e7), at(2))

    new, _ = tallies.look(["new"], ["old"], at(3), candidate="candidate")

    assert new.counts["memory"] == 5e7


def test_after_a_restart_an_edge_has_no_remains() -> None:
    tallies = Tallies()
    tallies.heard("old", tally(1, memory=5e7), at(0))
    tallies.heard("new", tally(1, memory=9e8), at(0))
    tallies.heard("new", tally(2, memory=9e8, bundle="candidate"), at(1))
    tallies.heard("new", tally(1, memory=8e8, bundle="candidate", run="r2"), at(2))
    tallies.heard("old", tally(3, memory=5e7), at(2))

    new, _ = tallies.look(["new"], ["old"], at(3), candidate="candidate")

    assert new.counts["memory"] == 8e8


def test_slow_answers_to_requests_from_before_are_not_the_candidates() -> None:
    def said(slow: float, bundle: str) -> Tally:
        return Tally(at=0.0, run="r1", bundle=bundle, counts={"requests": 10 * slow, "slow": slow}, gauges={})

    tallies = Tallies()
    tallies.heard("a", said(1, "base"), at(0))
    tallies.heard("a", said(2, "candidate"), at(1))
    tallies.heard("a", said(10, "candidate"), at(3))

    early, _ = tallies.look(["a"], [], at(4), candidate="candidate")
    tallies.heard("a", said(13, "candidate"), at(8))
    late, _ = tallies.look(["a"], [], at(9), candidate="candidate")

    assert (early.counts["requests"], early.counts.get("slow", 0.0)) == (80, 0.0)
    assert late.counts["slow"] == 3


def test_no_more_than_all_requests_are_slow() -> None:
    def said(requests: float, slow: float) -> Tally:
        return Tally(at=0.0, run="r1", bundle="candidate", counts={"requests": requests, "slow": slow}, gauges={})

    tallies = Tallies()
    tallies.heard("a", said(10, 0), at(0))
    tallies.heard("a", said(14, 8), at(10))

    new, _ = tallies.look(["a"], [], at(11), candidate="candidate")

    assert (new.counts["requests"], new.counts["slow"]) == (4, 4)
