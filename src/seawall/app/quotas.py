"""Quotas: limits that the fleet shares, divided among the edges that are connected, twice a second or more.

The decisions are `fleet.quota`'s; here they get what edges say, and their shares go out.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from seawall.fleet.quota import Quota, Steward
from seawall.fleet.wire import Shares, Used
from seawall.gateway.graph import ObjectKey, RateLimit
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService

_INTERVAL = 0.25


class Quotas:
    """Divides the limits of a resolver's graph."""

    def __init__(self, edges: EdgeService, limits: Callable[[], Mapping[ObjectKey, RateLimit]]) -> None:
        self._edges = edges
        self._limits = limits
        self.steward = Steward()

    def heard(self, edge: str, message: Used) -> None:
        """Take in how often an edge has been asked."""
        self.steward.used(edge, message)

    def wanted(self) -> list[Quota]:
        """Say what is to be divided now."""
        return [_quota(limit) for limit in self._limits().values()]

    async def run(self) -> None:
        """Divide until cancelled."""
        was_dividing = False
        while True:
            quotas = self.wanted()
            if quotas or was_dividing:
                self.divide(quotas, Instant(time.monotonic()))
            was_dividing = bool(quotas)
            await asyncio.sleep(_INTERVAL)

    def divide(self, quotas: list[Quota], at: Instant) -> None:
        """Divide once."""
        self.steward.connected(self._edges.connected, at)
        self.steward.configured(quotas)
        for edge, shares in self.steward.shares(at).items():
            self._edges.share(edge, Shares(shares=shares))


def _quota(limit: RateLimit) -> Quota:
    return Quota(
        name=limit.name,
        slot=limit.slot if limit.slot is not None else 0,
        rate=min(one.requests / one.window for one in limit.limits),
        most=min(one.burst for one in limit.limits),
        is_keyed=any(one.keys for one in limit.limits),
        when_away=limit.when_away,
    )
