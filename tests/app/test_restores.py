"""Restores: the way back is read, and a spoilt one is told to the guard."""

import asyncio
import sqlite3
from pathlib import Path

from seawall.app.restores import Restores
from seawall.app.scribe import Scribe
from seawall.app.shelf import Shelf
from seawall.fleet.bundle import Limits
from seawall.kit.units import Instant
from seawall.store.sqlite_history import SqliteHistory
from tests.support.candidates import candidate
from tests.support.control import KEY

AT = Instant(1_700_000_000.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drilled(file: Path, damage: str = "") -> Restores:
    """Keep a bundle, drill, let something happen to its file, and drill a day later."""

    async def main() -> Restores:
        scribe, clock = Scribe(SqliteHistory(file), "one", lambda: float(AT)), Clock()
        item = Shelf(KEY, software="test").make(candidate(), Limits(), AT)
        await scribe.call(lambda history: history.save_bundle(item.signed, item.snapshot, AT))
        restores = Restores(scribe, lambda: item.name, clock)
        await restores.look()
        await restores.look()
        assert [one.content == one.content_now for one in restores.proven] == [True]
        assert restores.made == 1
        if damage:
            with sqlite3.connect(file) as database:
                assert database.execute(damage).rowcount
            database.close()
        clock.now = 86_400.0
        await restores.look()
        await scribe.close()
        return restores

    return asyncio.run(main())


def test_what_is_whole_is_proven_once_a_day(tmp_path: Path) -> None:
    restores = drilled(tmp_path / "h.db")

    assert (restores.made, restores.failed) == (2, 0)
    assert [(one.content == one.content_now, one.is_baked) for one in restores.proven] == [(True, True)]


def test_what_was_changed_is_told(tmp_path: Path) -> None:
    restores = drilled(tmp_path / "h.db", "UPDATE resource SET body = x'00'")

    assert restores.failed == 1
    assert [one.content == one.content_now for one in restores.proven] == [False]


def test_where_nothing_is_proven_nothing_is_drilled(tmp_path: Path) -> None:
    async def main() -> None:
        scribe = Scribe(SqliteHistory(tmp_path / "h.db"), "one", lambda: float(AT))
        restores = Restores(scribe, lambda: "", Clock())
        await restores.look()
        await scribe.close()
        assert (restores.made, restores.proven) == (0, ())

    asyncio.run(main())
