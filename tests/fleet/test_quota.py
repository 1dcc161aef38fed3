"""Quota: how a limit is divided, and what that comes to on edges with buckets."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet.quota import HOLD, SCALE, Quota, Steward, split
from seawall.fleet.wire import Used
from seawall.kit.units import Instant

QUOTA = Quota(name="a/p", slot=3, rate=1000.0, most=1000)
demands = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1e6), min_size=1)


@given(demands, st.booleans(), st.floats(0.01, 1e6))
def test_shares_sum_up_to_the_whole_and_nobody_has_nothing(
    asked: dict[str, float], is_keyed: bool, rate: float
) -> None:
    quota = Quota(name="a/p", slot=0, rate=rate, most=10, is_keyed=is_keyed)
    shares = split(quota, asked)

    assert shares.keys() == asked.keys()
    assert math.isclose(sum(shares.values()), 1.0, rel_tol=1e-6)
    assert min(shares.values()) >= 0.049 / len(asked)


@given(demands)
def test_who_is_asked_as_much_gets_as_much_and_who_is_asked_more_never_less(asked: dict[str, float]) -> None:
    shares = split(QUOTA, asked)

    ordered = sorted(asked, key=asked.__getitem__)
    for one, other in pairwise(ordered):
        assert shares[one] <= shares[other] + 1e-9


def test_an_attack_on_one_edge_takes_nothing_that_the_others_need() -> None:
    shares = split(QUOTA, {"a": 100_000.0, "b": 100.0, "c": 200.0, "d": 0.0})

    assert shares["b"] * 1000 >= 100
    assert shares["c"] * 1000 >= 200
    assert shares["a"] * 1000 >= 650


def test_what_nobody_needs_is_divided_equally() -> None:
    assert split(QUOTA, {"a": 0.0, "b": 0.0}) == {"a": 0.5, "b": 0.5}
    assert split(QUOTA, {}) == {}


def test_a_limit_for_each_key_follows_where_requests_go() -> None:
    keyed = Quota(name="a/p", slot=0, rate=10.0, most=10, is_keyed=True)

    shares = split(keyed, {"a": 9000.0, "b": 1000.0})

    assert shares["a"] == pytest.approx(0.88, abs=0.01)


class _Fleet:
    """Edges with buckets as Envoy keeps them, asked so and so often a second."""

    def __init__(self, edges: int) -> None:
        self.steward = Steward()
        self.steward.configured([QUOTA])
        self.costs = dict.fromkeys((f"e{n}" for n in range(edges)), SCALE)
        self.tokens = {edge: float(QUOTA.most * SCALE) for edge in self.costs}
        self.counts = dict.fromkeys(self.costs, 0.0)
        self.passed = dict.fromkeys(self.costs, 0)
        self.luck = random.Random(7)
        self.at = 100.0

    def run(self, seconds: float, asked: dict[str, float], *, told: bool = True) -> dict[str, float]:
        """Let time pass in steps of 50 ms; return how many a second have passed on each edge."""
        before = dict(self.passed)
        for step in range(round(seconds * 20)):
            self.at += 0.05
            for edge, rate in asked.items():
                most = QUOTA.most * SCALE
                self.tokens[edge] = min(most, self.tokens[edge] + QUOTA.rate * SCALE * 0.05)
                count = int(rate * 0.05 + self.luck.random())
                passed = min(count, int(self.tokens[edge] // self.costs[edge]))
                self.tokens[edge] -= passed * self.costs[edge]
                self.counts[edge] += count
                self.passed[edge] += passed
            if told and step % 5 == 4:
                self._tell()
        return {edge: (self.passed[edge] - before[edge]) / seconds for edge in asked}

    def _tell(self) -> None:
        for edge, count in self.counts.items():
            self.steward.used(edge, Used(at=self.at, run="1", counts={QUOTA.name: count}))
        for edge, shares in self.steward.shares(Instant(self.at)).items():
            self.costs[edge] = shares[0].cost


def test_four_edges_hold_the_limit_fairly_and_use_all_of_it() -> None:
    fleet = _Fleet(4)
    everywhere = dict.fromkeys(fleet.costs, 700.0)
    fleet.run(5, everywhere)

    steady = fleet.run(10, everywhere)

    assert 950 <= sum(steady.values()) <= 1050
    assert max(steady.values()) <= 1.05 * min(steady.values())


def test_after_a_step_at_most_a_tenth_too_many_pass_in_a_second() -> None:
    fleet = _Fleet(4)
    fleet.run(10, {"e0": 900.0, "e1": 900.0, "e2": 10.0, "e3": 10.0})

    step = fleet.run(1, {"e0": 10.0, "e1": 900.0, "e2": 900.0, "e3": 900.0})
    later = fleet.run(5, {"e0": 10.0, "e1": 900.0, "e2": 900.0, "e3": 900.0})

    # The buckets of edges that were idle are full: what they hold is part of the limit, not above it.
    held = QUOTA.most * 0.06
    assert sum(step.values()) <= 1100 + held
    assert 950 <= sum(later.values()) <= 1050


def test_an_edge_that_is_away_keeps_its_share_for_a_while_and_then_it_is_divided() -> None:
    fleet = _Fleet(2)
    fleet.run(5, {"e0": 900.0, "e1": 900.0})
    fleet.steward.connected({"e0"}, Instant(fleet.at))

    shortly = fleet.steward.shares(Instant(fleet.at + HOLD / 2))
    later = fleet.steward.shares(Instant(fleet.at + HOLD + 1))

    assert set(shortly) == set(later) == {"e0"}
    assert shortly["e0"][0].cost == pytest.approx(2 * SCALE, rel=0.05)
    assert later["e0"][0].cost == SCALE


def test_an_edge_that_comes_back_has_its_share_again() -> None:
    steward = Steward()
    steward.configured([QUOTA])
    steward.connected({"a", "b"}, Instant(0.0))
    steward.connected({"a"}, Instant(1.0))
    steward.connected({"a", "b"}, Instant(2.0))

    assert {edge: shares[0].cost for edge, shares in steward.shares(Instant(100.0)).items()} == {
        "a": 2 * SCALE,
        "b": 2 * SCALE,
    }
    assert steward.shares_of(QUOTA.name) == {"a": 0.5, "b": 0.5}


def test_an_edge_that_came_and_went_unseen_is_forgotten_too() -> None:
    steward = Steward()
    steward.configured([QUOTA])
    steward.used("b", Used(at=1.0, run="1", counts={}))
    steward.connected({"a"}, Instant(1.0))

    steward.shares(Instant(2.0 + HOLD))

    assert dict(steward.shares_of(QUOTA.name)) == {"a": 1.0}


def test_counts_that_begin_anew_or_come_late_are_no_demand() -> None:
    steward = Steward()
    steward.configured([QUOTA])
    for edge in ("a", "b"):
        steward.used(edge, Used(at=1.0, run="1", counts={QUOTA.name: 1000.0}))
    # Another Envoy, a long silence, the same message twice.
    for said in (Used(at=1.2, run="2", counts={}), Used(at=60.0, run="2", counts={QUOTA.name: 9e9})):
        steward.used("a", said)
        steward.used("a", said)

    assert dict(steward.shares_of(QUOTA.name)) == {}
    assert {one[0].cost for one in steward.shares(Instant(60.0)).values()} == {2 * SCALE}


def test_one_request_fits_into_a_bucket_however_small_the_share_is() -> None:
    steward = Steward()
    steward.configured([Quota(name="a/p", slot=0, rate=0.1, most=2)])
    steward.connected([str(number) for number in range(10)], Instant(0.0))

    assert {one[0].cost for one in steward.shares(Instant(1.0)).values()} == {2 * SCALE}


def test_shares_that_hardly_move_stay_as_they_are() -> None:
    fleet = _Fleet(4)
    fleet.run(5, dict.fromkeys(fleet.costs, 700.0))
    before = dict(fleet.costs)

    fleet.run(2, dict.fromkeys(fleet.costs, 701.0))

    assert fleet.costs == before


def test_a_policy_that_is_gone_is_not_divided() -> None:
    steward = Steward()
    steward.configured([QUOTA])
    steward.connected({"a"}, Instant(0.0))
    assert len(steward.shares(Instant(1.0))["a"]) == 1

    steward.configured([])

    assert steward.shares(Instant(1.0)) == {"a": ()}
    assert steward.shares_of(QUOTA.name) == {}
