"""Holding: the verdicts that an edge has been told, whole and in step with whoever tells it.

Pure: time arrives with each question. An edge may miss a message and hear one twice: numbers count up, and a hole is seen.
Verdicts are split for the data plane into the many that stay and the few that are new: see `envoy.verdicts`.
Next room: `agent.enforcer` has one.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from seawall.fleet.verdicts import MOST, Entry
from seawall.fleet.wire import Verdicts
from seawall.kit.units import Instant

MOST_FRESH = 256
"""So many new verdicts are put beside the lasting ones before they become lasting."""
UNKNOWN = -1
_SWEEP = 30.0
"""Verdicts that have ended do nothing; every so many seconds they are taken out, too."""
Step = Literal["taken", "old", "hole"]


class Holding:
    """What is held. `is_stale` names the slots whose content has changed since they were last taken."""

    def __init__(self) -> None:
        self.number = UNKNOWN
        self.refused: dict[str, str] = {}
        self._lasting: dict[str, Entry] = {}
        self._fresh: dict[str, Entry] = {}
        self._stale: set[str] = set()
        self._swept_at = Instant(0.0)

    def __len__(self) -> int:
        return len(self._lasting) + sum(1 for name in self._fresh if name not in self._lasting)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple((self._lasting | self._fresh).values())

    def load(self, entries: Iterable[Entry], now: Instant) -> None:
        """Begin with what an earlier agent has kept; whoever tells us is asked for all of it."""
        kept = {one.id: one for one in entries if one.expires > now}
        if len(kept) <= MOST:
            self._replace(kept)

    def take(self, message: Verdicts, now: Instant) -> Step:
        """Change what is held. What does not fit is refused, and the rest stays as it was."""
        if message.whole:
            return self._take_whole(message, now)
        if self.number != UNKNOWN and message.number <= self.number:
            return "old"
        if self.number == UNKNOWN or message.number != self.number + 1:
            self.number = UNKNOWN
            return "hole"
        self.number = message.number
        for name in message.gone:
            self._remove(name)
        for entry in message.put:
            self._put(entry, now)
        if len(self._fresh) > MOST_FRESH:
            self._settle()
        return "taken"

    def changed(self, now: Instant) -> dict[str, tuple[Entry, ...]]:
        """Return the content of each slot that has changed, once; what has ended is not in it."""
        self._sweep(now)
        slots = {"lasting": self._lasting, "fresh": self._fresh}
        changed = {slot: tuple(slots[slot].values()) for slot in sorted(self._stale)}
        self._stale.clear()
        return changed

    def stale_again(self, slots: Iterable[str]) -> None:
        """Return slots once more: nobody has taken them in."""
        self._stale |= set(slots)

    def _take_whole(self, message: Verdicts, now: Instant) -> Step:
        self.number = message.number
        entries = {one.id: one for one in message.put if one.expires > now}
        if len(message.put) > MOST:
            self.refused = {"": f"{len(message.put)} verdicts are too many, {MOST} fit: those before stay in force."}
            return "taken"
        self.refused = {}
        if entries != self._lasting | self._fresh:
            self._replace(entries)
        return "taken"

    def _replace(self, entries: dict[str, Entry]) -> None:
        few = len(entries) <= MOST_FRESH
        self._lasting, self._fresh = ({}, entries) if few else (entries, {})
        self._stale |= {"lasting", "fresh"}

    def _put(self, entry: Entry, now: Instant) -> None:
        old = self._fresh.get(entry.id) or self._lasting.get(entry.id)
        if old is not None and old.generation > entry.generation:
            return
        if entry.expires <= now:
            self._remove(entry.id)
            return
        if old is None and len(self) >= MOST:
            self.refused[entry.id] = f"There are {MOST} verdicts already, which is all that fit."
            return
        self.refused.pop(entry.id, None)
        lasting = self._lasting.get(entry.id)
        if lasting is not None and not _is_prolonged(lasting, entry):
            # Both would be looked at, and the older one may do more than is wanted now.
            del self._lasting[entry.id]
            self._stale.add("lasting")
        self._fresh[entry.id] = entry
        self._stale.add("fresh")

    def _remove(self, name: str) -> None:
        self.refused.pop(name, None)
        if self._fresh.pop(name, None) is not None:
            self._stale.add("fresh")
        if self._lasting.pop(name, None) is not None:
            self._stale.add("lasting")

    def _settle(self) -> None:
        self._lasting |= self._fresh
        self._fresh = {}
        self._stale |= {"lasting", "fresh"}

    def _sweep(self, now: Instant) -> None:
        if not self._stale and now - self._swept_at < _SWEEP:
            return
        self._swept_at = now
        for slot, entries in (("lasting", self._lasting), ("fresh", self._fresh)):
            ended = [name for name, one in entries.items() if one.expires <= now]
            for name in ended:
                del entries[name]
            # The many are made anew for that only when there is enough to gain.
            if ended and (slot == "fresh" or len(ended) * 20 > len(entries)):
                self._stale.add(slot)


def _is_prolonged(old: Entry, new: Entry) -> bool:
    """Say whether a verdict only holds for longer than before."""
    same = msgspec.structs.replace(new, expires=old.expires, generation=old.generation)
    return same == old and new.expires >= old.expires
