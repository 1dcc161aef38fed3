"""Traffic: what the edges say of their requests, put together.

Seconds for protection, shares for rollouts, samples for the sandbox. The counting is `traffic.window`'s. Next rooms:
`app.protection` looks at each second, `app.proposals` asks what a change touches, `app.sandbox` makes a few of the requests anew.
"""

import random
from collections import defaultdict, deque
from collections.abc import Collection, Iterable

import msgspec

from seawall.console.metrics import Metric, counter, gauge
from seawall.detect.sight import Slot
from seawall.detect.view import view
from seawall.fleet.wire import Traffic as Message
from seawall.kit.units import Instant, Seconds
from seawall.traffic.entry import Head
from seawall.traffic.skew import Clocks
from seawall.traffic.window import WindowSet

SETTLES = Seconds(1.0)
"""So long after a second has ended, what edges say of it has come: Envoy writes its file five times a second, agents look
four times."""
MINUTES, MOST_HOSTS = 60, 5_000
MOST_HEADS = 500
_CATCH_UP = 5
DROPPED = {
    "late": "deltas of seconds that are over for good",
    "ahead": "deltas of seconds to come",
    "repeated": "deltas that came twice",
    "deltas": "more deltas of a second than are taken",
    "rows": "rows beyond those of a second",
    "lines": "lines that edges could not read",
    "bytes": "bytes that edges had no time for",
    "other": "what edges lost for other reasons",
}


class Traffic:
    """The fleet's traffic, as this control plane hears of it."""

    def __init__(self) -> None:
        self.windows = WindowSet()
        self.clocks = Clocks()
        self.heard_deltas = 0
        self.heard_requests = 0.0
        self.unseen = 0
        """Deltas that came after their second had been looked at."""
        self._seen = 0
        self._minutes: deque[tuple[int, dict[str, float]]] = deque(maxlen=MINUTES)
        self._heads: list[Head] = []
        self._met = 0
        self._random = random.Random()  # noqa: S311 - chooses a sample

    def heard(self, edge: str, message: Message, now: Instant) -> None:
        """Take in a second, or a part of one. Whose it is says the stream, not the message."""
        told = message.delta
        shift = self.clocks.shift(edge, told.at, now)
        delta = msgspec.structs.replace(told, edge=edge, at=Instant(told.at + shift))
        if not self.windows.add(delta, now):
            return
        self.heard_deltas += 1
        self.heard_requests += sum(delta.totals.values())
        # It stays in the counts of the longer windows; but nobody looks at a second twice.
        self.unseen += int(delta.at) <= self._seen
        self._count(zip(delta.columns.get("host", ()), delta.weights, strict=False), now)
        for head in delta.heads[:MOST_HEADS]:
            self._keep(head)

    def slots(self, now: Instant) -> list[Slot]:
        """Return the seconds that are complete now and were not at the last call, the oldest first."""
        newest = int(now - 1.0 - SETTLES)
        if not self._seen or newest - self._seen > _CATCH_UP:
            # Who has looked away for so long begins anew: the past is not judged once more.
            self._seen = newest - 1
        seconds, self._seen = range(self._seen + 1, newest + 1), max(self._seen, newest)
        return [view(self.windows, second) for second in seconds]

    def share(self, hosts: Collection[str]) -> float | None:
        """Say what share of the last hour's requests these hosts had; None where nothing was heard. `*.x` is every name below x."""
        total = sum(count for _, counts in self._minutes for count in counts.values())
        if not total:
            return None
        exact = {host for host in hosts if not host.startswith("*")}
        below = tuple(host[1:] for host in hosts if host.startswith("*."))
        is_all = "*" in hosts
        met = sum(
            count
            for _, counts in self._minutes
            for host, count in counts.items()
            if is_all or host in exact or (below and host.endswith(below))
        )
        return met / total

    def sample(self) -> tuple[Head, ...]:
        """Return requests that only read, drawn from all that were told."""
        return tuple(self._heads)

    def metrics(self) -> list[Metric]:
        """Say how it goes. The window bounds the reasons of losses."""
        return [
            counter("traffic_deltas_total", "Seconds of traffic that edges told, or parts of one.", self.heard_deltas),
            counter("traffic_requests_total", "Requests that they stand for.", self.heard_requests),
            counter("traffic_unseen_deltas_total", "Deltas too late for detectors.", self.unseen),
            gauge("traffic_clock_skew_seconds", "The clock of an edge that is furthest off.", self.clocks.worst),
            *(
                counter(
                    f"traffic_dropped_{reason}_total", f"Left out of windows: {what}.", self.windows.dropped[reason]
                )
                for reason, what in DROPPED.items()
            ),
        ]

    def _count(self, hosts: Iterable[tuple[str, float]], now: Instant) -> None:
        minute = int(now // 60)
        while self._minutes and self._minutes[0][0] <= minute - MINUTES:
            self._minutes.popleft()
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, defaultdict(float)))
        counts = self._minutes[-1][1]
        for host, count in hosts:
            name = _name(host)
            counts[name if name in counts or len(counts) < MOST_HOSTS else ""] += count

    def _keep(self, head: Head) -> None:
        """Draw: each request that came lately has the same chance to be among those that are kept."""
        # Those of long ago give way in the end: what was met counts for so many at most.
        self._met = min(self._met + 1, 20 * MOST_HEADS)
        if len(self._heads) < MOST_HEADS:
            self._heads.append(head)
        elif (place := self._random.randrange(self._met)) < MOST_HEADS:
            self._heads[place] = head


def _name(authority: str) -> str:
    """Take the port off."""
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdecimal() else authority).lower()
