"""Question: what a guard may look at, and the shape of its answer. Pure data."""

from collections.abc import Callable, Mapping

import msgspec

from seawall.detect.finding import Finding
from seawall.detect.scope import Scope
from seawall.detect.settings import Settings
from seawall.detect.shape import Shape, shape
from seawall.detect.sight import Sight
from seawall.detect.verdict import Kind, Outcome
from seawall.kit.units import Instant, Seconds

FEW = 5


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force already: how many verdicts, which share of a route's normal requests their denies touch together, the
    scopes that people have allowed, and those whose canary has hurt somebody."""

    entries: int = 0
    denied: Mapping[str, float] = {}
    allowed: tuple[Scope, ...] = ()
    aborted: frozenset[Scope] = frozenset()
    edges: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """May this scope be treated so?"""

    finding: Finding
    scope: Scope
    rung: int
    action: Kind
    expires: Instant
    sight: Sight
    standing: Standing = Standing()
    twins: tuple[Finding, ...] = ()

    @property
    def settings(self) -> Settings:
        return self.sight.settings

    @property
    def impact(self) -> float:
        """Return the share of normal requests that the scope touches, by replay."""
        return self.sight.baseline.sample(self.scope.route, self.sight.at).impact(self.scope)

    def shape(self, seconds: int = 10) -> Shape:
        """Say what the requests of the scope look like; over a minute, where there are hardly any in the last seconds."""
        looks = shape(self.sight, self.scope, seconds)
        return looks if looks.requests >= FEW else shape(self.sight, self.scope, 60)

    @property
    def ttl(self) -> Seconds:
        return Seconds(self.expires - self.sight.at)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard says; `rung` with a cap, `scope` with a narrowing."""

    outcome: Outcome
    said: str
    rung: int = 0
    scope: Scope = Scope()


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with a number and a name. `where`: what else of it acts, and in which room."""

    id: str
    title: str
    rule: str
    where: str
    check: Callable[[Question], Answer]


def passed(said: str) -> Answer:
    return Answer(outcome="pass", said=said)


def capped(rung: int, said: str) -> Answer:
    return Answer(outcome="cap", said=said, rung=rung)


def refused(said: str) -> Answer:
    return Answer(outcome="refuse", said=said)


def narrowed(scope: Scope, said: str) -> Answer:
    return Answer(outcome="narrow", said=said, scope=scope)
