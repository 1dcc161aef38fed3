"""Admission: the door of this edge after a restart: what `fleet.ramp` says, as Envoy's overload manager reads it.

Reads Envoy's heap from its admin endpoint, writes `admission/refused`: the share of new requests that Envoy turns away, at random,
with 503. Envoy reads it as the pressure of an injected resource: it costs nothing while it is 0, touches no listener, and is there
before Envoy's first request. Nobody but this host is asked: it works with no control plane. What a Perimeter says of it is kept in
`state_dir`, where it is not what everybody has.
"""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import structlog

from seawall.agent.door import write
from seawall.agent.parts import Parts, now
from seawall.fleet.ramp import Ramp
from seawall.fleet.wire import Recovery, Tally
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant

log = structlog.get_logger(__name__)

_INTERVAL = 0.5
_READ = 1.0
"""Envoy looks at the file four times a second."""
_HELD = r"^overload\.envoy\.resource_monitors\.fixed_heap\.pressure$"


class Admission:
    """Opens and shuts the door of one Envoy."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts = parts
        self._folder = folder
        self._file = Path(parts.settings.state_dir) / "recovery.json"
        self.ramp = Ramp()
        self.ramp.recovery = _read(self._file)
        self._written, self._written_at = -1.0, Instant(0.0)
        self._has_died = False
        self._counted: Tally | None = None

    @property
    def is_open(self) -> bool:
        """Everybody is let in, and Envoy has had the time to read so."""
        return self.ramp.share == 1.0 and now() - self._written_at >= _READ

    @property
    def problem(self) -> str:
        """Say what a person should know; empty if there is nothing."""
        share = 100 * self.ramp.share
        return (
            "" if share == 100 else f"Envoy comes back: {share:g} % of the requests are let in, the others get a 503."
        )

    def watch(self, recovery: Recovery) -> None:
        """Open like this from now on, also when nobody can be asked."""
        if recovery == self.ramp.recovery:
            return
        self.ramp.recovery = recovery
        # A disk that refuses costs this edge its own ramp after the next start of its agent, nothing else.
        with contextlib.suppress(OSError):
            fresh = self._file.with_suffix(".fresh")
            fresh.write_bytes(msgspec.json.encode(recovery))
            fresh.rename(self._file)

    def counted(self, tally: Tally) -> None:
        """Learn from what Envoy counts whether this edge is under load."""
        before, self._counted = self._counted, tally
        if before is not None and before.run == tally.run and tally.at > before.at:
            made = tally.counts.get("requests", 0.0) - before.counts.get("requests", 0.0)
            self.ramp.served(now(), made / (tally.at - before.at))

    def died(self) -> None:
        """Envoy has ended, and nobody had asked it to."""
        self._has_died = True

    def starting(self) -> None:
        """An Envoy is about to start: its first request meets the door as it should be."""
        has_died, self._has_died = self._has_died, False
        self._write(self.ramp.started(now(), has_died=has_died))

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
            self._written_at = now()
            log.warning("admission", share=share, ramps=self.ramp.ramps)
        self._written = share


def _read(file: Path) -> Recovery:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Recovery)
    except (OSError, msgspec.MsgspecError):
        return Recovery()
