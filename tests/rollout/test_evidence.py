import random
from math import exp, inf, log, nan

import msgspec
import pytest
from bench.support.canary import binomial, bursts
from hypothesis import given
from hypothesis import strategies as st

from seawall.kit.errors import InvariantError
from seawall.rollout import evidence
from seawall.rollout.evidence import CERTAIN, Evidence, average, begin, e_value, learn_dispersion, log_sum, signed_rank

COUNT = st.floats(min_value=0, max_value=1e9)
SERVED = st.floats(min_value=1, max_value=1e9)
LOOKS = st.lists(st.tuples(COUNT, SERVED, COUNT, SERVED), max_size=20)
ALPHA = 0.05
"""Large, so that few runs show whether it is kept."""


def weigh(looks: list[tuple[float, float, float, float]], tolerance: float = 1.5, reserve: float = 0.2) -> Evidence:
    seen = begin(tolerance, reserve)
    for look in looks:
        seen = seen.after(*look)
    return seen


def mixture(failed: float, control_failed: float, tolerance: float = 1.5) -> float:
    """The truncated Beta(1,1) mixture for equal arms, integrated finely, as a logarithm."""
    lowest, steps = tolerance / (1 + tolerance), 20_000
    width = (1 - lowest) / steps
    shares = [lowest + (step + 0.5) * width for step in range(steps)]
    each = [failed * log(share / lowest) + control_failed * log((1 - share) / (1 - lowest)) for share in shares]
    return log_sum(each) - log(steps)


@pytest.mark.parametrize(("failed", "control"), [(0, 1), (3, 0), (25, 0), (30, 3), (400, 210), (5, 40), (2000, 1000)])
def test_equal_arms_give_the_truncated_beta_mixture(failed: int, control: int) -> None:
    seen = begin(1.5).after(failed, 10_000, control, 10_000)

    assert seen.log == pytest.approx(mixture(failed, control), abs=0.25)


def test_one_large_look_is_worth_what_its_parts_are_worth() -> None:
    whole = begin(1.5).after(30, 1000, 10, 3000)
    parts = weigh([(10, 500, 4, 1500), (20, 500, 6, 1500)], reserve=0)

    assert parts.log == pytest.approx(whole.log)


def is_fooled(seed: int, rates: tuple[float, float], arms: list[tuple[int, int]], burst: float = 1.0) -> bool:
    """Say whether a candidate that is within the tolerance is ever accused at ALPHA."""
    rng, seen, dispersion = random.Random(seed), begin(1.5, 0.2), 2 * burst - 1
    for served, control in arms:
        weather = rng.choice((0.3, 1.0, 3.0))
        failed = bursts(rng, served * rates[0] * weather, burst)
        seen = seen.after(
            failed / dispersion, served, bursts(rng, control * rates[1] * weather, burst) / dispersion, control
        )
        if seen.log >= -log(ALPHA):
            return True
    return False


GROWING = [(50, 500)] * 40 + [(150, 400)] * 40 + [(300, 300)] * 40 + [(500, 50)] * 20
RUNS = 200


@pytest.mark.parametrize(("rates", "burst"), [((0.015, 0.01), 1.0), ((0.06, 0.04), 1.0), ((0.06, 0.04), 3.0)])
def test_false_alarms_at_the_very_tolerance_stay_below_alpha(rates: tuple[float, float], burst: float) -> None:
    """With rates that change together, arms that change size and a look at each step; 3 sigma above the bound of Ville."""
    fooled = sum(is_fooled(seed, rates, GROWING, burst) for seed in range(RUNS))

    assert fooled <= RUNS * ALPHA + 3 * (RUNS * ALPHA * (1 - ALPHA)) ** 0.5


def test_binomial_failures_of_any_share_are_covered() -> None:
    """60 % against 40 % is within a tolerance of 1.5: no approximation for rare failures is hidden here."""
    rng, fooled = random.Random(5), 0
    for _ in range(RUNS):
        seen = begin(1.5)
        for _ in range(100):
            seen = seen.after(binomial(rng, 40, 0.6), 40, binomial(rng, 20, 0.4), 20)
            if seen.log >= -log(ALPHA):
                fooled += 1
                break

    assert fooled <= RUNS * ALPHA


@pytest.mark.parametrize("served", [(100.0, 100.0), (10.0, 990.0), (900.0, 100.0)])
def test_the_expectation_at_the_tolerance_is_one(served: tuple[float, float]) -> None:
    """Of one look with Poisson failures, summed over all counts that matter: exactly 1, not only below."""
    rate = 2.0 / sum(served)
    means = (1.5 * rate * served[0], rate * served[1])
    seen, expected = begin(1.5, 0.2), 0.0
    chances = []
    for mean in means:
        row = [exp(-mean)]
        for count in range(1, 40):
            row.append(row[-1] * mean / count)
        chances.append(row)
    for failed, chance in enumerate(chances[0]):
        for control, other in enumerate(chances[1]):
            expected += chance * other * exp(seen.after(failed, served[0], control, served[1]).log)

    assert expected == pytest.approx(1, abs=1e-6)


@given(LOOKS)
def test_no_counts_overflow(looks: list[tuple[float, float, float, float]]) -> None:
    seen = weigh(looks)

    assert -inf < seen.log < inf
    assert 0 <= e_value(seen.log) <= CERTAIN * 1.01


@given(LOOKS, COUNT, SERVED, SERVED, st.floats(min_value=0.01, max_value=1e6))
def test_more_failures_of_the_candidate_are_more_evidence(
    looks: list[tuple[float, float, float, float]], failed: float, served: float, control: float, more: float
) -> None:
    seen = weigh(looks)

    assert seen.after(failed + more, served, 3, control).log >= seen.after(failed, served, 3, control).log - 1e-6


@given(LOOKS, st.floats(min_value=0.01, max_value=1))
def test_cash_that_becomes_a_bet_is_worth_the_same(looks: list[tuple[float, float, float, float]], part: float) -> None:
    seen = weigh(looks)

    assert seen.invested(part).log == pytest.approx(seen.log, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.01, 1), LOOKS), min_size=1, max_size=5), st.randoms())
def test_the_order_of_metrics_does_not_matter(
    metrics: list[tuple[float, list[tuple[float, float, float, float]]]], rng: random.Random
) -> None:
    weighed = [(weight, weigh(looks)) for weight, looks in metrics]
    shuffled = rng.sample(weighed, len(weighed))

    assert average(shuffled) == pytest.approx(average(weighed), rel=1e-12)


def test_a_fault_that_wakes_late_is_found_sooner_with_cash_at_hand() -> None:
    quiet, fault = [(5.0, 10_000.0, 5.0, 10_000.0)] * 60, [(50.0, 10_000.0, 5.0, 10_000.0)] * 2

    assert weigh(quiet + fault, reserve=0.2).log > weigh(quiet + fault, reserve=0).log + 10


def test_nothing_is_learned_without_failures_or_without_an_arm() -> None:
    start = begin(1.5, 0.2)

    assert start.after(0, 100, 0, 100) == start
    assert start.after(5, 100, 0, 0) == start
    assert start.after(0, 0, 5, 100) == start
    assert start.log == pytest.approx(0)


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
@pytest.mark.parametrize("place", range(4))
def test_counts_that_cannot_be_are_refused(bad: float, place: int) -> None:
    counts = [1.0, 100.0, 1.0, 100.0]
    counts[place] = bad

    with pytest.raises(InvariantError, match="finite and not negative"):
        begin(1.5).after(counts[0], counts[1], counts[2], counts[3])


@pytest.mark.parametrize(("tolerance", "reserve"), [(0.0, 0.0), (nan, 0.0), (1.5, 1.0), (1.5, -0.1)])
def test_a_bet_that_is_none_is_refused(tolerance: float, reserve: float) -> None:
    with pytest.raises(InvariantError):
        begin(tolerance, reserve)


@given(LOOKS)
def test_evidence_survives_json(looks: list[tuple[float, float, float, float]]) -> None:
    seen = weigh(looks)

    assert msgspec.json.decode(msgspec.json.encode(seen), type=Evidence) == seen


def test_dispersion_of_independent_failures_is_about_one() -> None:
    rng = random.Random(3)
    looks = [(binomial(rng, 500, 0.02), 500.0, binomial(rng, 500, 0.02), 500.0) for _ in range(2000)]

    assert 1 <= learn_dispersion(looks) < 1.4


def test_dispersion_of_bursts_is_learned() -> None:
    rng = random.Random(3)
    looks = [(bursts(rng, 20, 5), 500.0, bursts(rng, 20, 5), 500.0) for _ in range(2000)]

    assert 8 < learn_dispersion(looks) < 13


def test_dispersion_sees_bursts_that_are_longer_than_a_look() -> None:
    rng, looks = random.Random(3), []
    for _ in range(250):
        share, other = rng.choice((0.0, 0.04)), rng.choice((0.0, 0.04))
        looks += [(binomial(rng, 500, share), 500.0, binomial(rng, 500, other), 500.0) for _ in range(8)]

    assert learn_dispersion(looks) > 4 * evidence._pearson(looks) > 0


def test_dispersion_of_too_little_is_one() -> None:
    assert learn_dispersion([(100.0, 500.0, 0.0, 500.0)] * 31) == 1
    assert learn_dispersion([(0.0, 500.0, 0.0, 500.0)] * 100) == 1


def test_signed_rank_is_exact_for_few() -> None:
    assert signed_rank([1.0, 2.0, 3.0, 4.0, 5.0]) == 1 / 32
    assert signed_rank([-1.0, -2.0, -3.0]) == 1
    assert signed_rank([-1.0, 2.0]) == 2 / 4
    assert signed_rank([]) == signed_rank([0.0, 0.0]) == 1


def test_signed_rank_shares_the_ranks_of_equal_sizes() -> None:
    assert signed_rank([1.0, 1.0, -1.0]) == 4 / 8


def test_signed_rank_of_many_agrees_with_the_exact_one() -> None:
    rng = random.Random(1)
    values = [rng.gauss(0.3, 1) for _ in range(30)]

    assert signed_rank([*values, 1e-9]) == pytest.approx(signed_rank(values), abs=0.01)
