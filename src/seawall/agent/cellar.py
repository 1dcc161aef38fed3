"""Cellar: the bundles that this edge can go back to: in memory, and soon after on disk.

Talks to `store.kept` on a thread of its own. Bundles do not change, so the disk only ever needs what is missing there and
must lose what is not wanted: a disk that refused for a while is simply brought up to date later.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Seconds
from seawall.store.kept import Held, MemoryKept, SqliteKept
from seawall.xds.snapshot import Snapshot

log = structlog.get_logger(__name__)

_RETRY = Seconds(5.0)
_T = TypeVar("_T")


class Cellar:
    """Bundles by name. `problem` says what is wrong with the disk, if anything."""

    def __init__(self, file: Path) -> None:
        self.problem = ""
        self._file = file
        self._memory = MemoryKept()
        self._disk: SqliteKept | None = None
        self._on_disk: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bundles")

    async def load(self, like: Callable[[], Snapshot]) -> None:
        """Read what the last agent kept; what it has in common with `like` takes no memory again."""
        try:
            held = await self._on_thread(lambda: self._open().all(like()))
        except (UnavailableError, ConfigError) as exc:
            self._complain(exc)
            return
        self._memory, self._on_disk = MemoryKept(held), frozenset(held)

    def all(self) -> Mapping[str, Held]:
        return self._memory.all()

    def get(self, name: str) -> Held | None:
        return self._memory.all().get(name)

    def find(self, version: str) -> Held | None:
        """Find a bundle by the version of its snapshot."""
        return next((held for held in self._memory.all().values() if held.bundle.version == version), None)

    def save(self, held: Held) -> None:
        self._memory.save(held)
        self._wake.set()

    def retain(self, names: frozenset[str]) -> None:
        if self._memory.all().keys() - names:
            self._memory.retain(names)
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not await self._flushed():
                    await asyncio.sleep(_RETRY)
                    self._wake.set()
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        await self._flushed()
        if self._disk is not None:
            await self._on_thread(self._disk.close)
        self._thread.shutdown(wait=False)

    async def _flushed(self) -> bool:
        wanted = self._memory.all()
        if wanted.keys() == self._on_disk:
            return True
        try:
            await self._on_thread(lambda: self._write(wanted))
        except (UnavailableError, ConfigError) as exc:
            self._complain(exc)
            return False
        self._on_disk, self.problem = frozenset(wanted), ""
        return True

    def _write(self, wanted: Mapping[str, Held]) -> None:
        disk = self._open()
        for name in wanted.keys() - self._on_disk:
            disk.save(wanted[name])
        disk.retain(frozenset(wanted))

    def _open(self) -> SqliteKept:
        if self._disk is None:
            self._disk = SqliteKept(self._file)
        return self._disk

    def _complain(self, error: Exception) -> None:
        if str(error) != self.problem:
            log.error("bundles_not_kept", file=str(self._file), reason=str(error))
        self.problem = str(error)

    async def _on_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
