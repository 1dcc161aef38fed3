"""Rollouts: what goes out, when, to whom, and what the history knows of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from seawall.envoy.diff.words import host_name
from seawall.fleet.bundle import EVERY_EDGE
from seawall.fleet.wire import Applied
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.rollout.change import Override
from seawall.rollout.events import Commanded
from seawall.store.history import Heard
from seawall.store.sqlite_history import SqliteHistory
from seawall.xds.snapshot import Snapshot
from tests.app.flow import IMMEDIATE, STAGED, Flow, many, snapshot

V1, V2, V3 = snapshot("a.example"), snapshot("a.example", "b.example"), snapshot("a.example", "c.example")


def play(
    folder: Path, story: Callable[[Flow], Awaitable[None]], perimeter: PerimeterSpec = IMMEDIATE, file: str = "h.db"
) -> None:
    async def run() -> None:
        async with Flow(SqliteHistory(folder / file), perimeter=perimeter) as flow:
            await story(flow)

    asyncio.run(run())


async def served(flow: Flow, of: Snapshot, *edges: str) -> str:
    """Begin with a fleet that runs this; return its name."""
    await flow.until(lambda: flow.rollouts.is_leader)
    flow.join(*edges or ("e1", "e2"))
    flow.compile(of)
    await flow.until(lambda: of.version and set(flow.runs.values()) == {flow.name_of(of)}, step=0.3)
    name = flow.name_of(of)
    await flow.recorded(name)
    return name


async def baked(flow: Flow, of: Snapshot, *edges: str) -> str:
    """The same in stages, to last-known-good."""
    await flow.until(lambda: flow.rollouts.is_leader)
    flow.join(*edges or ("e1", "e2", "e3"))
    flow.compile(of)
    name = flow.name_of(of)
    await flow.until(lambda: name in flow.rollouts.conductor.goods and not flow.scribe.waiting, step=1.0)
    return name


def test_without_stages_a_change_is_one_order_for_all_at_once(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, V1)
        before = len(flow.edges.told)

        flow.compile(V2)

        (order,) = flow.edges.told[before:]
        assert (order.edge, order.bundle, order.stage) == (EVERY_EDGE, flow.name_of(V2), "all")
        await flow.recorded(order.bundle)
        assert flow.edges.told[before:] == [order]

    play(tmp_path, story)


def test_a_burst_of_changes_costs_few_entries_and_ends_with_the_newest(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, many(200))
        before = flow.scribe.number

        for number in range(201, 401):
            flow.clock.now += 0.005
            flow.compile(many(number))
            await asyncio.sleep(0)
        newest = flow.name_of(many(400))
        await flow.recorded(newest)

        assert set(flow.runs.values()) == {newest}
        assert flow.scribe.number - before < 60

    play(tmp_path, story)


def test_a_folder_that_is_filled_file_by_file_waits_for_nobody(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, many(6))

        # Each step grows by less than a guard minds, all of them together by much more.
        for number in range(7, 40):
            flow.clock.now += 0.005
            flow.compile(many(number))
        newest = flow.name_of(many(39))
        await flow.recorded(newest)

        assert set(flow.runs.values()) == {newest}
        assert not [one for _, one in flow.rollouts.said if one.decision == "hold"]

    play(tmp_path, story)


def test_what_a_guard_keeps_stays_and_the_rest_goes_out_and_is_said_once(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, many(40))

        flow.compile(many(10, "new.example"))
        await flow.until(lambda: not flow.scribe.waiting, step=0.0)
        flow.compile(many(10, "new.example", "newer.example"))
        item = flow.rollouts.candidate
        assert item is not None
        await flow.recorded(item.name)

        names = {host_name(one.name) for one in item.snapshot.all()}
        assert {"h39.example:8080", "new.example:8080", "newer.example:8080"} <= names
        said = [one for _, one in flow.rollouts.said if one.stage == "guards" and "G11" in one.reason]
        assert len(said) == 1
        assert set(flow.runs.values()) == {item.name}

    play(tmp_path, story)


def test_an_override_lets_go_what_was_kept(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, many(40))
        flow.compile(many(10))
        now = Instant(flow.clock())
        until = Instant(now + 3600)
        lifted = Override(guard="G11", who="ann", reason="moved", until=until)

        answer = await flow.rollouts.command(
            Commanded(at=now, verb="override", who="ann", reason="moved", until=until, override=lifted)
        )

        assert answer.is_accepted, answer.reason
        await flow.recorded(flow.name_of(many(10)))
        assert set(flow.runs.values()) == {flow.name_of(many(10))}

    play(tmp_path, story)


def test_an_edge_that_joins_before_a_change_is_recorded_is_not_sent_an_older_one(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        old = await served(flow, V1)
        flow.compile(V2)
        before = len(flow.edges.told)

        flow.join("e9", runs=flow.name_of(V2))
        await flow.recorded(flow.name_of(V2))

        assert old not in [one.bundle for one in flow.edges.told[before:]]
        assert flow.runs["e9"] == flow.name_of(V2)

    play(tmp_path, story)


def test_reports_of_what_is_not_recorded_yet_are_no_lies(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await served(flow, V1)
        flow.compile(V2)
        flow.rollouts.heard("e1", Applied(version=V2.version, at=flow.clock()))
        flow.compile(V3)

        await flow.recorded(flow.name_of(V3))

        assert not [one for _, one in flow.rollouts.said if "nobody has told it" in one.reason]

    play(tmp_path, story)


def test_going_back_holds_all_edges_until_somebody_unpins(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        old = await served(flow, V1)
        flow.compile(V2)

        answer = await flow.say("back", bundle=old)
        await flow.until(lambda: set(flow.runs.values()) == {old})
        flow.compile(V3)
        await flow.until(lambda: not flow.scribe.waiting, step=0.1)
        assert answer.is_accepted, answer.reason
        assert set(flow.runs.values()) == {old}
        flow.clock.now += 10
        await flow.say("unpin")

        await flow.until(lambda: set(flow.runs.values()) == {flow.name_of(V3)}, step=0.3)

    play(tmp_path, story)


def test_in_stages_a_change_reaches_all_and_becomes_good(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        first = await baked(flow, V1)
        flow.compile(V2)
        second = flow.name_of(V2)
        assert set(flow.runs.values()) == {first}

        await flow.until(lambda: second in flow.rollouts.conductor.goods, step=1.0)

        assert set(flow.runs.values()) == {second}
        await flow.until(lambda: _good(flow) == {first, second})

    play(tmp_path, story, STAGED)


class Ailing(SqliteHistory):
    """A history that can be away, and be back for a few writes."""

    is_away = False
    left = 0

    def append(self, *args: object, **more: object) -> int:
        if self.is_away and not self.left:
            raise UnavailableError("the disk is full.")
        self.left = max(0, self.left - 1)
        return super().append(*args, **more)  # type: ignore[arg-type]


def test_in_stages_nothing_goes_forward_that_the_history_does_not_have(tmp_path: Path) -> None:
    async def run() -> None:
        history = Ailing(tmp_path / "h.db")
        async with Flow(history, perimeter=STAGED) as flow:
            first = await baked(flow, V1)
            history.is_away = True
            flow.compile(V2)
            second = flow.name_of(V2)
            await flow.until(lambda: _paused(flow) == ("seawall",), step=0.2)
            assert set(flow.runs.values()) == {first}
            assert second not in [one.bundle for one in flow.edges.told]

            history.is_away = False
            await flow.until(lambda: second in flow.rollouts.conductor.goods, step=1.0)
            assert set(flow.runs.values()) == {second}

    asyncio.run(run())


def test_whoever_comes_after_resumes_what_was_paused_for_want_of_a_history(tmp_path: Path) -> None:
    async def run() -> None:
        history = Ailing(tmp_path / "h.db")
        async with Flow(history, perimeter=STAGED) as flow:
            await baked(flow, V1)
            history.is_away = True
            flow.compile(V2)
            await flow.until(lambda: _paused(flow) == ("seawall",), step=0.2)
            await asyncio.sleep(0.1)
            # The lines in doubt, and those that wait: the pause is among them. What comes then is not written.
            history.left = 2
            await flow.until(lambda: any(b'"verb":"pause"' in one.body for one in history.log()), step=0.2)
            runs, clock = dict(flow.runs), flow.clock
            await flow.stop()

        async with Flow(SqliteHistory(tmp_path / "h.db"), perimeter=STAGED, clock=clock) as flow:
            await flow.until(lambda: flow.rollouts.is_leader)
            for edge, held in runs.items():
                flow.join(edge, runs=held)
            flow.compile(V2)
            second = flow.name_of(V2)
            await flow.until(lambda: second in flow.rollouts.conductor.goods, step=1.0)

    asyncio.run(run())


class Deaf(SqliteHistory):
    """A history that cannot be read for a moment, while it can be written."""

    deaf_for = 0

    def heard(self, after: int = 0) -> tuple[Heard, ...]:
        if self.deaf_for:
            self.deaf_for -= 1
            raise UnavailableError("terminating connection due to unexpected postmaster exit.")
        return super().heard(after)


def test_a_history_that_is_away_for_one_look_pauses_nothing_for_ever(tmp_path: Path) -> None:
    async def run() -> None:
        history = Deaf(tmp_path / "h.db")
        async with Flow(history, perimeter=STAGED, is_shared=True) as flow:
            await baked(flow, V1)
            flow.compile(V2)
            second = flow.name_of(V2)
            await flow.until(lambda: second in flow.runs.values(), step=0.2)
            history.deaf_for = 1

            await flow.until(lambda: second in flow.rollouts.conductor.goods, step=1.0)
            assert history.deaf_for == 0

    asyncio.run(run())


def test_while_the_history_is_away_going_back_works(tmp_path: Path) -> None:
    async def run() -> None:
        history = Ailing(tmp_path / "h.db")
        async with Flow(history, perimeter=STAGED) as flow:
            first = await baked(flow, V1)
            flow.compile(V2)
            second = flow.name_of(V2)
            await flow.until(lambda: second in flow.runs.values(), step=0.2)
            history.is_away = True

            await flow.say("back", bundle=first)

            await flow.until(lambda: set(flow.runs.values()) == {first})

    asyncio.run(run())


def _good(flow: Flow) -> set[str]:
    return {one.bundle.name for one in flow.history.bundles() if one.good_since}


def _paused(flow: Flow) -> tuple[str, ...]:
    course = flow.rollouts.conductor.view(Instant(flow.clock())).rollout
    return tuple(course.paused_by) if course is not None else ()


def test_a_restart_goes_on_where_it_was_with_newer_fences(tmp_path: Path) -> None:
    async def run() -> None:
        file = tmp_path / "h.db"
        async with Flow(SqliteHistory(file), perimeter=STAGED) as flow:
            first = await baked(flow, V1)
            flow.compile(V2)
            second = flow.name_of(V2)
            await flow.until(lambda: second in flow.runs.values(), step=0.2)
            await flow.until(lambda: not flow.scribe.waiting)
            then = flow.rollouts.conductor
            highest = max(one.fence for one in flow.edges.told)
            runs, clock = dict(flow.runs), flow.clock
            await flow.stop()

        async with Flow(SqliteHistory(file), perimeter=STAGED, clock=clock) as flow:
            await flow.until(lambda: flow.rollouts.is_leader)
            now = flow.rollouts.conductor
            assert (now.running, now.goods, now.under_way, now.stage) == (
                then.running,
                then.goods,
                then.under_way,
                then.stage,
            )
            await flow.until(lambda: len({one.edge for one in flow.edges.told}) == len(runs))
            assert {one.edge: one.bundle for one in flow.edges.told} == runs
            assert min(one.fence for one in flow.edges.told) > highest
            assert first in flow.shelf.names

    asyncio.run(run())


def test_what_is_not_needed_leaves_shelf_and_history_and_comes_back_when_it_is(tmp_path: Path) -> None:
    few = PerimeterSpec(rollout=type(IMMEDIATE.rollout)(strategy="immediate", keep=3), approvals=IMMEDIATE.approvals)

    async def story(flow: Flow) -> None:
        first = await served(flow, many(1))
        for number in range(2, 12):
            flow.compile(many(number))
            await flow.recorded(flow.name_of(many(number)))
        await flow.until(lambda: first not in [one.bundle.name for one in flow.history.bundles()], step=0.3)
        assert len(flow.shelf) < 8

        flow.compile(many(1))
        assert flow.rollouts.candidate is not None
        again = flow.rollouts.candidate.name
        await flow.recorded(again)

        assert again in [one.bundle.name for one in flow.history.bundles()]

    play(tmp_path, story, few)


def test_a_leader_that_is_fenced_off_steps_down_and_forgets_what_it_wanted(tmp_path: Path) -> None:
    async def run() -> None:
        async with Flow(SqliteHistory(tmp_path / "h.db"), perimeter=STAGED) as flow:
            first = await baked(flow, V1)
            epoch = flow.scribe.epoch
            # Somebody restored the file of another host: what stands there is not what we wrote.
            flow.scribe.number -= 1

            with pytest.raises(UnavailableError):
                await flow.say("freeze", seconds=60)

            await flow.until(lambda: flow.rollouts.is_leader and flow.scribe.epoch)
            assert flow.running == first
            assert flow.scribe.epoch >= epoch

    asyncio.run(run())


def test_a_sandbox_that_says_no_keeps_it_off_every_edge(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        first = await baked(flow, V1)
        flow.is_sandbox_fine = False
        flow.compile(V2)
        second = flow.name_of(V2)

        await flow.until(lambda: flow.rollouts.outcomes["refused"], step=0.2)

        assert set(flow.runs.values()) == {first}
        assert second not in [one.bundle for one in flow.edges.told]

    play(tmp_path, story, STAGED)
