"""A control plane's signature for tests of the edge service: signs what is to go out, and numbers it."""

from typing import Any

from seawall.fleet.bundle import EVERY_EDGE, Assignment, Signed
from seawall.server.edges import EdgeService
from seawall.xds.snapshot import Snapshot
from tests.support.control import KEY, bundle_of


class Signing:
    """Gives orders; each is newer than the one before."""

    def __init__(self, service: EdgeService) -> None:
        self._service = service
        self._fence = 0

    def publish(self, snapshot: Snapshot) -> None:
        """Tell all edges to run it."""
        name = bundle_of(snapshot).name
        self._service.publish(snapshot, KEY.sign(bundle_of(snapshot)), self.order(name))

    def offer(self, snapshot: Snapshot) -> str:
        return self._service.offer(KEY.sign(bundle_of(snapshot)), snapshot)

    def assign(self, bundle: str, edge: str = EVERY_EDGE, **fields: Any) -> None:
        self._service.assign(self.order(bundle, edge, **fields))

    def order(self, bundle: str, edge: str = EVERY_EDGE, **fields: Any) -> Signed:
        self._fence += 1
        return KEY.sign(Assignment(**{"edge": edge, "bundle": bundle, "fence": self._fence, **fields}))
