"""What an edge runs, what it refuses, and what it goes back to: the real agent, the real Envoy, a signing control plane."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.control import KEY, STRANGER, Control, bundle_of, serving
from tests.support.edge import answer, answers, free_port, listener, resource, running_edge, settings, until, within

from seawall.agent.agent import Agent
from seawall.fleet.bundle import Assignment, Limits
from seawall.fleet.ramp import STARTS
from seawall.fleet.wire import Applied, Heartbeat, Hello, Publish, Refused, Tasted
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds
from seawall.server.edges import EdgeService, serve_edges
from seawall.xds.snapshot import Change, Snapshot

pytestmark = pytest.mark.e2e


class Report(msgspec.Struct, frozen=True, kw_only=True):
    is_good: bool
    reason: str = ""
    figures: dict[str, float] = {}


class Tongue:
    """A taster that finds what it is told to, when it is told to; the real one has tests of its own."""

    def __init__(self) -> None:
        self.tasted: list[str] = []
        self.cancelled: list[str] = []
        self.may_answer = asyncio.Event()
        self.bad: dict[str, str] = {}

    async def taste(
        self, snapshot: Snapshot, limits: Limits, seconds: Seconds, *, base: Snapshot | None = None
    ) -> Report:
        self.tasted.append(snapshot.version)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.append(snapshot.version)
            raise
        if self.bad.get(snapshot.version) == "broken":
            raise UnavailableError("no process can be started.")
        reason = self.bad.get(snapshot.version, "")
        return Report(is_good=not reason, reason=reason, figures={"crashes": float(bool(reason))})


class Story:
    """A control plane, an agent, a taster and one port."""

    def __init__(self, control: Control, agent: Agent, tongue: Tongue, port: int) -> None:
        self.control, self.agent, self.tongue, self.port = control, agent, tongue, port

    def snapshot(self, text: str) -> Snapshot:
        return Snapshot.of([listener(self.port, text)])

    async def applied(self, snapshot: Snapshot) -> None:
        await until(lambda: (last := self.control.last(Applied)) is not None and last.version == snapshot.version)

    async def refused(self, by: str) -> Refused:
        await until(lambda: (last := self.control.last(Refused)) is not None and last.by == by)
        refused = self.control.last(Refused)
        assert refused is not None
        assert refused.reason[:1].isupper()
        assert refused.reason.endswith(".")
        return refused

    def beat(self) -> Heartbeat:
        beat = self.control.last(Heartbeat)
        assert beat is not None
        return beat

    async def serves(self, text: str, **order: Any) -> Snapshot:
        snapshot = self.snapshot(text)
        self.control.publish(snapshot, **order)
        await self.applied(snapshot)
        assert await answer(self.port) == text
        return snapshot

    async def kept(self, snapshot: Snapshot) -> None:
        await until(lambda: bundle_of(snapshot).name in self.beat().kept)


def play(folder: Path, tell: Callable[[Story], Awaitable[None]], port: int = 0, **changes: Any) -> None:
    """Run one agent with its control plane while a story is told."""

    async def main() -> None:
        tongue, control = Tongue(), Control()
        agent = Agent(settings(folder, **changes), lambda supervisor, of: tongue)
        async with serving(control, folder), asyncio.TaskGroup() as group:
            group.create_task(agent.run(), name="agent")
            try:
                await tell(Story(control, agent, tongue, port or free_port()))
            finally:
                agent.stop()

    asyncio.run(within(main()))


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_strangers_bundle_is_refused_and_the_edge_serves_on(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        await story.serves("ours")

        theirs = bundle_of(story.snapshot("theirs"))
        story.control.send(story.control.signed(theirs, key=STRANGER, put=tuple(story.snapshot("theirs").all())))

        refused = await story.refused("signature")
        assert refused.bundle == theirs.name
        assert STRANGER.public[:16] in refused.reason
        assert await answer(story.port) == "ours"

        await story.serves("ours again")

    play(tmp_path, tell, trusted=(KEY.public,))


def test_the_first_key_is_trusted_and_no_other_after_a_restart(tmp_path: Path) -> None:
    port = free_port()

    async def first(story: Story) -> None:
        await story.serves("ours")

    async def second(story: Story) -> None:
        theirs = story.snapshot("theirs")
        story.control.send(story.control.signed(bundle_of(theirs), key=STRANGER, put=tuple(theirs.all())))
        await story.refused("signature")
        await answers(port, "ours")

    play(tmp_path, first, port)
    play(tmp_path, second, port)


def test_what_is_unsigned_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        snapshot = story.snapshot("anybody's")
        await until(lambda: story.control.last(Hello))
        story.control.send(Publish(version=snapshot.version, base="", put=tuple(snapshot.all())))

        refused = await story.refused("signature")
        assert "unsigned" in refused.reason
        assert await answer(story.port) == ""

    play(tmp_path, tell)


def test_an_older_order_is_refused_by_the_next_agent_too(tmp_path: Path) -> None:
    port = free_port()

    async def first(story: Story) -> None:
        await story.serves("new", fence=7)
        story.control.publish(story.snapshot("old"), fence=6)
        refused = await story.refused("fence")
        assert "fence 6" in refused.reason
        assert await answer(port) == "new"

    async def second(story: Story) -> None:
        story.control.publish(story.snapshot("old"), fence=6)
        await story.refused("fence")
        assert story.beat().fence == 7
        await answers(port, "new")

    play(tmp_path, first, port)
    play(tmp_path, second, port)


def test_an_order_for_another_edge_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        story.control.publish(story.snapshot("theirs"), edge="e2")
        assert "e2" in (await story.refused("signature")).reason

    play(tmp_path, tell)


def test_an_order_for_another_bundle_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        one, other = (story.control.signed(bundle_of(story.snapshot(text))) for text in ("one", "other"))
        put = tuple(story.snapshot("one").all())
        story.control.send(msgspec.structs.replace(one, put=put, assignment=other.assignment))
        await story.refused("content")

    play(tmp_path, tell)


def test_a_truncated_or_modified_bundle_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        await story.serves("whole")
        parts = (listener(story.port, "more"), listener(free_port(), "other"))
        snapshot = Snapshot.of(parts)
        message = story.control.signed(bundle_of(snapshot), put=parts[:1])
        story.control.send(message)
        assert "not whole" in (await story.refused("content")).reason

        changed = msgspec.structs.replace(parts[0], body=parts[0].body.replace(b"more", b"MORE"))
        story.control.send(msgspec.structs.replace(message, put=(changed, *parts[1:])))
        await until(lambda: len(story.control.all(Refused)) == 2)
        assert "bytes" in (await story.refused("content")).reason

        # All fits together, but it is not what was signed.
        other = Snapshot.of(parts[:1])
        story.control.send(msgspec.structs.replace(message, version=other.version))
        await until(lambda: len(story.control.all(Refused)) == 3)
        assert "signed" in (await story.refused("content")).reason
        assert await answer(story.port) == "whole"

    play(tmp_path, tell)


def test_a_change_is_proven_like_the_whole(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        first = await story.serves("one")
        change = Change(put=(listener(story.port, "two"),))
        story.control.publish(first.apply(change), change)
        await answers(story.port, "two")
        assert len(story.control.all(Hello)) == 1

    play(tmp_path, tell)


# ── memory and limits ────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_heap_than_this_host_has_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        await story.serves("small")
        story.control.publish(story.snapshot("huge"), limits=Limits(max_heap=1 << 50))
        assert "max_heap" in (await story.refused("memory")).reason
        assert await answer(story.port) == "small"

    play(tmp_path, tell)


def test_other_limits_restart_envoy_and_count_as_applied_afterwards(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        snapshot = await story.serves("same")
        first = story.agent.envoy_pid
        bundle = story.control.publish(snapshot, limits=Limits(max_heap=100 << 20))
        await until(lambda: story.agent.envoy_pid not in {0, first})
        await until(lambda: story.beat().bundle == bundle.name and story.beat().is_ready)
        assert str(100 << 20) in (tmp_path / "run/envoy.json").read_text()
        assert await answer(story.port) == "same"
        assert story.beat().deaths == 0

    play(tmp_path, tell)


# ── the taster ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_taster_refuses_never_reaches_envoy(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        await story.serves("good")
        bad = story.snapshot("bad")
        story.tongue.bad[bad.version] = "It crashed after 2 s."
        story.tongue.may_answer.set()
        story.control.publish(bad, taste=0.1)

        refused = await story.refused("taster")
        assert refused.bundle == bundle_of(bad).name
        assert refused.reason == "It crashed after 2 s."
        assert await answer(story.port) == "good"
        assert not story.control.all(Tasted)

        await story.serves("better", taste=0.1)
        assert len(story.control.all(Tasted)) == 1

    play(tmp_path, tell)


def test_what_cannot_be_tasted_is_refused(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        bad = story.snapshot("bad")
        story.tongue.bad[bad.version] = "broken"
        story.tongue.may_answer.set()
        story.control.publish(bad, taste=0.1)
        assert "could not be tasted" in (await story.refused("taster")).reason

    play(tmp_path, tell)


def test_a_newer_order_ends_the_tasting_of_an_older_one(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        old = story.snapshot("old")
        story.control.publish(old, taste=60.0)
        await until(lambda: story.tongue.tasted == [old.version])
        await story.serves("new")
        assert story.tongue.cancelled == [old.version]

    play(tmp_path, tell)


def test_what_is_proven_or_runs_already_is_not_tasted(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        await story.serves("proven", taste=60.0, is_proven=True)
        await story.serves("proven", taste=60.0, fence=2)
        assert story.tongue.tasted == []

    play(tmp_path, tell)


# ── the way back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kept_bundle_is_one_word_away_even_after_a_restart(tmp_path: Path) -> None:
    port = free_port()

    async def first(story: Story) -> None:
        good = await story.serves("good")
        await story.kept(good)
        await story.serves("new", keep=(bundle_of(good).name,))

    async def second(story: Story) -> None:
        good = bundle_of(story.snapshot("good"))
        await until(lambda: (hello := story.control.last(Hello)) is not None and good.name in hello.kept)
        await answers(port, "new")
        began = time.monotonic()
        story.control.flip(good, is_proven=True, keep=(good.name,))
        await answers(port, "good")
        assert time.monotonic() - began < 2.0  # measured: 0.1 s
        await story.applied(story.snapshot("good"))
        await until(lambda: story.beat().bundle == good.name)

    play(tmp_path, first, port)
    play(tmp_path, second, port)


def test_only_what_is_to_be_kept_stays_on_the_disk(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        one = await story.serves("one")
        await story.kept(one)
        two = await story.serves("two", keep=(bundle_of(one).name,))
        await story.kept(two)
        three = await story.serves("three", keep=(bundle_of(two).name,))
        await story.kept(three)
        assert set(story.beat().kept) == {bundle_of(two).name, bundle_of(three).name}

    play(tmp_path, tell)


async def kill(story: Story) -> None:
    pid = story.agent.envoy_pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: story.agent.envoy_pid not in {0, pid})


def test_two_deaths_bring_back_the_last_known_good_without_a_word_from_above(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        good = await story.serves("good", is_proven=True)
        await story.kept(good)
        order = {"keep": (bundle_of(good).name,), "rollout": "r1"}
        await story.serves("middling", **order)
        bad = await story.serves("bad", **order)
        await kill(story)
        pid = story.agent.envoy_pid
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await answers(story.port, "good")
        assert time.monotonic() - began < 2.0  # measured: 0.5 s; promised: 2 s
        refused = await story.refused("guardian")
        assert refused.bundle == bundle_of(bad).name
        await until(lambda: story.beat().bundle == bundle_of(good).name)

    play(tmp_path, tell)


def test_deaths_of_what_is_taken_back_shut_no_door(tmp_path: Path) -> None:
    async def tell(story: Story) -> None:
        agent = story.agent
        good = await story.serves("good")
        await story.kept(good)
        await story.serves("new", fence=2, keep=(bundle_of(good).name,))
        for _ in range(STARTS - 2):
            await kill(story)
            await answers(story.port, "new")
        story.control.flip(bundle_of(good), is_proven=True, fence=3, keep=(bundle_of(good).name,))
        await answers(story.port, "good")
        await kill(story)
        await answers(story.port, "good")
        assert agent.admission.ramp.share == 1.0

    play(tmp_path, tell)


def test_an_edge_that_was_pinned_refuses_all_but_what_is_proven_and_the_same(tmp_path: Path) -> None:
    port = free_port()

    async def first(story: Story) -> None:
        good = await story.serves("good")
        await story.kept(good)
        await story.serves("new", keep=(bundle_of(good).name,))
        story.agent.delivery.back()
        await answers(port, "good")
        story.control.publish(story.snapshot("newer"), keep=(bundle_of(good).name,))
        await story.refused("operator")
        assert await answer(port) == "good"
        await until(lambda: story.beat().pinned == bundle_of(good).name)

    async def second(story: Story) -> None:
        await answers(port, "good")
        good = bundle_of(story.snapshot("good"))
        story.control.publish(story.snapshot("newest"), keep=(good.name,))
        await story.refused("operator")
        story.control.publish(story.snapshot("good"), is_proven=True, keep=(good.name,))
        await story.applied(story.snapshot("good"))
        story.control.publish(story.snapshot("newest"), keep=(good.name,))
        assert story.agent.delivery.unpin() == good.name
        await answers(port, "newest")

    play(tmp_path, first, port)
    play(tmp_path, second, port)


def test_the_real_control_plane_flips_an_edge_to_what_it_keeps(tmp_path: Path) -> None:
    port, beats = free_port(), list[Heartbeat]()

    async def main() -> None:
        service = EdgeService(
            on_report=lambda _, message: beats.append(message) if isinstance(message, Heartbeat) else None
        )
        good, new = (Snapshot.of([listener(port, text)]) for text in ("good", "new"))
        names = [service.offer(KEY.sign(bundle_of(one)), one) for one in (good, new)]

        def assign(fence: int, name: str, **fields: Any) -> None:
            order = Assignment(edge="e1", bundle=name, fence=fence, keep=(names[0],), **fields)
            service.assign(KEY.sign(order))

        agent = Agent(settings(tmp_path, trusted=(KEY.public,)))
        async with serve_edges(service, f"unix:{tmp_path}/control.sock"), asyncio.TaskGroup() as group:
            group.create_task(agent.run(), name="agent")
            try:
                assign(1, names[0])
                await until(lambda: beats and names[0] in beats[-1].kept)
                assign(2, names[1])
                await answers(port, "new")
                assign(3, names[0], is_proven=True)
                await answers(port, "good")
                await until(lambda: beats[-1].bundle == names[0] and beats[-1].fence == 3)
            finally:
                agent.stop()

    asyncio.run(within(main()))


def test_the_real_taster_stands_before_envoy(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            good, better = (Snapshot.of([listener(port, text)]) for text in ("good", "better"))
            edge.control.publish(good, taste=0.5)
            await until(lambda: edge.control.all(Tasted), seconds=30)
            await answers(port, "good")

            broken = resource(f"tcp/127.0.0.1/{port}", listener(port, "x").body[:-40])
            edge.control.publish(Snapshot.of([broken]), taste=0.5)
            await until(lambda: edge.control.all(Refused), seconds=30)
            [refused] = edge.control.all(Refused)
            assert refused.by == "taster"
            assert not edge.rejections
            assert await answer(port) == "good"

            edge.control.publish(better, taste=0.5)
            await answers(port, "better", seconds=30)

    asyncio.run(within(main(), seconds=90))
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["envoy.log"]
