"""Ladder: the eight things that can be done about a scope, and what each of them needs to be allowed.

Pure: a table. Challenge and labyrinth have their rung; until they are built, `built` leads to the one below.
Previous room: `detect.finding`. Next room: `detect.judge` climbs it.
"""

import msgspec

from seawall.detect.verdict import Action, Kind
from seawall.kit.units import Seconds


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the ladder.

    Args:
        confidence: what the evidence has to reach.
        impact: the share of normal traffic that it may touch at most.
        ttl: how long the first verdict on it holds.
        is_built: whether an edge can do it yet.
    """

    number: int
    name: Kind
    confidence: float
    impact: float
    ttl: Seconds
    title: str
    is_built: bool = True


MINUTE = 60.0
LADDER: tuple[Rung, ...] = (
    Rung(number=0, name="allow", confidence=0.0, impact=1.0, ttl=Seconds(86400.0), title="allow: verified"),
    Rung(number=1, name="tag", confidence=0.3, impact=1.0, ttl=Seconds(10 * MINUTE), title="tag, and watch"),
    Rung(number=2, name="limit", confidence=0.5, impact=0.10, ttl=Seconds(5 * MINUTE), title="limit"),
    Rung(
        number=3,
        name="challenge",
        confidence=0.6,
        impact=0.05,
        ttl=Seconds(10 * MINUTE),
        title="challenge",
        is_built=False,
    ),
    Rung(number=4, name="tarpit", confidence=0.8, impact=0.001, ttl=Seconds(10 * MINUTE), title="tarpit"),
    Rung(number=5, name="deny", confidence=0.85, impact=0.01, ttl=Seconds(MINUTE), title="deny in Envoy"),
    Rung(number=6, name="drop", confidence=0.95, impact=0.001, ttl=Seconds(5 * MINUTE), title="drop in nftables"),
    Rung(number=7, name="drop", confidence=0.98, impact=0.0005, ttl=Seconds(5 * MINUTE), title="drop in XDP"),
)
HIGHEST = len(LADDER) - 1
LONGEST = Seconds(86400.0)
"""A verdict that keeps coming back holds for so long at most; then a person has to look."""
TARPIT_MS = 2_000
"""A tarpit holds its answer back for so long, and refuses then: it costs the client, not the origin."""


def built(number: int) -> int:
    """Return the rung itself, or the next one below that an edge can do."""
    while not LADDER[number].is_built:
        number -= 1
    return number


def climb(score: float, most: int) -> int:
    """Return the highest rung that a score reaches, not above `most`."""
    reached = [rung.number for rung in LADDER[1 : most + 1] if score >= rung.confidence]
    return built(max(reached, default=1))


def ttl(rung: int, relapses: int) -> Seconds:
    """Say how long a verdict holds: twice as long with each relapse, a day at most."""
    return Seconds(min(LADDER[rung].ttl * 2.0 ** min(relapses, 20), LONGEST))


def action(rung: int, *, allowed: float = 0.0, per_client: bool = False, ignore_query: bool = False) -> Action:
    """Say what an edge does on a rung."""
    match LADDER[rung].name:
        case "limit":
            rate = max(allowed, 0.1)
            return Action(
                kind="limit",
                rate=rate,
                burst=max(2 * rate, 1.0),
                per_client=per_client,
                ignore_query=ignore_query,
                code=429,
            )
        case "tarpit":
            return Action(kind="tarpit", delay_ms=TARPIT_MS, code=429)
        case "deny":
            return Action(kind="deny", code=403)
        case "drop":
            return Action(kind="drop", where="xdp" if rung == HIGHEST else "nftables")
        case kind:
            return Action(kind=kind)
