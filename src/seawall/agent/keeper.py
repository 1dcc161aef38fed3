"""Keeper: the edge's snapshots, in memory first and on disk soon after.

Talks to `store.sqlite` on a thread of its own: a slow, full or broken disk never holds up what Envoy is told. While the
disk refuses, the edge serves from memory, says so in its heartbeat, and tries again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Seconds
from seawall.store.snapshots import Memo, MemorySnapshots
from seawall.store.sqlite import SqliteSnapshots
from seawall.xds.snapshot import Change, Snapshot

log = structlog.get_logger(__name__)

_RETRY = Seconds(5.0)
_MOST_PENDING = 512
"""More than so many unwritten changes are not kept: the whole state is written when the disk is back."""

_Write = Callable[[SqliteSnapshots], object]
_T = TypeVar("_T")


class Keeper:
    """The contract of `store.snapshots`, with a disk that may lag. `problem` says what is wrong with it, if
    anything."""

    def __init__(self, file: Path, on_saved: Callable[[], None] = lambda: None) -> None:
        """`on_saved` is called when the disk has caught up."""
        self.problem = ""
        self._on_saved = on_saved
        self._file = file
        self._memory = MemorySnapshots()
        self._disk: SqliteSnapshots | None = None
        self._pending: list[_Write] = []
        self._is_behind = False
        self._is_writing = False
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")

    async def load(self) -> None:
        """Read what the last agent kept. A disk that refuses is a problem to report, not a reason not to serve."""
        try:
            self._memory = await self._on_thread(self._load)
        except (UnavailableError, ConfigError) as exc:
            self._complain(exc)

    def _load(self) -> MemorySnapshots:
        self._disk = SqliteSnapshots(self._file)
        memory = MemorySnapshots(self._disk.current(), self._disk.good(), self._disk.mark())
        memory.remember(self._disk.memo())
        return memory

    def current(self) -> Snapshot:
        return self._memory.current()

    def good(self) -> Snapshot:
        return self._memory.good()

    def mark(self) -> int:
        return self._memory.mark()

    def memo(self) -> Memo:
        return self._memory.memo()

    def save(self, change: Change, version: str, mark: int) -> None:
        self._memory.save(change, version, mark)
        self._write(lambda disk: disk.save(change, version, mark))

    def promote(self, mark: int) -> None:
        self._memory.promote(mark)
        self._write(lambda disk: disk.promote(mark))

    def restore(self) -> Snapshot:
        self._write(lambda disk: disk.restore())
        return self._memory.restore()

    def remember(self, memo: Memo) -> None:
        if memo != self._memory.memo():
            self._memory.remember(memo)
            self._write(lambda disk: disk.remember(memo))

    @property
    def is_saved(self) -> bool:
        """The disk holds what the memory holds."""
        return not (self._pending or self._is_behind or self._is_writing) and self._disk is not None

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self.is_saved:
                    continue
                if await self._flushed():
                    self._on_saved()
                else:
                    await asyncio.sleep(_RETRY)
                    self._wake.set()
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        if not self.is_saved:
            await self._flushed()
        if self._disk is not None:
            await self._on_thread(self._disk.close)
        self._thread.shutdown(wait=False)

    async def _flushed(self) -> bool:
        """Try to bring the disk up to date; say whether it is."""
        writes, self._pending = self._pending, []
        behind, self._is_behind = self._is_behind or self._disk is None, False
        memory = self._memory
        state = (memory.good(), memory.current(), memory.mark(), memory.memo()) if behind else None
        self._is_writing = True
        try:
            await self._on_thread(lambda: self._carry_out(writes, state))
        except (UnavailableError, ConfigError) as exc:
            self._is_behind = True
            self._complain(exc)
            return False
        finally:
            self._is_writing = False
        if self.problem:
            log.info("snapshots_saved_again", file=str(self._file))
            self.problem = ""
        return True

    def _carry_out(self, writes: list[_Write], state: tuple[Snapshot, Snapshot, int, Memo] | None) -> None:
        if self._disk is None:
            self._disk = SqliteSnapshots(self._file)
        if state is None:
            for write in writes:
                write(self._disk)
            return
        try:
            good, current, mark, memo = state
            self._disk.replace(good)
            if current != good:
                self._disk.save(current.difference(good), current.version, mark)
            self._disk.remember(memo)
        except UnavailableError:
            # A file that was damaged while open only opens anew, moved aside; a full disk opens as it was.
            with contextlib.suppress(UnavailableError):
                self._disk.close()
            self._disk = None
            raise

    def _write(self, write: _Write) -> None:
        if not self._is_behind:
            self._pending.append(write)
        if len(self._pending) > _MOST_PENDING:
            self._pending, self._is_behind = [], True
        self._wake.set()

    def _complain(self, error: Exception) -> None:
        if str(error) != self.problem:
            log.error("snapshots_not_saved", file=str(self._file), reason=str(error))
        self.problem = str(error)

    async def _on_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
