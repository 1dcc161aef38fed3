"""Undo: what objects were before the changes that have not proved themselves yet.

Pure bookkeeping. When a rollout is rolled back, the newest suspects are held at what they were, so that everybody else's
changes can go on. An object that is held back is let go as soon as somebody writes it anew.

    step(v1: a) ─ step(v2: b, c) ─ step(v3: a)      settled(v2): only v3's change of `a` can still be undone
"""

from collections.abc import Iterable, Mapping

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object

_MOST_STEPS = 1000


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is not in force as it stands: `instead` is in force, None for nothing."""

    refused: Object | None
    instead: Object | None
    reason: str


class Undo:
    """The unproven steps, oldest first, and what is held back."""

    def __init__(self) -> None:
        self.held: dict[ObjectKey, Held] = {}
        self._steps: list[tuple[str, dict[ObjectKey, Object | None]]] = []

    def step(self, version: str, before: Mapping[ObjectKey, Object | None]) -> None:
        """A step has led to `version`; `before` is what each changed object was."""
        if not before:
            return
        self._steps.append((version, dict(before)))
        if len(self._steps) > _MOST_STEPS:
            # What was before both is what was before the first.
            (_, first), (version, second) = self._steps[:2]
            self._steps[:2] = [(version, {**second, **first})]

    def settled(self, version: str) -> None:
        """The state at `version` is the base now: it cannot be undone any more."""
        for index in range(len(self._steps) - 1, -1, -1):
            if self._steps[index][0] == version:
                del self._steps[: index + 1]
                return

    def before(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Object | None]:
        """Return what these objects were at the base; those that have not changed since are left out."""
        wanted = set(keys)
        found: dict[ObjectKey, Object | None] = {}
        for _, step in self._steps:
            for key in wanted & step.keys():
                found.setdefault(key, step[key])
        return found

    def newest(self, keys: Iterable[ObjectKey]) -> frozenset[ObjectKey]:
        """Return those of these objects that the newest step changed that changed any."""
        wanted = set(keys)
        return next(
            (found for _, step in reversed(self._steps) if (found := frozenset(wanted & step.keys()))), frozenset()
        )

    def hold(self, key: ObjectKey, refused: Object | None, instead: Object | None, reason: str) -> None:
        self.held[key] = Held(refused=refused, instead=instead, reason=reason)

    def written(self, key: ObjectKey, obj: Object | None) -> Object | None:
        """Somebody wrote an object (None: removed it); return what is in force: itself, unless it is what is held back."""
        held = self.held.get(key)
        if held is None:
            return obj
        if _same(held.refused, obj):
            return held.instead
        del self.held[key]
        return obj

    def release(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Object | None]:
        """Let go of what is held back; return what should be in force instead."""
        return {key: self.held.pop(key).refused for key in tuple(keys) if key in self.held}


def _same(one: Object | None, two: Object | None) -> bool:
    if one is None or two is None:
        return one is two
    return one.spec == two.spec and one.meta.labels == two.meta.labels and one.meta.annotations == two.meta.annotations
