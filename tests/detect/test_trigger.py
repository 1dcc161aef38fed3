"""When a rate is an excess."""

from seawall.detect.baseline import Normal
from seawall.detect.trigger import bound, has_tripped


def test_two_seconds_beyond_the_bound_or_one_far_beyond() -> None:
    assert not has_tripped([], 100)
    assert not has_tripped([100, 150], 100)
    assert not has_tripped([150, 90], 100)
    assert has_tripped([110, 150], 100)
    assert has_tripped([400], 100)


def test_an_ill_origin_needs_less_and_the_floor_always_counts() -> None:
    normal = Normal(p95=100.0, p99=120.0)

    assert bound(normal, 50.0) == 360.0
    assert bound(normal, 50.0, is_ill=True) == 130.0
    assert bound(Normal(), 50.0, is_ill=True) == 50.0
    assert bound(normal, 50.0, 2.0) == 180.0
