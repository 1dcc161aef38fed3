"""Kept bundles on a disk that lags, refuses, and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.control import KEY, bundle_of
from tests.support.edge import listener, until, within

from seawall.agent.cellar import Cellar
from seawall.store.kept import Held, SqliteKept
from seawall.xds.snapshot import EMPTY, Snapshot


def held(text: str) -> Held:
    snapshot = Snapshot.of([listener(8080, text)])
    bundle = bundle_of(snapshot)
    return Held(bundle=bundle, signed=KEY.sign(bundle), snapshot=snapshot)


@contextlib.asynccontextmanager
async def opened(file: Path) -> AsyncIterator[Cellar]:
    cellar = Cellar(file)
    await cellar.load(lambda: EMPTY)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(cellar.run(), name="cellar")
        try:
            yield cellar
        finally:
            await asyncio.sleep(0)
            running.cancel()


ONE, TWO = held("one"), held("two")


def test_what_is_kept_is_there_for_the_next_agent(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "state/bundles.db") as cellar:
            cellar.save(ONE)
            cellar.save(TWO)
            cellar.retain(frozenset({TWO.bundle.name}))
            assert cellar.get(ONE.bundle.name) is None
            assert cellar.find(TWO.bundle.version) == TWO
        async with opened(tmp_path / "state/bundles.db") as cellar:
            assert cellar.all() == {TWO.bundle.name: TWO}
            assert cellar.problem == ""

    asyncio.run(within(main()))


def test_a_disk_that_refuses_is_told_and_brought_up_to_date_later(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")

    async def main() -> None:
        async with opened(tmp_path / "state/bundles.db") as cellar:
            cellar.save(ONE)
            await until(lambda: "bundles.db" in cellar.problem)
            assert cellar.get(ONE.bundle.name) == ONE

            (tmp_path / "state").unlink()
            cellar.save(TWO)
            await until(lambda: not cellar.problem, seconds=15)

    asyncio.run(within(main()))
    assert set(SqliteKept(tmp_path / "state/bundles.db").all()) == {ONE.bundle.name, TWO.bundle.name}
