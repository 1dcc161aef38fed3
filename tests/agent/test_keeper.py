"""Memory first, disk after: what a refusing disk does, which is nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from seawall.agent import keeper as module
from seawall.agent.keeper import Keeper
from seawall.store.snapshots import Memo
from seawall.xds.resource import CLUSTER, Resource, ResourceName
from seawall.xds.snapshot import EMPTY, Change


def put(name: str, body: str) -> Change:
    return Change(put=(Resource(type_url=CLUSTER, name=ResourceName(name), version=body, body=body.encode()),))


def save(keeper: Keeper, change: Change, mark: int) -> None:
    keeper.save(change, keeper.current().apply(change).version, mark)


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110 - the disk's thread has no event to wait for
            await asyncio.sleep(0.002)


async def loaded(file: Path) -> Keeper:
    keeper = Keeper(file)
    await keeper.load()
    return keeper


def test_what_was_saved_is_there_for_the_next_agent(tmp_path: Path) -> None:
    async def main() -> None:
        keeper = await loaded(tmp_path / "s.db")
        task = asyncio.TaskGroup()
        async with task as group:
            running = group.create_task(keeper.run())
            save(keeper, put("a", "1"), 1)
            keeper.promote(1)
            save(keeper, put("a", "2"), 2)
            keeper.remember(Memo(refused="r"))
            await until(lambda: keeper.is_saved)
            running.cancel()

        again = await loaded(tmp_path / "s.db")
        assert (again.current(), again.good(), again.mark()) == (keeper.current(), EMPTY.apply(put("a", "1")), 2)
        assert again.memo() == Memo(refused="r")
        assert again.restore() == keeper.good()

    asyncio.run(main())


def test_what_is_pending_is_written_on_the_way_out(tmp_path: Path) -> None:
    async def main() -> None:
        keeper = await loaded(tmp_path / "s.db")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(keeper.run())
            await asyncio.sleep(0)
            save(keeper, put("a", "1"), 1)
            running.cancel()

        assert (await loaded(tmp_path / "s.db")).current() == keeper.current()

    asyncio.run(main())


def test_a_disk_that_refuses_is_a_problem_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)

    async def main() -> None:
        (tmp_path / "state").write_text("a file where the folder should be")
        keeper = await loaded(tmp_path / "state/s.db")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(keeper.run())
            save(keeper, put("a", "1"), 1)
            save(keeper, put("b", "1"), 2)
            await until(lambda: keeper.problem)
            assert len(keeper.current()) == 2

            (tmp_path / "state").unlink()
            await until(lambda: keeper.is_saved)
            assert not keeper.problem
            running.cancel()

        again = await loaded(tmp_path / "state/s.db")
        assert (again.current(), again.good()) == (keeper.current(), EMPTY)

    asyncio.run(main())


def test_changes_that_the_disk_does_not_take_are_not_hoarded(tmp_path: Path) -> None:
    async def main() -> None:
        keeper = await loaded(tmp_path / "s.db")
        for number in range(2000):
            save(keeper, put("a", str(number)), number)
        assert len(keeper._pending) <= module._MOST_PENDING

        async with asyncio.TaskGroup() as group:
            running = group.create_task(keeper.run())
            await until(lambda: keeper.is_saved)
            running.cancel()
        assert (await loaded(tmp_path / "s.db")).current() == keeper.current()

    asyncio.run(main())
