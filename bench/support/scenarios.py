"""Scenarios: the shapes of attacks and of their benign twins, in one table.

A scenario is a function of a seed and a second; tests replay it on event time, a bench may send it.
"""

from collections.abc import Callable
from random import Random

import msgspec

from bench.support import attacks, twins
from bench.support.people import Play


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A shape of traffic.

    Args:
        begin: makes the play for a seed: what is asked besides the background, by seconds since it began.
        planted: the fields that tell the attack from good traffic; empty: it is no attack.
        ttm: seconds until an enforceable verdict stands.
        lasts: how long it plays.
        has_background: whether the normal crowd is there.
    """

    id: str
    name: str
    begin: Callable[[Random], Play]
    planted: frozenset[str] = frozenset()
    ttm: float = 8.0
    lasts: int = 20
    before: Callable[[Random], Play] | None = None
    """What has been normal besides the background."""

    @property
    def is_attack(self) -> bool:
        return bool(self.planted)


TOOL = frozenset({"ja4", "alpn", "protocol", "agent", "headers", "language", "path", "referer", "fetch"})
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(id="A1", name="single-source flood", begin=attacks.a1, planted=frozenset({"address"}), ttm=3.0),
    Scenario(id="A2", name="botnet, one tool", begin=attacks.a2, planted=TOOL, ttm=5.0),
    Scenario(
        id="A3",
        name="botnet, random agent and query",
        begin=attacks.a3,
        planted=(TOOL - {"agent"}) | {"query_shape"},
        ttm=5.0,
    ),
    Scenario(
        id="A4",
        name="low and wide",
        begin=attacks.a4,
        planted=frozenset({"path", "query_shape", "ja4", "headers", "language"}),
        ttm=60.0,
        lasts=70,
    ),
    Scenario(id="A6", name="cache busting", begin=attacks.a6, planted=TOOL | {"query_shape"}),
    Scenario(id="A7", name="expensive page", begin=attacks.a7, planted=TOOL | {"query_shape"}),
    Scenario(
        id="A7b",
        name="expensive page, by browsers",
        begin=attacks.a7_browsers,
        planted=frozenset({"address", "path", "query_shape"}),
    ),
    Scenario(id="A10", name="rapid reset", begin=attacks.a10, planted=frozenset({"address"})),
    Scenario(id="A15", name="handshake flood", begin=attacks.a15, planted=frozenset({"address"})),
    Scenario(id="A17", name="credential stuffing", begin=attacks.a17, planted=TOOL | {"method"}, ttm=60.0, lasts=70),
    Scenario(
        id="A18",
        name="key abuse",
        begin=attacks.a18,
        before=attacks.key_holders,
        planted=frozenset({"token"}),
        lasts=25,
    ),
    Scenario(id="A23", name="rotating keys", begin=attacks.a23, planted=TOOL),
    Scenario(id="A48", name="one hand with a /48", begin=attacks.a_prefix, planted=frozenset({"net48"}), ttm=12.0),
    Scenario(id="B1", name="flash crowd", begin=twins.b1, lasts=60),
    Scenario(id="B1b", name="flash crowd at once", begin=twins.b1_at_once, lasts=25),
    Scenario(id="B2", name="carrier", begin=twins.b2, lasts=30),
    Scenario(id="B2b", name="office, one browser", begin=twins.b2_office, lasts=30),
    Scenario(id="B5", name="retry storm", begin=twins.b5, lasts=40),
    Scenario(id="B10", name="page with sixty calls", begin=twins.b10, lasts=40),
    Scenario(id="B12", name="batch partner", begin=twins.b12, before=twins.b12, lasts=30),
    Scenario(id="B10b", name="new release of our program", begin=twins.b10_release, lasts=60),
    Scenario(id="B12b", name="new partner", begin=twins.b12_new, lasts=60),
    Scenario(id="B14", name="privacy browsers", begin=twins.b14, lasts=40),
)


def scenario(name: str) -> Scenario:
    """Find a scenario by its id."""
    return next(one for one in SCENARIOS if one.id == name)
