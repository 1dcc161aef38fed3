"""Limits: how much of the control plane one edge, or one host, may have.

Our own API must not be what goes down when edges misbehave: one that greets in a loop, one that talks without end, a host
that opens streams until nobody else gets one. Operators come another way, the control socket, and wait for none of this.
Who is refused is told so in a sentence; `Callers.counts` says how often that was.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds
from seawall.server.admission import Admission


class EdgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What edges may ask of one control plane.

    Args:
        max_streams: open at a time, of all.
        max_streams_per_peer: from one address; behind one address may be a whole site.
        admission_rate: new streams a second, after a short burst; who would wait longer than `admission_wait` is refused.
        greetings: an edge may come back so often at once, and then once in `greeting_interval`.
        messages: an edge may say so much at once, and then `message_rate` a second; what comes faster is read later.
        message_bytes: the largest message of an edge.
    """

    max_streams: int = 10_000
    max_streams_per_peer: int = 4_000
    admission_rate: float = 1_000.0
    admission_wait: Seconds = Seconds(10.0)
    greetings: int = 20
    greeting_interval: Seconds = Seconds(2.0)
    messages: int = 200
    message_rate: float = 20.0
    message_bytes: int = 8 << 20


class Bucket:
    """Tokens that come back with time."""

    def __init__(self, burst: float, rate: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self) -> Seconds:
        """Take one; return how long to wait until it is there. One that is waited for counts as taken."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        return Seconds(max(0.0, -self._tokens / self._rate))

    def give_back(self) -> None:
        self._tokens += 1


class Callers:
    """Who calls, and how often."""

    def __init__(self, limits: EdgeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        """`refused_streams`, `refused_greetings`, `slowed_messages`."""
        self._clock = clock
        self._admission = Admission(
            most=limits.max_streams, rate=limits.admission_rate, longest_wait=limits.admission_wait
        )
        self._peers: Counter[str] = Counter()
        self._greetings: OrderedDict[str, Bucket] = OrderedDict()

    @contextmanager
    def stream(self, peer: str) -> Iterator[Seconds]:
        """Count a stream while it is open; yields how long it must wait for its turn. Raises UnavailableError."""
        host = _host(peer)
        try:
            if self._peers[host] >= self.limits.max_streams_per_peer:
                raise UnavailableError(
                    f"{host} has {self.limits.max_streams_per_peer} streams open, which is as many as one address may."
                )
            with self._admission.stream() as turn:
                self._peers[host] += 1
                try:
                    yield turn
                finally:
                    self._peers[host] -= 1
        except UnavailableError:
            self.counts["refused_streams"] += 1
            raise
        finally:
            if not self._peers[host]:
                del self._peers[host]

    def greeted(self, edge: str) -> None:
        """Count a greeting. Raises UnavailableError where there were too many."""
        bucket = self._greetings.pop(edge, None)
        if bucket is None:
            bucket = Bucket(self.limits.greetings, 1 / self.limits.greeting_interval, self._clock)
        self._greetings[edge] = bucket
        while len(self._greetings) > self.limits.max_streams:
            self._greetings.popitem(last=False)
        wait = bucket.take()
        if wait:
            bucket.give_back()
            self.counts["refused_greetings"] += 1
            raise UnavailableError(
                f"edge {edge} comes back too often; the next turn is in {wait:.1f} s. Does another host use its name?"
            )

    def messages(self) -> Bucket:
        """Return what counts the messages of one stream."""
        return Bucket(self.limits.messages, self.limits.message_rate, self._clock)


def _host(peer: str) -> str:
    """Take the port from gRPC's name of a peer: `ipv4:192.0.2.7:5555`, `ipv6:%5B::1%5D:5555`, `unix:`."""
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
