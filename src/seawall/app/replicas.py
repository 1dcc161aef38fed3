"""Replicas: several control planes on one history. One leads and decides; any serves edges.

    follower ─hear─▶ history ─heard─▶ leader          what its edges say
    follower ◀─told─ history ◀─tell── leader          what they are told, signed
    follower ─ask──▶ history ─asked─▶ leader          what people say

A follower reads the log as the leader writes it, so it can take over at once: the advisory lock of the dead is free within
a second or so, and the epoch of the new one fences off whatever the old one might still try.
"""

from collections.abc import Callable

import msgspec
import structlog

from seawall.app.scribe import Scribe
from seawall.fleet.bundle import Signed
from seawall.fleet.wire import Heartbeat, Hello, Tally, Up
from seawall.kit.units import Instant
from seawall.rollout.events import Commanded

log = structlog.get_logger(__name__)

_STALE = 5.0
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Up] = msgspec.msgpack.Decoder(Up).decode
_MOST_WAITING = 20_000


class Replicas:
    """One control plane's side of the exchange."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._outbox: dict[tuple[str, str], tuple[Instant, bytes]] = {}
        self._known: dict[tuple[str, str], tuple[Instant, Up]] = {}
        """What edges of ours said while we led: whoever leads after us has not heard it, and edges greet only once."""
        self._heard = 0
        self._told = 0
        self._taken: set[int] = set()

    def say(self, edge: str, message: Up, at: Instant) -> None:
        """Keep what an edge of ours said for whoever leads; the last of each kind counts."""
        if len(self._outbox) < _MOST_WAITING:
            self._outbox[edge, str(type(message).__struct_config__.tag)] = (at, _encode(message))

    def know(self, edge: str, message: Up, at: Instant) -> None:
        """We lead, and an edge of ours says this. Tallies come again by themselves."""
        if not isinstance(message, Tally) and len(self._known) < _MOST_WAITING:
            self._known[edge, str(type(message).__struct_config__.tag)] = (at, message)

    def step_down(self) -> None:
        """Somebody else leads now: tell it what we know of our edges."""
        for (edge, _), (at, message) in self._known.items():
            self.say(edge, message, at)
        self._known.clear()

    async def send(self) -> None:
        """Write what edges of ours said. Raises UnavailableError; then it is kept."""
        if not self._outbox:
            return
        sending, self._outbox = self._outbox, {}
        batch = [(edge, kind, at, body) for (edge, kind), (at, body) in sending.items()]
        try:
            await self._scribe.call(lambda history: history.hear(batch))
        except BaseException:
            self._outbox = {**sending, **self._outbox}
            raise

    async def hear(self, since: Instant) -> list[tuple[str, Up, Instant]]:
        """Read what edges of others said. Reports from before `since` were taken in by the leader before us."""
        after = self._heard
        news: list[tuple[str, Up, Instant]] = []
        for one in await self._scribe.call(lambda history: history.heard(after)):
            self._heard = max(self._heard, one.revision)
            try:
                message = _decode(one.body)
            except (msgspec.DecodeError, msgspec.ValidationError):
                log.warning("report_unreadable", edge=one.edge, kind=one.kind)
                continue
            if isinstance(message, Hello | Heartbeat | Tally) or one.at >= since - _STALE:
                news.append((one.edge, message, one.at))
        # Whoever has not greeted is not known: greetings first, then by time.
        return sorted(news, key=lambda each: (not isinstance(each[1], Hello), each[2]))

    async def orders(self) -> list[Signed]:
        """Read what edges have been told since the last call."""
        after = self._told
        found = await self._scribe.call(lambda history: history.told(after))
        self._told = max([self._told, *(one.revision for one in found)])
        return [one.assignment for one in found]

    async def asked(self) -> list[Commanded]:
        """Take what people said to others. It counts as answered once what it led to is written down."""
        epoch = self._scribe.epoch
        found = await self._scribe.call(lambda history: history.asked(epoch, keep=True))
        fresh = [one for one in found if one.number not in self._taken]
        self._taken = {one.number for one in found}
        self._scribe.answer(one.number for one in fresh)
        return [msgspec.json.decode(one.body, type=Commanded) for one in fresh]

    async def ask(self, command: Commanded) -> None:
        """Hand a command to the leader."""
        await self._scribe.call(lambda history: history.ask(command.at, msgspec.json.encode(command)))

    def begin(self) -> None:
        """Read everything anew: we lead now. What we took up when we led before and did not answer is open again."""
        self._heard = 0
        self._taken = set()
