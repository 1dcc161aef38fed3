"""Admission: the door of this edge after a restart: what `fleet.ramp` says, as Envoy's overload manager reads it.

Reads Envoy's heap from its admin endpoint, writes `admission/refused`: the share of new requests that Envoy turns away, at random,
with 503. Envoy reads it as the pressure of an injected resource: it costs nothing while it is 0, touches no listener, and is there
before Envoy's first request. Nobody but this host is asked: it works with no control plane.
"""

import asyncio
import contextlib
from pathlib import Path

import structlog

from seawall.agent.door import write
from seawall.agent.parts import Parts, now
from seawall.fleet.ramp import Ramp
from seawall.kit.errors import UnavailableError

log = structlog.get_logger(__name__)

_INTERVAL = 0.5
_HELD = r"^overload\.envoy\.resource_monitors\.fixed_heap\.pressure$"


class Admission:
    """Opens and shuts the door of one Envoy."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts = parts
        self._folder = folder
        self.ramp = Ramp()
        self._written = -1.0

    def starting(self) -> None:
        """An Envoy is about to start: its first request meets the door as it should be."""
        self._write(self.ramp.started(now()))

    async def run(self) -> None:
        """Watch memory after a start, until cancelled."""
        while True:
            if self.ramp.is_busy and self._parts.supervisor.pid:
                with contextlib.suppress(UnavailableError):
                    held = await self._held()
                    self._write(self.ramp.looked(now(), held))
            await asyncio.sleep(_INTERVAL)

    async def _held(self) -> float:
        numbers = await self._parts.supervisor.admin.numbers(_HELD)
        return max(numbers.values(), default=0.0) / 100

    def _write(self, share: float) -> None:
        if share == self._written:
            return
        try:
            write(self._folder, 1.0 - share)
        except OSError as exc:
            log.warning("admission_not_written", reason=str(exc))
            return
        if share < 1.0 or 0 <= self._written < 1.0:
            log.warning("admission", share=share, ramps=self.ramp.ramps)
        self._written = share
