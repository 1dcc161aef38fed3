import pytest

from seawall.rollout.comparison import COSTLIER, FIRST_TEST, MOST, SLOWER, Comparison, compare
from seawall.rollout.events import Counts


def arm(cpu: float = 1e-4, slow: float = 0, requests: float = 1000, memory: float = 8e7) -> Counts:
    counts = {"requests": requests, "slow": slow, "memory": memory, "open_connections": 100.0}
    return Counts(edges=1, counts=counts, cpu_per_request=cpu)


def verdict(gate: str, looks: list[tuple[Counts, Counts]]) -> str:
    found = Comparison()
    for look in looks:
        found = compare(gate, found, look, 1.5)
    return found.verdict


@pytest.mark.parametrize("gate", ["latency", "cpu", "memory"])
def test_arms_alike_are_fine_after_five_looks_and_not_before(gate: str) -> None:
    alike = (arm(slow=3), arm(slow=3))

    assert verdict(gate, [alike] * (FIRST_TEST - 1)) == "early"
    assert verdict(gate, [alike] * FIRST_TEST) == "fine"


@pytest.mark.parametrize(
    ("gate", "worse"), [("cpu", arm(cpu=1.5e-4)), ("memory", arm(memory=2e8)), ("latency", arm(slow=40))]
)
def test_a_candidate_that_costs_more_than_allowed_is_worse(gate: str, worse: Counts) -> None:
    assert verdict(gate, [(worse, arm(slow=3))] * FIRST_TEST) == "worse"


def test_looks_that_contradict_each_other_are_inconclusive() -> None:
    dear, cheap = arm(cpu=2e-4), arm(cpu=0.9e-4)

    assert verdict("cpu", [(dear, arm()), (cheap, arm())] * FIRST_TEST) == "inconclusive"


def test_it_is_tested_at_few_looks_only() -> None:
    """Between two tests looks may say what they like: peeking is what makes such tests lie."""
    fine, bad = (arm(), arm()), (arm(cpu=9e-4), arm())
    found, heard = Comparison(), []
    for look in [fine] * 12 + [bad] * 50:
        found = compare("cpu", found, look, 1.5)
        heard.append(found.verdict)

    changes = [number for number in range(2, 62) if heard[number - 1] != heard[number - 2]]
    assert set(changes) <= {5, 10, 15, 20, 30, 40, 60}
    assert (heard[13], heard[-1]) == ("fine", "worse")


def test_no_slow_answer_anywhere_is_fine() -> None:
    assert verdict("latency", [(arm(), arm())] * FIRST_TEST) == "fine"
    assert SLOWER > 0


@pytest.mark.parametrize(
    ("gate", "dumb"), [("cpu", arm(cpu=0)), ("memory", arm(memory=0)), ("latency", arm(requests=0))]
)
def test_a_measure_that_only_one_arm_has_is_no_reason_to_go_on(gate: str, dumb: Counts) -> None:
    assert verdict(gate, [(dumb, arm())] * 9) == "one-sided"
    assert verdict(gate, [(arm(), dumb)] * 9) == "one-sided"
    assert verdict(gate, [(dumb, dumb)] * 9) == "unmeasured"


def test_quiet_edges_are_not_taken_for_wasteful_ones() -> None:
    """20 ms of CPU in five seconds are an idle Envoy's, however few requests there were."""
    quiet, busy = arm(cpu=(0.02 + 0.01) / 100, requests=100), arm(cpu=(0.02 + 0.04) / 500, requests=500)

    assert verdict("cpu", [(quiet, busy)] * FIRST_TEST) == "fine"
    assert COSTLIER > 1


def test_where_idle_work_hides_the_cost_of_requests_nothing_is_compared() -> None:
    quiet, dear = arm(cpu=1e-3, requests=20), arm(cpu=9e-3, requests=20)

    assert verdict("cpu", [(dear, quiet)] * FIRST_TEST) == "unmeasured"
    assert verdict("cpu", [(dear, arm())] * FIRST_TEST) == "unmeasured"
    assert verdict("cpu", [(arm(), arm()), *[(dear, quiet)] * 9]) == "unmeasured"
    assert verdict("cpu", [*[(arm(cpu=9e-4), arm())] * FIRST_TEST, *[(dear, quiet)] * 9]) == "worse"


def test_a_comparison_stays_small() -> None:
    found = Comparison()
    for _ in range(MOST + 5):
        found = compare("cpu", found, (arm(), arm()), 1.5)

    assert len(found.differences) == MOST
    assert found.verdict == "fine"
