"""What each edge is told to run, and in how many bytes: over real gRPC, as agents hear it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.caller import Caller, edge, put, resource, tell, until
from tests.support.control import KEY, bundle_of
from tests.support.signing import Signing

from seawall.fleet.bundle import EVERY_EDGE, Assignment
from seawall.fleet.wire import Heartbeat
from seawall.kit.errors import InvariantError
from seawall.server.edges import EdgeService
from seawall.server.orders import PART, Orders, cut
from seawall.xds.resource import CLUSTER, Ref, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot

ONE = Snapshot.of(put("a", "b").put)
TWO = ONE.apply(put("c"))
THREE = ONE.apply(put("d"))


def test_a_new_edge_is_sent_the_whole_and_then_the_changes(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address) as e1:
            message, _, _ = await e1.take()
            assert (message.base, message.put) == ("", tuple(ONE.all()))

            change = Change(put=(resource("c"),), remove=(Ref(CLUSTER, ResourceName("a")),))
            signing.publish(ONE.apply(change))
            message, _, _ = await e1.take()
            assert (message.base, message.put, message.remove) == (ONE.version, change.put, change.remove)

    tell(tmp_path, story)


def test_an_edge_that_holds_a_known_version_is_sent_the_difference(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        signing.publish(TWO)

        cases: list[tuple[Snapshot | str, str, list[str]]] = [
            (ONE, ONE.version, ["c"]),
            (TWO, TWO.version, []),
            ("unknown", "", ["a", "b", "c"]),
        ]
        for held, base, names in cases:
            async with edge(address, held=held) as e1:
                message, _, _ = await e1.take()
                assert (message.base, sorted(one.name for one in message.put)) == (base, names)

    tell(tmp_path, story)


def test_each_edge_is_told_its_own_and_others_what_all_are_told(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        old, new = signing.offer(ONE), signing.offer(TWO)
        signing.assign(old)
        async with edge(address, "canary") as canary, edge(address, "control") as control:
            await canary.take()
            await control.take()

            signing.assign(new, "canary", stage="canary")
            _, bundle, order = await canary.take()
            assert (bundle.name, order.edge, order.stage) == (new, "canary", "canary")
            signing.assign(old, "control")
            assert (await control.take())[1].name == old

    tell(tmp_path, story)


def test_an_edge_that_connects_later_is_told_the_newest_order(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        old, new = signing.offer(ONE), signing.offer(TWO)
        signing.assign(old)
        signing.assign(new, "e1")
        async with edge(address) as e1, edge(address, "e2") as e2:
            assert (await e1.take())[1].name == new
            assert (await e2.take())[1].name == old
            await until(lambda: (status := service.edges.get("e1")) and status.assigned == new)

        signing.assign(old)
        async with edge(address) as e1:
            assert (await e1.take())[1].name == old

    tell(tmp_path, story)


def test_an_order_older_than_one_that_stands_is_not_sent(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        old, new = signing.offer(ONE), signing.offer(TWO)
        late, late_for_all = signing.order(old, "e1"), signing.order(old)
        signing.assign(new, "e1")
        service.assign(late)
        service.assign(late_for_all)
        async with edge(address) as e1:
            assert (await e1.take())[1].name == new
            service.assign(late)
            signing.assign(new, "e1", stage="again")
            assert (await e1.take())[2].stage == "again"

    tell(tmp_path, story)


def test_an_order_for_a_bundle_that_comes_later_is_sent_then(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address) as e1:
            await e1.take()
            signing.assign(bundle_of(TWO).name)
            signing.offer(TWO)
            assert (await e1.take())[1].name == bundle_of(TWO).name

    tell(tmp_path, story)


def test_an_edge_that_keeps_the_bundle_is_sent_no_bytes_of_it(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        good, bad = signing.offer(ONE), signing.offer(TWO)
        signing.assign(bad)
        async with edge(address, held=TWO, kept={good: ONE}) as e1:
            await e1.take()
            signing.assign(good, is_proven=True)
            message, bundle, order = await e1.take()
            assert (message.version, message.base, message.put) == (ONE.version, ONE.version, ())
            assert (bundle.name, order.is_proven, e1.held) == (good, True, ONE)

            signing.assign(bad)
            message, _, _ = await e1.take()
            assert (message.base, [one.name for one in message.put]) == (ONE.version, ["c"])

    tell(tmp_path, story)


def test_what_an_edge_keeps_is_heard_from_its_heartbeats(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        good, bad = signing.offer(ONE), signing.offer(TWO)
        signing.assign(bad)
        async with edge(address) as e1:
            await e1.take()
            e1.kept = {good: ONE}
            await e1.say(Heartbeat(at=0, running="", is_ready=True, envoy="live", bundle=bad, kept=(good,), pinned="x"))
            await until(lambda: (status := service.edges.get("e1")) and status.kept)
            status = service.edges.get("e1")
            assert status is not None
            assert (status.bundle, status.kept, status.pinned) == (bad, (good,), "x")

            signing.assign(good)
            assert (await e1.take())[0].base == ONE.version

    tell(tmp_path, story)


def test_what_is_kept_is_built_upon_where_what_is_held_is_unknown(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        kept = signing.offer(ONE)
        signing.assign(signing.offer(TWO))
        async with edge(address, held="unknown", kept={kept: ONE, "nobody knows": EMPTY}) as e1:
            message, _, _ = await e1.take()
            assert (message.base, [one.name for one in message.put]) == (ONE.version, ["c"])

    tell(tmp_path, story)


def test_an_edge_whose_kept_bundle_did_not_fit_is_sent_the_whole(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        kept = signing.offer(ONE)
        signing.assign(kept)
        # As an agent says after it was out of step: it holds nothing, though it keeps something.
        async with edge(address, held="", kept={kept: ONE}) as e1:
            assert (await e1.take())[0].base == ""

    tell(tmp_path, story)


def test_sixteen_edges_run_three_bundles(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        snapshots = [ONE, TWO, THREE]
        names = [signing.offer(snapshot) for snapshot in snapshots]
        signing.assign(names[0])
        async with AsyncExitStack() as stack:
            edges: list[Caller] = [await stack.enter_async_context(edge(address, f"e{i}")) for i in range(16)]
            for one in edges:
                await one.take()
            for turn in range(3):
                for number in range(16):
                    signing.assign(names[(number + turn) % 3], f"e{number}")
                for number, one in enumerate(edges):
                    _, bundle, order = await one.take()
                    assert (bundle.name, order.edge) == (names[(number + turn) % 3], f"e{number}")
                    assert one.held == snapshots[(number + turn) % 3]
            signing.assign(names[1])
            for one in edges:
                assert (await one.take())[1].name == names[1]
            assert all(service.edges.get(f"e{number}") for number in range(16))

    tell(tmp_path, story)


def test_a_slow_edge_is_sent_the_sum(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(EMPTY)
        async with edge(address) as e1:
            await e1.take()
            snapshot = EMPTY
            for number in range(400):
                snapshot = snapshot.apply(put("a", "b", body=b"%d" % number + b"x" * 20_000))
                signing.publish(snapshot)
                await asyncio.sleep(0)

            heard = 0
            while e1.held != snapshot:
                await e1.take()
                heard += 1
            assert heard < 300

    tell(tmp_path, story)


def test_an_edge_that_does_not_read_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    large = Snapshot.of(put(*(f"c{i}" for i in range(300)), body=b"x" * 100_000).put)

    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(large)
        async with AsyncExitStack() as stack:
            for number in range(7):
                await stack.enter_async_context(edge(address, f"slow{number}"))
            await until(lambda: service.edges.get("slow6"))
            e1 = await stack.enter_async_context(edge(address))
            await e1.take()
            signing.assign(signing.offer(ONE), "e1")
            await e1.take()
            assert e1.held == ONE

    tell(tmp_path, story)


def order(bundle: str, edge: str = EVERY_EDGE, fence: int = 1) -> Assignment:
    return Assignment(edge=edge, bundle=bundle, fence=fence)


def assigned(orders: Orders, snapshot: Snapshot, edge: str = EVERY_EDGE, fence: int = 1) -> str:
    name = orders.offer(KEY.sign(bundle_of(snapshot)), snapshot)
    orders.assign(KEY.sign(order(name, edge, fence)))
    return name


def messages(orders: Orders, base: Snapshot, edge: str) -> list[bytes]:
    target = orders.target(edge)
    assert target is not None
    return list(orders.messages(base, target))


def test_edges_with_one_order_share_every_byte_and_others_all_but_the_order() -> None:
    orders = Orders()
    assigned(orders, Snapshot.of(put(*(f"c{i}" for i in range(60)), body=b"x" * 100_000).put))

    first, second = messages(orders, EMPTY, "e1"), messages(orders, EMPTY, "e2")
    assigned(orders, Snapshot.of(put(*(f"c{i}" for i in range(60)), body=b"x" * 100_000).put), "e3", fence=2)
    third = messages(orders, EMPTY, "e3")

    assert len(first) == len(third) > 1
    assert all(mine is theirs for mine, theirs in zip(first, second, strict=True))
    assert all(mine is theirs for mine, theirs in zip(first[:-1], third[:-1], strict=True))


def test_encoded_bytes_are_bounded_and_the_newest_are_kept() -> None:
    orders = Orders(most_bytes=500_000)
    for number in range(10):
        assigned(orders, Snapshot.of(put("a", body=b"%d" % number + b"x" * 100_000).put), fence=number)
        messages(orders, EMPTY, "e1")

    assert orders.encoded_bytes <= 500_000
    again = messages(orders, EMPTY, "e1")
    assert again[0] is messages(orders, EMPTY, "e1")[0]


def test_what_was_published_and_offered_can_be_gone_back_to(tmp_path: Path) -> None:
    async def story(_service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        good = signing.offer(ONE)
        signing.publish(TWO)
        async with edge(address) as e1:
            await e1.take()
            signing.assign(good, "e1")
            assert (await e1.take())[1].name == good

    tell(tmp_path, story)


def test_a_bundle_goes_when_no_order_names_it_and_nobody_offers_it() -> None:
    orders = Orders()
    one = orders.put(KEY.sign(bundle_of(ONE)), ONE)
    orders.assign(KEY.sign(order(one)))
    two = assigned(orders, TWO, fence=2)
    orders.retire([two])
    three = orders.put(KEY.sign(bundle_of(THREE)), THREE)
    before = set(orders.names)
    orders.assign(KEY.sign(order(three, fence=3)))

    assert (before, orders.names) == ({two, three}, {three})


def test_an_older_order_to_one_edge_is_dropped_when_all_are_told_anew() -> None:
    orders = Orders()
    one = assigned(orders, ONE, "e1", fence=1)
    assigned(orders, TWO, fence=2)
    orders.retire([one])

    orders.assign(KEY.sign(order(one, "e1", fence=3)))
    assert orders.target("e1") is None
    assert orders.target("e2") is not None


def test_what_an_order_needs_is_not_retired() -> None:
    orders = Orders()
    name = assigned(orders, ONE)

    orders.retire([name])

    assert orders.target("e1") is not None


def test_a_bundle_of_another_snapshot_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="is of version"):
        Orders().offer(KEY.sign(bundle_of(ONE)), TWO)


def test_a_large_snapshot_comes_in_parts() -> None:
    large = put(*(f"c{i}" for i in range(100)), body=b"x" * 100_000).put

    parts = cut(large)

    assert len(parts) == 5
    assert tuple(member for part in parts for member in part) == large
    assert all(sum(len(member.body) for member in part) <= PART for part in parts)
    assert cut(()) == [()]
