"""No edge, and no host, has more of the control plane than its share."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from tests.support.caller import calling, edge, put, tell, until
from tests.support.signing import Signing

from seawall.fleet.wire import Hello, Tally
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds
from seawall.server.edges import EdgeService
from seawall.server.limits import Bucket, Callers, EdgeLimits
from seawall.xds.snapshot import Snapshot

ONE = Snapshot.of(put("a").put)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    bucket = Bucket(2, 4.0, clock)

    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.25, 0.5]
    clock.now += 60
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.25]


def test_an_edge_that_greets_in_a_loop_is_refused_until_it_has_waited() -> None:
    clock = Clock()
    callers = Callers(EdgeLimits(greetings=3, greeting_interval=Seconds(2.0)), clock)
    for _ in range(3):
        callers.greeted("e1")

    for _ in range(5):
        with pytest.raises(UnavailableError, match=r"edge e1 comes back too often; the next turn is in 2\.0 s"):
            callers.greeted("e1")
    callers.greeted("e2")
    clock.now += 2
    callers.greeted("e1")
    assert callers.counts["refused_greetings"] == 5


def test_streams_are_counted_by_address_whatever_the_port() -> None:
    callers = Callers(EdgeLimits(max_streams_per_peer=2))
    with callers.stream("ipv4:192.0.2.1:1"), callers.stream("ipv4:192.0.2.1:2"):
        with (
            pytest.raises(UnavailableError, match=r"192\.0\.2\.1 has 2 streams open"),
            callers.stream("ipv4:192.0.2.1:3"),
        ):
            pass
        with callers.stream("ipv6:%5B::1%5D:3"), callers.stream("unix:"):
            pass
    with callers.stream("ipv4:192.0.2.1:3"):
        pass
    assert callers.counts["refused_streams"] == 1


def test_one_too_many_is_told_so_and_the_others_are_served(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with AsyncExitStack() as stack:
            for number in range(2):
                one = await stack.enter_async_context(edge(address, f"e{number}"))
                await one.take()
            extra = await stack.enter_async_context(calling(address))
            assert await extra.ends() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "as many as one address may" in await extra.details()
            signing.publish(ONE.apply(put("b")))
            await one.take()
        assert service.callers.counts == {"refused_streams": 1}

    tell(tmp_path, story, EdgeLimits(max_streams_per_peer=2))


def test_two_hosts_under_one_name_cannot_fight_for_ever(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with AsyncExitStack() as stack:
            for _ in range(3):
                one = await stack.enter_async_context(edge(address))
                await one.take()
            fourth = await stack.enter_async_context(edge(address))
            assert await fourth.ends() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "Does another host use its name?" in await fourth.details()
            signing.publish(ONE.apply(put("b")))
            await one.take()

    tell(tmp_path, story, EdgeLimits(greetings=3, greeting_interval=Seconds(600.0)))


def test_a_flood_of_tallies_is_read_at_its_pace_and_only_the_last_is_kept(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address, "mad") as mad, edge(address, "sane") as sane:
            await mad.take()
            await sane.take()

            async def flood() -> None:
                number = 0
                while True:
                    number += 1
                    await mad.say(Tally(at=number, run="r", bundle="b", counts={"requests": float(number)}))

            flooding = asyncio.get_running_loop().create_task(flood(), name="flood")
            try:
                await until(lambda: service.callers.counts["slowed_messages"] > 5)
                signing.publish(ONE.apply(put("b")))
                await sane.take()
                await sane.say(Tally(at=7.0, run="r", bundle="b", counts={}))
                await until(lambda: (status := service.edges.get("sane")) and status.tally)
            finally:
                flooding.cancel()
            status = service.edges.get("mad")
            assert status is not None
            assert status.tally is not None
            assert 10 <= status.tally.at < 200

    tell(tmp_path, story, EdgeLimits(messages=10, message_rate=20.0))


@pytest.mark.parametrize("labels", [{str(number): "x" for number in range(65)}, {"region": "x" * 300}])
def test_labels_without_end_are_refused(tmp_path: Path, labels: dict[str, str]) -> None:
    async def story(service: EdgeService, _: Signing, address: str) -> None:
        async with calling(address) as caller:
            await caller.say(Hello(edge="e1", labels=labels))
            assert await caller.ends() == grpc.StatusCode.INVALID_ARGUMENT
            assert "64 labels" in await caller.details()
        assert service.edges.get("e1") is None

    tell(tmp_path, story)


def test_a_message_larger_than_an_edge_may_send_ends_its_stream(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address) as e1:
            await e1.take()
            await e1.say(Tally(at=1.0, run="x" * 20_000, bundle="b", counts={}))
            assert await e1.ends() == grpc.StatusCode.RESOURCE_EXHAUSTED
            await until(lambda: (status := service.edges.get("e1")) and not status.is_connected)

    tell(tmp_path, story, EdgeLimits(message_bytes=10_000))
