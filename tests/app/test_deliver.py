"""Deliver: one writer, everything that is pending in one step, blame where it belongs."""

import asyncio

import yaml

from seawall.app.deliver import Deliver, Delivered
from seawall.envoy.proto import decode as decode_message
from seawall.fleet.wire import Applied, Rejected, Rejection
from seawall.gateway.decode import decode
from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.xds.resource import LISTENER, SCOPE, Ref, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot
from tests.support.manifests import Json, backend, gateway, route, to

A, B = ObjectKey("HTTPRoute/test/a"), ObjectKey("HTTPRoute/test/b")


def _objects(*documents: Json) -> list[Object]:
    found = [decode(yaml.safe_load(yaml.safe_dump(document))) for document in documents]
    return [one for one in found if isinstance(one, Object)]


def _base() -> list[Object]:
    return _objects(
        *gateway(8080),
        backend("one", 9001),
        route("a", ["a.example"], [to("one")]),
        route("b", ["b.example"], [to("one")]),
    )


class Edge:
    """Takes what is published."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.changes: list[Change] = []

    def publish(self, snapshot: Snapshot, change: Change) -> None:
        self.snapshots.append(snapshot)
        self.changes.append(change)

    def scope(self, host: str) -> Resource:
        found = self.snapshots[-1].get(Ref(SCOPE, ResourceName(f"tcp/127.0.0.1/8080|{host}")))
        assert found is not None
        return found


def _delivering() -> tuple[Deliver, Edge]:
    edge = Edge()
    deliver = Deliver(Resolver(), edge.publish, clock=lambda: 1_000_000.0)
    deliver.objects_changed(_base(), [])
    deliver.step()
    return deliver, edge


def _refuse(deliver: Deliver, edge: Edge, host: str) -> None:
    ref = edge.scope(host).ref
    rejection = Rejection(ref=ref, version=edge.scope(host).version, message="it is odd")
    deliver.edge_reported("e1", Rejected(version=edge.snapshots[-1].version, rejections=(rejection,)))


def test_the_first_step_is_published_even_if_there_is_nothing() -> None:
    edge = Edge()
    deliver = Deliver(Resolver(), edge.publish)

    assert deliver.step().is_published
    assert not deliver.step().is_published
    assert len(edge.snapshots) == 1


def test_a_change_publishes_what_it_changes_and_nothing_else() -> None:
    deliver, edge = _delivering()

    deliver.objects_changed(_objects(route("a", ["a.example"], [to("one", path="/x")])), [])
    deliver.step()

    assert [one.ref for one in edge.changes[-1].put] == [edge.scope("a.example").ref]


def _changed(deliver: Deliver, name: str) -> None:
    deliver.objects_changed(_objects(route(name, [f"{name}.example"], [to("one", path=f"/{name}")])), [])
    deliver.step()


def test_of_several_suspects_the_newest_is_held_back_and_then_the_next() -> None:
    deliver, edge = _delivering()
    deliver.undo.settled(edge.snapshots[-1].version)
    before = edge.scope("b.example").body
    _changed(deliver, "a")
    _changed(deliver, "b")

    assert deliver.hold_back([A, B], "it fails", are_all=True) == (B,)
    deliver.step()
    assert edge.scope("b.example").body == before
    assert deliver.hold_back([A, B], "it still fails") == (A,)


def test_suspects_of_one_age_are_held_only_if_something_else_can_go_on() -> None:
    deliver, edge = _delivering()
    deliver.undo.settled(edge.snapshots[-1].version)
    deliver.objects_changed(_objects(*(route(name, ["x.example"], [to("one")]) for name in "ab")), [])
    deliver.step()

    assert deliver.hold_back([A, B], "it fails", are_all=True) == ()
    assert set(deliver.hold_back([A, B], "it fails")) == {A, B}


def test_the_last_word_on_an_object_counts() -> None:
    deliver, _ = _delivering()

    deliver.objects_changed([], [A, B])
    deliver.objects_changed(_objects(route("a", ["a.example"], [to("one")])), [])
    delivered = deliver.step()

    assert (delivered.put, delivered.removed) == ((A,), (B,))
    assert A in deliver.objects
    assert B not in deliver.objects


def test_many_changes_become_one_step() -> None:
    steps: list[Delivered] = []

    async def run() -> None:
        is_done = asyncio.Event()

        def delivered(step: Delivered) -> None:
            steps.append(step)
            is_done.set()

        deliver = Deliver(Resolver(), Edge().publish, on_delivered=delivered)
        for number in range(100):
            deliver.objects_changed(_objects(backend(f"b{number}", 9000)), [])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(deliver.run())
            await is_done.wait()
            running.cancel()

    asyncio.run(run())

    assert len(steps) == 1
    assert len(steps[0].put) == 100


def test_what_an_edge_refuses_is_replaced_and_blamed_on_what_changed() -> None:
    deliver, edge = _delivering()
    deliver.edge_reported("e1", Applied(version=edge.snapshots[-1].version, at=0))
    deliver.objects_changed(_objects(route("a", ["a.example"], [to("one", path="/odd")])), [])
    deliver.step()

    _refuse(deliver, edge, "a.example")
    deliver.step()

    scope = str(decode_message("envoy.config.route.v3.ScopedRouteConfiguration", edge.scope("a.example").body))
    assert "status: 500" in scope
    assert list(deliver.blame.quarantine) == [A]
    assert any("it is odd" in problem.message for problem in deliver.resolver.statuses[A].problems)


def test_a_new_version_of_the_object_is_tried() -> None:
    deliver, edge = _delivering()
    _refuse(deliver, edge, "a.example")
    deliver.step()

    deliver.objects_changed(_objects(route("a", ["a.example"], [to("one", path="/better")])), [])
    deliver.step()

    assert not deliver.blame.quarantine
    assert not deliver.resolver.statuses[A].problems


def test_a_socket_that_cannot_be_had_is_a_status_of_its_listener() -> None:
    deliver, _ = _delivering()
    ref = Ref(LISTENER, ResourceName("tcp/127.0.0.1/8080"))

    deliver.edge_reported("e1", Rejected(version="1", rejections=(Rejection(ref=ref, version="1", message="in use"),)))
    deliver.step()
    during = deliver.statuses.body(deliver.resolver.statuses[ObjectKey("Gateway/test/edge")])
    deliver.edge_gone("e1")
    deliver.step()
    after = deliver.statuses.body(deliver.resolver.statuses[ObjectKey("Gateway/test/edge")])

    def programmed(body: Json) -> str:
        return next(str(c["status"]) for c in body["listeners"][0]["conditions"] if c["type"] == "Programmed")

    assert (programmed(during), programmed(after)) == ("False", "True")


def test_work_is_counted() -> None:
    deliver, _ = _delivering()

    assert (deliver.counters.steps, deliver.counters.published, deliver.pending) == (1, 1, 0)
    assert deliver.counters.objects == len(_base())
