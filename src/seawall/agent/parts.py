"""Parts: what one edge is made of, for those who work with several of them."""

import time

import msgspec

from seawall.agent.cellar import Cellar
from seawall.agent.keeper import Keeper
from seawall.agent.relay import Relay
from seawall.agent.settings import AgentSettings
from seawall.agent.supervisor import Supervisor
from seawall.agent.uplink import Uplink
from seawall.fleet.guardian import Guardian
from seawall.kit.units import Instant


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """One edge: its disk, its Envoy, its way up, and who decides about its life."""

    settings: AgentSettings
    keeper: Keeper
    cellar: Cellar
    uplink: Uplink
    supervisor: Supervisor
    relay: Relay
    guardian: Guardian

    def remember(self, **fields: object) -> None:
        """Write down what the next agent on this host must know."""
        self.keeper.remember(msgspec.structs.replace(self.keeper.memo(), **fields))


def now() -> Instant:
    """Read a clock that nobody sets: a jump of the wall clock must not prove a state or undo one."""
    return Instant(time.monotonic())
