"""Ramp: how much of the traffic an edge lets in after a restart that load may have caused.

Pure: the agent tells it of starts and of memory, it answers with a share. On 16 April 2025 Spotify's Envoys came up, were hit by
every waiting client at once, ran out of memory and were killed again, for hours: who comes back needs room. An edge that died
once needs none, and gets none: a door half shut would only turn more requests away; and two deaths may be those of a bad change,
from which the guardian goes back. So it begins half shut where there is evidence: more restarts in short time, or memory that
fills in the first minute after one. Who knows that all clients come back at once asks for more (`restart`): then one death under
load is enough.

    open ──fourth start within 2 min, or memory above `memory` within a minute of a start──▶ 30 % ─▶ 60 % ─▶ open
                                            each for `step`, and only while memory is a MARGIN below; a MARGIN above: a step back
                                            what is in between for PATIENCE is how this edge lives: it opens

Next room: `agent.admission` measures, and has Envoy turn the rest away (503, Retry-After).
"""

from typing import Final

from seawall.fleet.wire import Recovery
from seawall.kit.units import Instant, Seconds

SHARES: Final = (0.3, 0.6, 1.0)
MARGIN: Final = 0.1
"""Of the heap that Envoy may have. Above 0.95 Envoy itself turns everything away, and nothing opens in steps."""
STARTS, WITHIN, FRESH = 4, Seconds(120.0), Seconds(60.0)
PATIENCE: Final = Seconds(120.0)
REST: Final = Seconds(30.0)
"""An edge stays busy for so long: Envoys that die again and again serve little in between."""


class Ramp:
    """The door of one edge."""

    def __init__(self) -> None:
        self._starts: list[Instant] = []
        self._step = len(SHARES) - 1
        self._since = Instant(0.0)
        self.ramps = 0
        """How often it has begun."""
        self.recovery = Recovery()
        self._busy_at: Instant | None = None

    @property
    def share(self) -> float:
        """Of the requests, how many are let in."""
        return SHARES[self._step]

    @property
    def is_busy(self) -> bool:
        """Say whether memory is to be looked at: the door is not open, or might have to be shut."""
        return self.share < 1.0 or bool(self._starts)

    @property
    def was_busy(self) -> bool:
        """Say whether it has ever been under load."""
        return self._busy_at is not None

    def served(self, at: Instant, rate: float) -> None:
        """Note how many requests a second come."""
        if rate >= self.recovery.busy:
            self._busy_at = at

    def started(self, at: Instant, *, has_died: bool = False) -> float:
        """An Envoy is about to start, perhaps because the last one died; return the share for it."""
        self._starts = [one for one in self._starts if at - one < WITHIN] + [at]
        was_under_load = self._busy_at is not None and at - self._busy_at < REST
        is_hit = has_died and was_under_load and self.recovery.ramp == "restart"
        if len(self._starts) >= STARTS or is_hit:
            self._begin(at)
        return self.share

    def explained(self) -> None:
        """What ran is undone, by this edge or by the fleet: the starts until now say nothing of load."""
        self._starts = []

    def looked(self, at: Instant, held: float) -> float:
        """Envoy holds this share of its heap; return the share of requests from now on."""
        crowded = self.recovery.memory
        is_fresh = bool(self._starts) and at - self._starts[-1] < FRESH
        if self.share == 1.0:
            if is_fresh and held > crowded:
                self._begin(at)
            elif self._starts and at - self._starts[-1] >= WITHIN:
                self._starts = []
        elif held > crowded + MARGIN:
            self._step, self._since = max(0, self._step - 1), at
        elif at - self._since >= (self.recovery.step if held < crowded - MARGIN else PATIENCE):
            self._step, self._since = self._step + 1, at
        return self.share

    def _begin(self, at: Instant) -> None:
        if self.recovery.ramp == "off":
            return
        self._step, self._since = 0, at
        self.ramps += 1
