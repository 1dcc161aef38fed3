"""What we claim."""

from seawall.gateway.features import SUPPORTED


def test_features_are_sorted_and_named_once() -> None:
    assert list(SUPPORTED) == sorted(set(SUPPORTED))
