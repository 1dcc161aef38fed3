"""Ledger: what the rollout machine heard and said, as the history keeps it; and how to come back to its state from there.

    state ─ event ─ event ─ action ─ event ─ …        `kind` of an entry; `stream` is the rollout, or `perimeter`

A `state` stands before each staged proposal: whoever handles the events behind it once more comes to the same actions
(`replay`). A `state` that the store keeps apart saves a start from reading everything.
"""

import zlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec
import structlog

from seawall.app.scribe import Scribe
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Action, Answer, Assign, Decide, Event, Finish, Proposed
from seawall.store.history import Entry, FencedError

log = structlog.get_logger(__name__)

STREAM = "perimeter"
"""Events that belong to no rollout are kept under this name."""
_PAGE = 5000
_KEPT_ACTIONS = (Assign, Decide, Finish, Answer)
_T = TypeVar("_T")
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_action: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What handling a rollout's events once more has led to."""

    events: int
    is_same: bool
    decisions: tuple[tuple[Instant, Decide], ...]
    difference: str = ""


class Ledger:
    """Writes for one control plane, and reads for any. `number` is the last entry that `conductor` has taken in."""

    def __init__(self, scribe: Scribe, *, is_shared: bool) -> None:
        self.scribe = scribe
        self.is_shared = is_shared
        self.number = 0
        self._is_stale = False

    def event(self, event: Event, conductor: Conductor) -> None:
        """Note an event that is about to be handled."""
        stream = getattr(event, "rollout", "") or conductor.under_way or STREAM
        if isinstance(event, Proposed) and conductor.is_staged:
            self.scribe.note(stream, event.at, "state", zlib.compress(conductor.state(), 1))
        self.scribe.note(stream, event.at, "event", msgspec.json.encode(event))

    def action(self, action: Action, at: Instant) -> None:
        """Note what it led to, as far as people or a replay want to know."""
        if isinstance(action, _KEPT_ACTIONS):
            self.scribe.note(action.rollout or STREAM, at, "action", msgspec.json.encode(action))
        self._is_stale = self._is_stale or isinstance(action, Finish)

    async def flush(self, conductor: Conductor) -> bool:
        """Write everything; say whether it is written. Raises FencedError."""
        if not await self.scribe.flush():
            return False
        if self._is_stale:
            self._is_stale, state = False, conductor.state()
            try:
                number, epoch = self.scribe.number, self.scribe.epoch
                await self.scribe.call(lambda history: history.save_state(epoch, number, state))
            except FencedError:
                raise
            except UnavailableError:
                self._is_stale = True
        return True

    async def restore(self) -> Conductor:
        """Come back to the state that the history knows. Raises UnavailableError."""
        found = await self.scribe.call(lambda history: history.state())
        conductor = Conductor()
        self.number = 0
        if found is not None:
            self.number = found[0]
            try:
                conductor = Conductor.restore(found[1])
            except msgspec.DecodeError as exc:
                log.error("rollout_state_unreadable", reason=str(exc))
                self.number = 0
        await self.follow(conductor)
        return conductor

    async def follow(self, conductor: Conductor) -> None:
        """Take in the events that somebody else has written since. Raises UnavailableError."""
        while True:
            after = self.number
            entries = await self.scribe.call(lambda history: history.log(after=after, limit=_PAGE))  # noqa: B023
            for entry in entries:
                self.number = entry.number
                if entry.kind == "event" and (event := _read(_event, entry)) is not None:
                    conductor.handle(event)
            if len(entries) < _PAGE:
                return

    async def entries(self, rollout: str) -> tuple[Entry, ...]:
        """Return all that is kept of a rollout. Raises UnavailableError."""
        return await self.scribe.call(lambda history: history.log(stream=rollout, limit=100_000))

    async def replay(self, rollout: str) -> Replay | None:
        """Handle a rollout's events once more; None if the history has not kept them. Raises UnavailableError."""
        own = await self.entries(rollout)
        first = next((entry for entry in own if entry.kind == "state"), None)
        if first is None:
            return None
        last = own[-1].number
        between = await self.scribe.call(lambda history: history.log(after=first.number - 1, limit=200_000))
        return replay([entry for entry in between if entry.number <= last], rollout)


def replay(entries: Iterable[Entry], rollout: str) -> Replay:
    """Handle the events behind the first state once more, and compare what was said of a rollout then and now."""
    conductor: Conductor | None = None
    then: list[tuple[Instant, Decide]] = []
    now: list[tuple[Instant, Decide]] = []
    count = 0
    for entry in entries:
        if entry.kind == "state" and conductor is None:
            try:
                conductor = Conductor.restore(zlib.decompress(entry.body))
            except (zlib.error, msgspec.DecodeError) as exc:
                why = f"the state before it cannot be read by this release: {exc}"
                return Replay(events=0, is_same=False, decisions=(), difference=why)
        elif entry.kind == "event" and conductor is not None and (event := _read(_event, entry)) is not None:
            count += 1
            said = conductor.handle(event)
            now += [(event.at, one) for one in said if isinstance(one, Decide) and one.rollout == rollout]
        elif entry.kind == "action":
            one = _read(_action, entry)
            if isinstance(one, Decide) and one.rollout == rollout:
                then.append((entry.at, one))
    pairs = zip(then, now, strict=False)
    other = next(
        (f"{a[1].decision} ({a[1].reason}), now {b[1].decision} ({b[1].reason})" for a, b in pairs if a != b), ""
    )
    if not other and len(then) != len(now):
        other = f"{len(then)} decisions were written, {len(now)} are made now"
    return Replay(events=count, is_same=not other, decisions=tuple(then), difference=other)


def _read(decoder: "msgspec.json.Decoder[_T]", entry: Entry) -> _T | None:
    """Decode an entry; one that another release wrote otherwise is left out, and said."""
    try:
        return decoder.decode(entry.body)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        log.error("history_entry_unreadable", number=entry.number, reason=str(exc))
        return None
