"""Scenarios played to the end: attacks get a verdict that names them in time, their benign twins get none.

The table is `bench.support.scenarios`; the bars of attacks are in event time. `SEAWALL_SEEDS=20` plays what must never be refused
with twenty seeds each (four minutes of a core); two of them play with every run.
"""

import os

import pytest
from bench.support.scenarios import SCENARIOS, Scenario
from bench.support.theatre import play

from seawall.detect.guards.registry import GUARDS

ATTACKS = [one for one in SCENARIOS if one.is_attack]
TWINS = [one for one in SCENARIOS if not one.is_attack]
SEEDS = int(os.environ.get("SEAWALL_SEEDS", "2"))
BELOW_HTTP = ("A10", "A15")
"""Nothing of these reaches the origin as a request: a verdict on the addresses is all."""


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.id)
@pytest.mark.parametrize("seed", range(3))
def test_an_attack_is_named_and_stopped_in_time(one: Scenario, seed: int) -> None:
    outcome = play(one, seed)

    assert 0 < outcome.enforced <= one.ttm
    assert outcome.precision(one.planted) >= 0.9, [str(each.scope) for each in outcome.acting]
    assert outcome.good_denied == 0
    assert outcome.good_limited <= 0.005 * outcome.good
    assert all(len(each.guards) == len(GUARDS) for each in outcome.acting)
    if one.id not in BELOW_HTTP:
        assert 0 <= outcome.mitigated <= one.ttm


@pytest.mark.parametrize("one", TWINS, ids=lambda one: one.id)
def test_a_benign_twin_is_never_refused(one: Scenario) -> None:
    for seed in range(SEEDS):
        outcome = play(one, seed)

        assert (outcome.good_denied, outcome.good_limited) == (0, 0), f"seed {seed}: {outcome.acting}"
