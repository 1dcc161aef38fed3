"""Verdict: what to do with the requests of a scope, until when, because of what, and what it did.

Pure records. `expires` is carried into the data plane: an edge stops acting on it though nobody tells it to.
Previous room: `detect.judge`. Next room: `detect.ledger` keeps those in force; `envoy` enforces them.
"""

from typing import Literal

import msgspec

from seawall.detect.finding import Evidence
from seawall.detect.scope import Scope
from seawall.kit.units import Instant

Mode = Literal["observe", "canary", "enforce"]
Kind = Literal["allow", "tag", "limit", "challenge", "tarpit", "labyrinth", "deny", "drop"]
Author = Literal["auto", "human"]
Outcome = Literal["pass", "cap", "narrow", "refuse"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge does with a request of the scope.

    Args:
        rate: requests a second that a limit leaves, for the whole fleet.
        per_client: whether each client in the scope has this rate, or all of them share it.
        ignore_query: serve the path from the cache whatever its query says.
        delay_ms: how long a tarpit holds an answer back.
        code: the status of a refusal.
        where: for a drop, what drops it.
    """

    kind: Kind
    rate: float = 0.0
    burst: float = 0.0
    per_client: bool = False
    ignore_query: bool = False
    delay_ms: int = 0
    code: int = 0
    where: Literal["", "nftables", "xdp"] = ""

    @property
    def refuses(self) -> bool:
        """Say whether it turns every request of the scope away."""
        return self.kind in ("tarpit", "deny", "drop")


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict is to do, as the evidence has it. `impact` is a share of the normal traffic, by replay."""

    attack_rps: float = 0.0
    coverage: float = 0.0
    impact: float = 0.0
    benign_rps: float = 0.0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What it has done so far. `left_rps` is what of its scope still reaches the origin, `leaks` for
    how many seconds on end that was too much; `last_hit` is when it was attacked last."""

    hits: float = 0.0
    hits_rps: float = 0.0
    left_rps: float = 0.0
    vouched: float = 0.0
    last_hit: Instant = Instant(0.0)
    leaks: int = 0


class GuardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard has said of a verdict, with the numbers."""

    guard: str
    title: str
    outcome: Outcome
    said: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a scope. `reason` is one sentence; `reference` is what a refused client is shown."""

    id: str
    generation: int
    created: Instant
    expires: Instant
    mode: Mode
    scope: Scope
    action: Action
    rung: int
    confidence: float = 1.0
    evidence: tuple[Evidence, ...] = ()
    expected: Expected = Expected()
    measured: Measured = Measured()
    guards: tuple[GuardResult, ...] = ()
    detector: str = ""
    author: Author = "auto"
    who: str = ""
    reason: str = ""
    parent: str = ""
    relapses: int = 0
    since: Instant = Instant(0.0)
    """Since when it is in its mode."""
    most: int = 0
    """The highest rung that its evidence carries."""

    def acts(self, at: Instant) -> bool:
        """Say whether it still holds. It never does at `expires` or later."""
        return at < self.expires
