"""Settings: how protection behaves, as a policy says it, with a default for everything.

Pure records. `gateway` reads the policy, `app` hands these over. Next room: `detect.sight`, `detect.guards`.
"""

from collections.abc import Mapping

import msgspec

from seawall.detect.scope import Scope
from seawall.kit.units import Seconds


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How protection behaves.

    Args:
        enforces: whether verdicts act; else they only say what they would have done.
        highest: the highest rung that an automatic verdict may take (see `detect.ladder`).
        sensitivity: 1 is the default; 2 asks for half the excess, 0.5 for twice of it.
        floor: requests a second of a route below which nothing is a flood.
        client_floor: requests a second of one client, over 8 s, below which it is no outlier.
        cost_floor: seconds of the origin's time that a route takes in a second, below which nothing is expensive.
        failure_floor: refused logins a second, over a minute, below which nobody is stuffing.
        cold_start: for so long a baseline is provisional, and nothing is denied because of it.
        allow: never touched: by address or network, token, verified bot, path.
        protected: never denied without a person.
        denied_share: of a route's normal requests, how much all automatic denies together may touch.
        most_entries: automatic verdicts at a time.
        hard_entries: verdicts at a time, those of people included.
        quotas: requests a second that a token has a right to.
        has_xdp: whether the edges can drop in the driver.
    """

    enforces: bool = False
    highest: int = 6
    sensitivity: float = 1.0
    floor: float = 50.0
    client_floor: float = 25.0
    cost_floor: float = 8.0
    failure_floor: float = 1.0
    cold_start: Seconds = Seconds(900.0)
    allow: tuple[Scope, ...] = ()
    protected: tuple[Scope, ...] = ()
    denied_share: float = 0.05
    most_entries: int = 100_000
    hard_entries: int = 250_000
    quotas: Mapping[str, float] = {}
    has_xdp: bool = False
