"""Orders: what an operator tells this edge beside its configuration: drain, undrain, restart.

Talks to Envoy through the supervisor.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from seawall.agent.supervisor import Supervisor
from seawall.fleet.wire import Order
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds

log = structlog.get_logger(__name__)


class Orders:
    """Carries out orders, one after the other. `on_change` is called after each."""

    def __init__(self, supervisor: Supervisor, spread: Seconds, on_change: Callable[[], None]) -> None:
        self.is_draining = False
        self._supervisor = supervisor
        self._spread = spread
        self._on_change = on_change
        self._queue: asyncio.Queue[Order] = asyncio.Queue()

    def put(self, order: Order) -> None:
        self._queue.put_nowait(order)

    async def run(self) -> None:
        """Carry out what is put, until cancelled."""
        while True:
            order = await self._queue.get()
            log.info("order_received", verb=order.verb, reason=order.reason)
            try:
                match order.verb:
                    case "drain":
                        self.is_draining = True
                        await self._supervisor.admin.fail_health_checks()
                    case "undrain":
                        self.is_draining = False
                        await self._supervisor.admin.pass_health_checks()
                    case "restart":
                        await self._supervisor.stop()
            except UnavailableError as exc:
                log.warning("order_not_carried_out", verb=order.verb, reason=str(exc))
            self._on_change()

    async def renew(self) -> None:
        """Replace an Envoy that was started with other limits than it should have: not all of a fleet at once."""
        await asyncio.sleep(random.uniform(0, self._spread))  # noqa: S311 - spreads load
        if not self._supervisor.is_outdated:
            return
        log.info("envoy_renewed", pid=self._supervisor.pid, reason="other limits")
        was_draining, self.is_draining = self.is_draining, True
        self._on_change()
        try:
            await self._supervisor.stop()
        finally:
            self.is_draining = was_draining
        self._on_change()
