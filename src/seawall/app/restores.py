"""Restores: the drill of the way back. What `rollout back` would lead to is read from the history and compared with its name.

Talks to the history through the scribe; when it becomes last-known-good, and once a day. A history that is away proves nothing, and
what was found before stays. Next room: `rollout.guards.proven` refuses to go forward when the way back is spoilt.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from seawall.app.scribe import Scribe
from seawall.kit.errors import UnavailableError
from seawall.rollout.guards.question import Proven
from seawall.store.history import DamagedError

log = structlog.get_logger(__name__)

_DAY = 86400.0
_LOOK = 5.0


class Restores:
    """The newest drill. `good` names the newest last-known-good bundle, empty for none."""

    def __init__(self, scribe: Scribe, good: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self.proven: tuple[Proven, ...] = ()
        self.made = 0
        self.failed = 0
        self._scribe = scribe
        self._good = good
        self._clock = clock
        self._done = ("", -_DAY)

    async def run(self) -> None:
        """Drill until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Drill if it is time to."""
        good, now = self._good(), self._clock()
        if good == self._done[0] and now - self._done[1] < _DAY:
            return
        try:
            self.proven = await self._drill(good) if good else ()
        except UnavailableError:
            # Whoever decides says so already, and nothing goes forward meanwhile.
            return
        self._done = (good, now)

    async def _drill(self, good: str) -> tuple[Proven, ...]:
        self.made += bool(good)
        try:
            found = await self._scribe.call(lambda history: history.bundle(good))
        except DamagedError as exc:
            self.failed += 1
            log.error("restore_failed", bundle=good, reason=str(exc))
            return (Proven(bundle=good, content=good, content_now="", is_baked=True),)
        if found is None:
            # Not saved yet, or let go of by somebody who had to: nothing is known, so nothing is held against a change.
            log.warning("restore_found_nothing", bundle=good)
            return ()
        kept, snapshot = found
        # That it has baked is what the machine says; the mark in the history may come a moment later.
        return (Proven(bundle=good, content=kept.bundle.content, content_now=snapshot.digest, is_baked=True),)
