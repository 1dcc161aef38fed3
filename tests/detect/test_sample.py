"""Replaying scopes on stored requests."""

from seawall.detect.sample import EMPTY, Sample
from seawall.detect.scope import scope

REQUESTS = [
    {"route": "shop", "address": f"192.0.2.{number}", "agent": "a" if number < 25 else "b"} for number in range(100)
]


def test_impact_is_the_share_of_requests_in_a_scope() -> None:
    sample = Sample(REQUESTS)

    assert sample.impact(scope("shop", {"agent": "a"})) == 0.25
    assert sample.impact(scope("", {"agent": "a", "address": "192.0.2.3"})) == 0.01
    assert sample.impact(scope("blog", {"agent": "a"})) == 0.0
    assert sample.impact(scope("", {"address": "192.0.2.0/26"})) == 0.64
    assert sample.values("agent") == {"a": 25, "b": 75}
    assert sample.share(sample.everything) == 1.0


def test_nothing_stored_says_nothing() -> None:
    assert not EMPTY.is_enough and len(EMPTY) == 0
    assert EMPTY.impact(scope("", {"agent": "a"})) == 0.0
