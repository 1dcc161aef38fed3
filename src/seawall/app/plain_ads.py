"""PlainAds: delta xDS for Envoys (and other clients) that have no agent.

They get the same snapshot as the agents' Envoys. What they refuse is blamed just the same; but nobody keeps their last
good configuration or counts their deaths, which is what the agent is for.
"""

import contextlib
from collections.abc import AsyncIterator, Callable

from seawall.envoy.access_log import without_log
from seawall.fleet.wire import Applied, Rejected, Rejection, Up
from seawall.server import ads
from seawall.server.edges import require_loopback
from seawall.server.hub import Hub
from seawall.server.tls import ReloadingIdentity, server_credentials
from seawall.xds import events
from seawall.xds.resource import LISTENER, Ref
from seawall.xds.snapshot import Change, Snapshot

NODE = "node "
"""Begins the name under which a client without an agent is known; no edge's name has a blank in it."""


class PlainAds:
    """The service, and what each of its clients refuses."""

    def __init__(self, report: Callable[[str, Up], None]) -> None:
        """`report` gets what clients say, in the words of the agents."""
        self._report = report
        self._hub = Hub()
        self._service = ads.AdsService(lambda node, cluster: self._hub, self._heard)
        self._refused: dict[str, dict[Ref, Rejection]] = {}

    def publish(self, snapshot: Snapshot) -> None:
        listeners = [without_log(one) for one in snapshot.resources(LISTENER).values()]
        self._hub.publish(snapshot.apply(Change(put=tuple(listeners))))

    @contextlib.asynccontextmanager
    async def serving(
        self, address: str, identity: ReloadingIdentity | None, *, is_insecure: bool
    ) -> AsyncIterator[str]:
        """Serve while the block runs; gives the address. In the clear only on loopback, and only if told to."""
        is_unix = address.startswith("unix:")
        if identity is None and not is_unix:
            require_loopback(address, is_insecure=is_insecure)
        credentials = server_credentials(identity) if identity is not None else None
        async with ads.serving(self._service, address, credentials) as port:
            yield address if is_unix else f"{address.rpartition(':')[0]}:{port}"

    def _heard(self, node: str, report: ads.Report) -> None:
        name = f"{NODE}{node}"
        match report:
            case events.Applied(version=version):
                self._report(name, Applied(version=version, at=0.0))
            case events.Rejected(cause="refused"):
                rejection = Rejection(ref=report.ref, version=report.version, message=report.message)
                self._refused.setdefault(name, {})[report.ref] = rejection
                self._tell(name)
            case events.Recovered(ref=ref):
                if self._refused.get(name, {}).pop(ref, None) is not None:
                    self._tell(name)
            case ads.Disconnected():
                if self._refused.pop(name, None):
                    self._tell(name)
            case _:
                pass

    def _tell(self, name: str) -> None:
        rejections = tuple(self._refused.get(name, {}).values())
        self._report(name, Rejected(version=self._hub.snapshot.version, rejections=rejections))
