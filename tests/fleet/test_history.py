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
