"""Quota: this edge's part of limits that the fleet shares: told up what was asked for, written down what a request costs.

Talks to Envoy's admin endpoint and to files in Envoy's folder, `quota/<slot>.json`, which Envoy reads as secrets by SDS: the
only thing that a filter can read anew without being built anew (`docs/explanation/limits.md`). They are there before Envoy
starts, since a configuration that names a missing file is refused.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

import structlog

from seawall.agent.parts import Parts
from seawall.agent.prices import write
from seawall.envoy.limits import STAT_PREFIX
from seawall.fleet.quota import SILENCE
from seawall.fleet.wire import Share, Shares, Used
from seawall.kit.errors import UnavailableError

log = structlog.get_logger(__name__)

_INTERVAL = 0.25
_COUNTERS: Final = r"^ratelimit\..*\.http_local_rate_limit\.(ok|rate_limited)$"
_OPEN: Final = 1
_CLOSED: Final = 1_000_000_000
"""As much as a bucket can hold; of a price above that Envoy takes no notice, and lets pass."""


class QuotaKeeper:
    """Keeps the prices of one edge."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts = parts
        self._folder = folder
        self._shares: tuple[Share, ...] = ()
        self._heard_at = 0.0
        self._written: dict[int, int] = {}

    def take(self, told: Shares) -> None:
        """Obey the control plane."""
        self._shares, self._heard_at = told.shares, time.monotonic()
        self._write()

    async def run(self) -> None:
        """Tell what was asked for, and act alone when nobody answers, until cancelled."""
        while True:
            if self._shares:
                with contextlib.suppress(UnavailableError):
                    await self._tell()
                self._write()
            await asyncio.sleep(_INTERVAL)

    async def _tell(self) -> None:
        numbers = await self._parts.supervisor.admin.numbers(_COUNTERS)
        counts: dict[str, float] = {}
        for name, value in numbers.items():
            policy = name.removeprefix(STAT_PREFIX).rpartition(".http_local_rate_limit.")[0]
            counts[policy] = counts.get(policy, 0.0) + value
        run = str(self._parts.supervisor.pid)
        self._parts.uplink.say(Used(at=time.monotonic(), run=run, counts=counts))

    def _write(self) -> None:
        is_away = time.monotonic() - self._heard_at > SILENCE
        for share in self._shares:
            cost = _away(share) if is_away else share.cost
            if self._written.get(share.slot) == cost:
                continue
            try:
                write(self._folder, share.slot, cost)
            except OSError as exc:
                log.warning("share_not_written", slot=share.slot, reason=str(exc))
                return
            self._written[share.slot] = cost


def _away(share: Share) -> int:
    match share.when_away:
        case "open":
            return _OPEN
        case "closed":
            return _CLOSED
        case _:
            return share.cost
