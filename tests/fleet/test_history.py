"""Sending an edge only what it lacks."""

from seawall.fleet.history import History
from seawall.xds.resource import CLUSTER, Resource, ResourceName
from seawall.xds.snapshot import Snapshot


def snapshot(body: str) -> Snapshot:
    return Snapshot.of([Resource(type_url=CLUSTER, name=ResourceName("a"), version=body, body=body.encode())])


def test_what_was_sent_is_found_by_its_version() -> None:
    history = History()
    history.remember(snapshot("1"))

    assert history.find(snapshot("1").version) == snapshot("1")
    assert history.find("other") is None


def test_the_one_longest_unused_goes_first() -> None:
    history = History(most=2)
    history.remember(snapshot("1"))
    history.remember(snapshot("2"))
    history.find(snapshot("1").version)
    history.remember(snapshot("3"))

    assert len(history) == 2
    assert history.find(snapshot("1").version) is not None
    assert history.find(snapshot("2").version) is None


def test_large_changes_are_kept_within_a_bound_of_bytes_and_the_newest_always() -> None:
    history = History(most_bytes=250)
    for letter in "abcdef":
        history.remember(snapshot(letter * 100))

    assert len(history) == 2
    assert history.find(snapshot("f" * 100).version) is not None
    history.remember(snapshot("g" * 1000))
    assert len(history) == 1
    assert history.find(snapshot("g" * 1000).version) is not None


def test_what_is_remembered_again_costs_nothing_more() -> None:
    history = History(most_bytes=250)
    for _ in range(10):
        history.remember(snapshot("a" * 100))
        history.remember(snapshot("b" * 100))

    assert len(history) == 2
