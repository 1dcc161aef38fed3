"""The ladder: confidence carries up, what is not built is left out, a relapse holds twice as long."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.detect.ladder import HIGHEST, LADDER, LONGEST, action, built, climb, ttl


def test_higher_rungs_need_more_and_may_cost_less() -> None:
    steps = LADDER[1:]

    assert [one.number for one in LADDER] == list(range(8))
    assert [one.confidence for one in steps] == sorted(one.confidence for one in steps)


@given(score=st.floats(0, 1), most=st.integers(1, HIGHEST))
def test_nothing_climbs_beyond_its_score_or_its_kind_of_evidence(score: float, most: int) -> None:
    rung = climb(score, most)

    assert 1 <= rung <= most and LADDER[rung].is_built
    assert rung == 1 or score >= LADDER[rung].confidence


def test_challenge_leads_to_the_rung_below_until_it_is_built() -> None:
    assert built(3) == 2
    assert climb(0.7, 7) == 2


@given(rung=st.integers(1, HIGHEST), relapses=st.integers(0, 1000))
def test_a_relapse_doubles_up_to_a_day(rung: int, relapses: int) -> None:
    assert ttl(rung, relapses + 1) == min(2 * ttl(rung, relapses), LONGEST)


def test_actions_say_what_an_edge_does() -> None:
    limit = action(2, allowed=3.0, ignore_query=True)

    assert (limit.kind, limit.rate, limit.burst, limit.code, limit.ignore_query) == ("limit", 3.0, 6.0, 429, True)
    assert action(4).delay_ms > 0 and action(4).refuses
    assert action(5).code == 403
    assert (action(6).where, action(7).where) == ("nftables", "xdp")
    assert action(1).kind == "tag" and not action(1).refuses
