"""Barriers and retirements: who waits for whom before it may be made, and who before it may be broken.

Pure. Both are per resource, never global: a route whose clusters are acknowledged goes at once, whatever else is stuck.
Next room: `xds.stream`.
"""

from collections import deque
from itertools import islice

import msgspec

from seawall.kit.units import Instant, Seconds
from seawall.xds.resource import Ref, TypeUrl


class _Barrier(msgspec.Struct, kw_only=True):
    """One resource that others wait for, since when, and whether it took too long."""

    since: Instant
    is_stuck: bool
    dependents: dict[Ref, None]


class Barriers:
    """Resources held back until the one that they refer to is acknowledged."""

    def __init__(self, limit: Seconds) -> None:
        self._limit = limit
        self._barriers: dict[Ref, _Barrier] = {}
        self._target_of: dict[Ref, Ref] = {}
        self._deadlines: deque[tuple[Instant, Ref]] = deque()

    def __len__(self) -> int:
        return len(self._barriers)

    def dependents(self, target: Ref) -> tuple[Ref, ...]:
        """Return what waits for `target`."""
        barrier = self._barriers.get(target)
        return tuple(barrier.dependents) if barrier else ()

    def hold(self, dependent: Ref, target: Ref, at: Instant, *, is_stuck: bool) -> None:
        """Let `dependent` wait for `target`; one known to be stuck has no time limit any more."""
        self.release(dependent)
        barrier = self._barriers.get(target)
        if barrier is None:
            barrier = self._barriers[target] = _Barrier(since=at, is_stuck=is_stuck, dependents={})
            if not is_stuck:
                self._deadlines.append((Instant(at + self._limit), target))
        barrier.is_stuck |= is_stuck
        barrier.dependents[dependent] = None
        self._target_of[dependent] = target

    def release(self, dependent: Ref) -> None:
        """Let `dependent` wait no more."""
        target = self._target_of.pop(dependent, None)
        if target is None:
            return
        barrier = self._barriers[target]
        del barrier.dependents[dependent]
        if not barrier.dependents:
            del self._barriers[target]

    def open(self, target: Ref) -> tuple[Ref, ...]:
        """Let nobody wait for `target` any more; return who did."""
        barrier = self._barriers.pop(target, None)
        if barrier is None:
            return ()
        for dependent in barrier.dependents:
            del self._target_of[dependent]
        return tuple(barrier.dependents)

    def is_waiting(self, dependent: Ref) -> bool:
        return dependent in self._target_of

    def is_in_time(self, dependent: Ref) -> bool:
        """Say whether `dependent` waits for something that may still come soon."""
        target = self._target_of.get(dependent)
        return target is not None and not self._barriers[target].is_stuck

    def targets(self, type_url: TypeUrl) -> list[Ref]:
        return [target for target in self._barriers if target.type_url == type_url]

    def mark_stuck(self, target: Ref) -> None:
        barrier = self._barriers.get(target)
        if barrier is not None:
            barrier.is_stuck = True

    def expire(self, at: Instant) -> list[Ref]:
        """Return the targets that took too long by now, each once."""
        stuck: list[Ref] = []
        while (head := self.wake_at()) is not None and head <= at:
            target = self._deadlines.popleft()[1]
            self._barriers[target].is_stuck = True
            stuck.append(target)
        return stuck

    def wake_at(self) -> Instant | None:
        # Limits are equal, so deadlines come in order; those of barriers that opened meanwhile are skipped.
        while self._deadlines and not self._is_live(*self._deadlines[0]):
            self._deadlines.popleft()
        return self._deadlines[0][0] if self._deadlines else None

    def _is_live(self, deadline: Instant, target: Ref) -> bool:
        barrier = self._barriers.get(target)
        return barrier is not None and not barrier.is_stuck and barrier.since + self._limit == deadline


class Retirements:
    """Resources that left the snapshot but not yet the client: in use there, or used a moment ago."""

    def __init__(self, grace: Seconds) -> None:
        self._grace = grace
        self._due: dict[Ref, Instant | None] = {}
        self._queue: deque[tuple[Instant, Ref]] = deque()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._due

    def begin(self, ref: Ref) -> None:
        """Note that `ref` must go as soon as nothing at the client refers to it."""
        self._due[ref] = None

    def cancel(self, ref: Ref) -> None:
        """`ref` is wanted again, or gone."""
        self._due.pop(ref, None)

    def schedule(self, ref: Ref, at: Instant) -> None:
        """Nothing refers to `ref` since now: let the requests that are under way finish."""
        if ref in self._due and self._due[ref] is None:
            due = Instant(at + self._grace)
            self._due[ref] = due
            self._queue.append((due, ref))

    def unscheduled(self) -> list[Ref]:
        return [ref for ref, due in self._due.items() if due is None]

    def expire(self, at: Instant) -> list[Ref]:
        """Return what may go by now; it stays noted until `cancel`."""
        expired: list[Ref] = []
        while (head := self.wake_at()) is not None and head <= at:
            expired.append(self._queue.popleft()[1])
        return expired

    def wake_at(self) -> Instant | None:
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            self._queue.popleft()
        return self._queue[0][0] if self._queue else None

    def refs(self, most: int) -> tuple[Ref, ...]:
        """List the first of them."""
        return tuple(islice(self._due, most))
