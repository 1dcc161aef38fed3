"""Scribe: the history, kept on a thread of its own, so that a slow database never holds up an edge.

Talks to a `store.history`. What is to be written is queued and written in order. While the database is away the queue
waits (bounded), `problem` says so, and whoever decides must not go forward; going back is always possible.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.store.history import FencedError, Line, RolloutHistory

log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_MOST_WAITING = 20_000
_AT_ONCE = 1000


class Scribe:
    """Writes and reads for one control plane. `epoch` is 0 while another one leads."""

    def __init__(self, history: RolloutHistory, holder: str, clock: Callable[[], float]) -> None:
        self.problem = ""
        self.epoch = 0
        self.lost = 0
        self.number = 0
        """Of the last entry that was written."""
        self._history = history
        self._holder = holder
        self._clock = clock
        self._waiting: list[Line] = []
        self._answers: list[int] = []
        self._in_doubt: tuple[list[Line], tuple[int, ...]] | None = None
        """What was sent and not answered: it may stand in the log, so the same is sent again, to the letter."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    @property
    def waiting(self) -> int:
        """How many entries of the log are not written yet."""
        return len(self._waiting)

    def note(self, stream: str, at: Instant, kind: str, body: bytes) -> None:
        """Queue an entry. Beyond the bound it is lost, and counted: edges must be served all the same."""
        if len(self._waiting) >= _MOST_WAITING:
            self.lost += 1
        else:
            self._waiting.append(Line(stream=stream, at=at, kind=kind, body=body))

    def answer(self, numbers: Iterable[int]) -> None:
        """These commands are done with the entries that are noted next, in the same transaction."""
        self._answers += numbers

    async def flush(self) -> bool:
        """Write what waits; say whether all of it is written. Raises FencedError if another control plane leads."""
        while self._waiting:
            lines, answers = self._in_doubt = self._in_doubt or (self._whole(), tuple(self._answers))
            try:
                # Safe to repeat when the answer of a commit was lost: `number` says where the lines belong.
                self.number = await self.call(self._write(lines, answers))
            except FencedError:
                raise
            except UnavailableError:
                return False
            self._in_doubt = None
            del self._waiting[: len(lines)]
            del self._answers[: len(answers)]
        return True

    def _whole(self) -> list[Line]:
        """Take what fits into a transaction: an event never without what it led to, so that a replay finds all of it."""
        end = len(self._waiting)
        if end > _AT_ONCE:
            end = next((i for i in range(_AT_ONCE, 0, -1) if self._begins_at(i)), end)
        return self._waiting[:end]

    def _begins_at(self, index: int) -> bool:
        """The state before an event stands right before it."""
        kind = self._waiting[index].kind
        return kind == "state" or (kind == "event" and self._waiting[index - 1].kind != "state")

    def _write(self, lines: list[Line], answers: tuple[int, ...]) -> Callable[[RolloutHistory], int]:
        epoch, after = self.epoch, self.number
        return lambda history: history.append(epoch, lines, after=after, answers=answers)

    def drop(self) -> list[Line]:
        """Forget what waits: another control plane leads, and its word counts."""
        dropped, self._waiting, self._answers, self._in_doubt = self._waiting, [], [], None
        return dropped

    async def lead(self) -> bool:
        """Become or stay leader; `epoch` says under which number. Raises UnavailableError if nobody can say."""
        epoch = await self.call(lambda history: history.lead(self._holder, Instant(self._clock())))
        self.epoch = epoch or 0
        return epoch is not None

    async def call(self, ask: Callable[[RolloutHistory], _T]) -> _T:
        """Ask the history on its thread. Raises UnavailableError."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, ask, self._history)
        except FencedError:
            raise
        except UnavailableError as exc:
            if not self.problem:
                log.error("history_away", reason=str(exc))
            self.problem = str(exc)
            raise
        if self.problem:
            log.info("history_back")
            self.problem = ""
        return found

    async def close(self) -> None:
        """Write what can still be written and let go."""
        try:
            async with asyncio.timeout(5.0):
                if self.epoch:
                    await self.flush()
                    await self.call(lambda history: history.resign(self._holder))
                await self.call(lambda history: history.close())
        except (TimeoutError, UnavailableError) as exc:
            log.warning("history_not_closed", reason=str(exc), lost=len(self._waiting))
        self._thread.shutdown(wait=False, cancel_futures=True)
