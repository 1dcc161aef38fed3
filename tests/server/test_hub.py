"""The hub wakes streams and never queues."""

from tests.xds.play import cluster, ref

from seawall.server.hub import Hub
from seawall.xds.resource import CLUSTER
from seawall.xds.snapshot import Change, Snapshot


def test_a_mailbox_holds_the_newest_of_each_name_however_often_it_changes() -> None:
    hub = Hub()
    woken: list[None] = []
    with hub.mailbox(lambda: woken.append(None)) as mailbox:
        for version in ("1", "2", "3"):
            hub.publish(Snapshot.of([cluster("a", version), cluster("b")]))
        hub.publish(Snapshot.of([cluster("a", "3")]))

        change = mailbox.take()

    assert change == Change(put=(cluster("a", "3"),), remove=(ref(CLUSTER, "b"),))
    assert mailbox.take().is_empty
    assert len(woken) == 4
    assert mailbox.snapshot == hub.snapshot


def test_a_closed_mailbox_gets_nothing() -> None:
    hub = Hub()
    with hub.mailbox(lambda: None) as mailbox:
        pass

    hub.publish(Snapshot.of([cluster("a")]))

    assert mailbox.take().is_empty


def test_a_known_change_is_passed_on_as_it_is() -> None:
    hub = Hub()
    snapshot = Snapshot.of([cluster("a")])
    change = Change(put=(cluster("a"),))
    with hub.mailbox(lambda: None) as mailbox:
        hub.publish(snapshot, change)

        assert mailbox.take() == change


def test_versions_that_were_replaced_are_remembered_for_clients_that_come_back() -> None:
    hub = Hub()
    hub.publish(Snapshot.of([cluster("a", "1"), cluster("b", "1")]))
    hub.publish(Snapshot.of([cluster("a", "2")]))

    assert hub.recall(ref(CLUSTER, "a"), "1") == cluster("a", "1")
    assert hub.recall(ref(CLUSTER, "b"), "1") == cluster("b", "1")
    assert hub.recall(ref(CLUSTER, "a"), "never") is None


def test_what_is_remembered_is_bounded() -> None:
    hub = Hub()

    for i in range(40):
        hub.publish(Snapshot.of([cluster("a", f"{i}" + "v" * (1 << 20))]))

    remembered = [i for i in range(40) if hub.recall(ref(CLUSTER, "a"), f"{i}" + "v" * (1 << 20))]
    assert remembered == list(range(24, 39))
