"""Health: how this edge is, for its control plane (heartbeats) and for monitoring (/metrics, /ready).

Talks to Envoy's admin endpoint for its metrics; the rest is read off the parts.
"""

import time
from collections.abc import Callable
from typing import Literal

from seawall.agent.delivery import Delivery
from seawall.agent.orders import Orders
from seawall.agent.parts import Parts
from seawall.fleet.metrics import bounded, own
from seawall.fleet.wire import Heartbeat
from seawall.kit.errors import UnavailableError


class Health:
    """What to say about an edge. `settled` is the version that Envoy has acknowledged whole."""

    def __init__(
        self,
        parts: Parts,
        orders: Orders,
        delivery: Delivery,
        problem: Callable[[], str],
        gauges: Callable[[], dict[str, float]],
    ) -> None:
        """`problem` and `gauges` are what parts say that come later than this one."""
        self.is_live = False
        self.settled = ""
        self.more: Callable[[], dict[str, tuple[str, float]]] = dict
        """Metrics of others."""
        self._parts = parts
        self._orders = orders
        self._delivery = delivery
        self._other_problem = problem
        self._gauges = gauges
        self._dropped_series = 0

    def heartbeat(self) -> Heartbeat:
        parts, delivery = self._parts, self._delivery
        memo = parts.keeper.memo()
        return Heartbeat(
            at=time.time(),
            running=self.settled,
            is_ready=not self.unready(),
            envoy=self.state(),
            deaths=parts.guardian.deaths,
            fallback=parts.guardian.fallback,
            problem=parts.keeper.problem or parts.cellar.problem or parts.uplink.problem or self._other_problem(),
            bundle=delivery.name_of(self.settled),
            kept=tuple(held.bundle.name for held in delivery.kept()),
            pinned=memo.pinned,
            fence=memo.fence,
        )

    def state(self) -> Literal["starting", "live", "draining", "down", "fallback"]:
        if self._orders.is_draining:
            return "draining"
        if self._parts.guardian.fallback:
            return "fallback"
        if not self._parts.supervisor.pid:
            return "down"
        return "live" if self.is_live else "starting"

    def unready(self) -> str:
        """Say why this edge should not be sent traffic; empty if it should."""
        if self._orders.is_draining:
            return "draining"
        if not self._parts.supervisor.pid:
            return "Envoy is down"
        if not self._parts.guardian.has_settled:
            is_told = len(self._delivery.held()) > 0
            return "Envoy has not acknowledged its listeners yet" if is_told else "no configuration yet"
        return "" if self.is_live else "Envoy is not live"

    async def metrics(self) -> str:
        """Join Envoy's metrics, bounded, and our own, in Prometheus' text format."""
        parts = self._parts
        try:
            text = await parts.supervisor.admin.metrics()
            envoys, self._dropped_series = bounded(text, parts.settings.max_series)
        except UnavailableError:
            envoys = ""
        return envoys + own(
            {
                "ready": ("gauge", float(not self.unready())),
                "connected": ("gauge", float(parts.uplink.is_connected)),
                "fallback": ("gauge", float(bool(parts.guardian.fallback))),
                "pinned": ("gauge", float(bool(self._delivery.pinned))),
                "kept_bundles": ("gauge", float(len(self._delivery.kept()))),
                "envoy_deaths_total": ("counter", float(parts.guardian.deaths)),
                "rejected_resources": ("gauge", float(len(parts.relay.rejections))),
                "resources": ("gauge", float(len(parts.keeper.current()))),
                "disk_refuses": ("gauge", float(bool(parts.keeper.problem or parts.cellar.problem))),
                "series_dropped": ("gauge", float(self._dropped_series)),
                **{name: ("gauge", value) for name, value in self._gauges().items()},
                **self.more(),
            }
        )
