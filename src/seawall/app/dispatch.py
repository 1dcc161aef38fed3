"""Dispatch: the orders on their way out: signed, in the history, then sent.

Nothing goes forward that is not in the history. While it is away an order that brings more edges to a candidate is held
back, and the machine is paused; an order to go back is sent all the same. When the history is there again, everything is
said once more: the newest fence counts, so nothing happens twice.
"""

from collections.abc import Callable, Iterable

import structlog

from seawall.app.ledger import Ledger
from seawall.app.library import Library
from seawall.app.signer import Signer
from seawall.fleet.bundle import Assignment, Signed
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Action, Assign
from seawall.server.edges import EdgeService
from seawall.store.history import FencedError

log = structlog.get_logger(__name__)


class Dispatch:
    """One control plane's orders. `is_cut_off`: the history could not be written the last time."""

    def __init__(
        self, ledger: Ledger, library: Library, signer: Signer, edges: EdgeService, clock: Callable[[], float]
    ) -> None:
        self.is_cut_off = False
        self._ledger = ledger
        self._library = library
        self._signer = signer
        self._edges = edges
        self._clock = clock

    def sign(self, action: Assign, edge: str, conductor: Conductor) -> Signed:
        """Write the order for one edge."""
        return self._signer.sign(
            Assignment(
                edge=edge,
                bundle=action.bundle,
                fence=self._signer.fence(),
                rollout=action.rollout,
                stage=action.stage,
                taste=action.taste,
                is_proven=action.is_proven,
                keep=conductor.goods[:3],
                at=Instant(self._clock()),
            )
        )

    async def send(
        self, actions: Iterable[Action], conductor: Conductor, *, sent: str = "", is_careful: bool = True
    ) -> None:
        """Tell each edge what it is to run; the last word on each counts. Raises FencedError.

        `sent` is a bundle that went to all of them in one message. Not `is_careful`: the history may follow later, unless
        there are orders.
        """
        wanted = {edge: one for one in actions if isinstance(one, Assign) for edge in one.edges if one.bundle != sent}
        orders = {edge: self.sign(action, edge, conductor) for edge, action in wanted.items()}
        if orders or is_careful:
            await self.write_down(orders, conductor)
        for edge, order in orders.items():
            if not self.is_cut_off or wanted[edge].bundle != conductor.candidate:
                self._edges.assign(order)
            else:
                log.warning(
                    "order_held_back", edge=edge, bundle=wanted[edge].bundle, reason=self._ledger.scribe.problem
                )

    async def write_down(self, orders: dict[str, Signed], conductor: Conductor) -> None:
        """Write what has happened, the bundles that may be needed, and what edges are told. Raises FencedError."""
        scribe = self._ledger.scribe
        try:
            await self._library.offer(conductor.used)
            is_written = await self._ledger.flush(conductor)
            if is_written and orders:
                epoch = scribe.epoch
                await scribe.call(lambda history: history.tell(epoch, orders))
        except FencedError:
            raise
        except UnavailableError:
            is_written = False
        self.is_cut_off = not is_written
