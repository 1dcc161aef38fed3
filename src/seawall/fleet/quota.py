"""Quota: a limit that a fleet shares: which part of it each edge may use now.

Pure: usage of edges and the time in, shares out. Nobody is asked when a request comes: each edge has a bucket of its own,
in which a request costs the more the smaller the edge's share is. So a new share is one number that Envoy reads beside
its configuration; a bucket of another size would be another filter, and with every change all clients would start anew.

    edge ─Used (asked so far)─▶ Steward ─split─▶ Share (what a request costs) ─▶ edge

`docs/explanation/limits.md` has the reasons and what was measured. Next rooms: `app.quotas`, `agent.quota`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

import msgspec

from seawall.fleet.wire import Share, Used
from seawall.kit.units import Instant, Seconds

SCALE: Final = 1000
"""What a request costs an edge that has the whole limit; its buckets hold so many tokens for each request."""
SLOTS: Final = 64
"""So many policies can share their limits: Envoy reads each price from a file that is there before it starts."""
SILENCE: Final = Seconds(5.0)
"""An edge that hears nothing for so long is on its own."""
HOLD: Final = Seconds(30.0)
"""So long the share of an edge that is away is kept for it: it may be serving."""
_FLOOR: Final = 0.05
"""Of its equal part an edge that nobody asks keeps so much, for the first who does."""
_HEADROOM: Final = 1.1
"""An edge gets so much more than it was asked, so that a demand that grows slowly is never refused."""
_STILL: Final = 0.02
"""A share that moves less stays as it is: the price of less to say is so much overshoot at most."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A policy's limit. `rate` is requests a second; `most` fit into its smallest bucket. With `is_keyed` the limit is
    each key's, and all that is known is where requests go, not which key's."""

    name: str
    slot: int
    rate: float
    most: int
    is_keyed: bool = False
    when_away: Literal["keepShare", "open", "closed"] = "keepShare"


class _Edge:
    """What is known of one edge: counts of its Envoy's run, requests a second for each policy, since when it is away."""

    def __init__(self) -> None:
        self.run = ""
        self.at = Instant(0.0)
        self.counts: Mapping[str, float] = {}
        self.demands: dict[str, float] = {}
        self.gone_at: Instant | None = None


class Steward:
    """Divides limits among edges."""

    def __init__(self) -> None:
        self._quotas: dict[str, Quota] = {}
        self._edges: dict[str, _Edge] = {}
        self._shares: dict[str, dict[str, float]] = {}

    def configured(self, quotas: Iterable[Quota]) -> None:
        """Divide these from now on, and no others."""
        self._quotas = {quota.name: quota for quota in quotas}
        self._shares = {name: shares for name, shares in self._shares.items() if name in self._quotas}

    def connected(self, edges: Collection[str], at: Instant) -> None:
        """These edges, and no others, are connected."""
        for name in edges:
            self._edges.setdefault(name, _Edge()).gone_at = None
        for name, edge in self._edges.items():
            if name not in edges and edge.gone_at is None:
                edge.gone_at = at

    def used(self, edge: str, said: Used) -> None:
        """Take in how often an edge has been asked."""
        known = self._edges.setdefault(edge, _Edge())
        passed = said.at - known.at
        is_same = known.run == said.run and 0 < passed < SILENCE
        for name in self._quotas:
            count, before = said.counts.get(name, 0.0), known.counts.get(name, 0.0)
            if is_same:
                now = max(0.0, count - before if count >= before else count) / passed
                # Up at once, since clients are refused meanwhile; down by halves, since traffic is uneven.
                known.demands[name] = max(now, (now + known.demands.get(name, 0.0)) / 2)
        known.run, known.at, known.counts = said.run, Instant(said.at), said.counts

    def shares(self, at: Instant) -> dict[str, tuple[Share, ...]]:
        """Divide every limit anew; return what to tell each edge that is connected."""
        gone = [name for name, edge in self._edges.items() if edge.gone_at is not None and at - edge.gone_at > HOLD]
        for name in gone:
            del self._edges[name]
        for quota in self._quotas.values():
            demands = {name: edge.demands.get(quota.name, 0.0) for name, edge in self._edges.items()}
            self._shares[quota.name] = _settled(self._shares.get(quota.name, {}), split(quota, demands))
        return {
            name: tuple(
                Share(slot=quota.slot, cost=_cost(quota, self._shares[quota.name][name]), when_away=quota.when_away)
                for quota in self._quotas.values()
            )
            for name, edge in self._edges.items()
            if edge.gone_at is None
        }

    def shares_of(self, quota: str) -> Mapping[str, float]:
        """Say how a limit is divided now, parts of 1."""
        return self._shares.get(quota, {})


def split(quota: Quota, demands: Mapping[str, float]) -> dict[str, float]:
    """Divide a limit: parts of 1, which they sum up to.

    What an edge is asked for it gets, as long as there is enough; where there is not, the limit is filled like water
    into glasses: those who want little get it, the others are equal, so an attack on one edge takes nothing from what
    the others need. What is left over is divided equally.

    A limit for each key is divided by where requests go: a key that is seen on one edge only gets less than its limit,
    and none gets more.
    """
    if not demands:
        return {}
    least = _FLOOR * quota.rate / len(demands)
    if quota.is_keyed:
        total = sum(demands.values())
        floor = _FLOOR / len(demands)
        return {
            edge: floor + (1 - _FLOOR) * (asked / total if total else 1 / len(demands))
            for edge, asked in demands.items()
        }
    wanted = {edge: max(asked * _HEADROOM, least) for edge, asked in demands.items()}
    left, waiting, given = quota.rate, len(wanted), dict[str, float]()
    for edge, wish in sorted(wanted.items(), key=lambda one: (one[1], one[0])):
        given[edge] = min(wish, left / waiting)
        left -= given[edge]
        waiting -= 1
    return {edge: (given[edge] + left / len(demands)) / quota.rate for edge in demands}


def _settled(before: Mapping[str, float], now: dict[str, float]) -> dict[str, float]:
    """Keep what has hardly moved, unless edges came or went."""
    if before.keys() != now.keys():
        return now
    is_still = all(abs(now[edge] - before[edge]) <= _STILL * max(before[edge], 1 / len(now)) for edge in now)
    return dict(before) if is_still else now


def _cost(quota: Quota, share: float) -> int:
    """Say what a request costs. One request must fit into the bucket, however small the share is."""
    return max(SCALE, min(round(SCALE / share), SCALE * quota.most))
