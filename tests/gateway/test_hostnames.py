"""Hostnames cover each other as the Gateway API says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.gateway.graph import Hostname
from seawall.gateway.hostnames import ANY, covers, hostname_of, intersect, owner, wider

exact = st.lists(st.sampled_from(["a", "b", "com"]), min_size=1, max_size=4).map(
    lambda parts: Hostname(".".join(parts))
)
hostnames = exact | exact.map(lambda name: Hostname(f"*.{name}")) | st.just(ANY)


@given(hostnames)
def test_wider_yields_just_what_covers_the_most_specific_first(hostname: Hostname) -> None:
    found = list(wider(hostname))

    assert all(covers(wide, hostname) and wide != hostname for wide in found)
    assert all(covers(after, before) for before, after in pairwise(found))


@given(hostnames, hostnames)
def test_intersection_is_the_narrower_of_two(one: Hostname, other: Hostname) -> None:
    common = intersect(one, other)

    assert common == intersect(other, one)
    assert common in (one, other, None)
    assert (common is None) == (not covers(one, other) and not covers(other, one))


@given(hostnames, st.frozensets(hostnames))
def test_the_owner_is_the_most_specific_that_covers(hostname: Hostname, declared: frozenset[Hostname]) -> None:
    found = owner(hostname, declared)

    covering = [wide for wide in declared if covers(wide, hostname)]
    assert (found is None) == (not covering)
    assert found is None or all(covers(wide, found) for wide in covering)


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "b.a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "*.a.example.com", True),
        ("*.a.example.com", "*.example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*", "*.com", True),
        ("*.com", "*", False),
    ],
)
def test_a_wildcard_is_one_or_more_labels(wide: str, narrow: str, is_covered: bool) -> None:
    assert covers(Hostname(wide), Hostname(narrow)) is is_covered


def test_hostnames_are_written_in_one_way() -> None:
    assert [hostname_of(text) for text in (None, "", "A.Example.", "*.X")] == ["*", "*", "a.example", "*.x"]
