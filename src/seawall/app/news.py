"""News: what happened, one short event each, for whoever watches a terminal.

Bookkeeping over deliveries and reports of edges: which problems are new, which are solved, what has become live.
Next room: `cli.up` prints them.
"""

import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from seawall.app.deliver import Delivered
from seawall.app.problems import ProblemBook, object_text
from seawall.fleet.wire import Applied, Heartbeat, Up
from seawall.gateway.graph import ObjectKey
from seawall.gateway.status import Status

Json = dict[str, Any]
_MOST_NAMES = 3
_MOST_VERSIONS = 1000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened. `problem` as in `app.problems`, for the kinds `problem` and `solved`."""

    kind: Literal["problem", "solved", "live", "edge"]
    text: str
    problem: Json | None = None
    took: float = 0.0


class News:
    """Turns what the control plane does into events."""

    def __init__(self, problems: ProblemBook, tell: Callable[[Event], None]) -> None:
        self._problems = problems
        self._tell = tell
        self._known: dict[ObjectKey, dict[str, Json]] = {}
        self._published: dict[str, tuple[float, tuple[ObjectKey, ...]]] = {}
        self._has_applied = False
        self._edges: dict[str, str] = {}

    def delivered(self, delivered: Delivered, statuses: Callable[[ObjectKey], Status | None]) -> None:
        """Tell what a step found out."""
        changes: dict[ObjectKey, list[Json]] = {ObjectKey(""): self._problems.in_files()}
        for key in delivered.graph.statuses:
            status = statuses(key)
            changes[key] = self._problems.of(status) if status is not None else []
        for key, found in changes.items():
            self._compare(key, found)
        if delivered.is_published:
            self._published[delivered.version] = (time.monotonic(), (*delivered.put, *delivered.removed))
            while len(self._published) > _MOST_VERSIONS:
                del self._published[next(iter(self._published))]

    def reported(self, edge: str, message: Up) -> None:
        """Tell what an edge says."""
        if isinstance(message, Applied):
            self._applied(edge, message.version)
        elif isinstance(message, Heartbeat):
            said = f"{message.envoy}: {message.fallback}" if message.fallback else message.envoy
            before = self._edges.get(edge)
            if before is None and said != "live":
                # It has not been up yet; that it comes up is no news.
                return
            self._edges[edge] = said
            if before not in (None, said):
                self._tell(Event(kind="edge", text=f"{edge}: Envoy is {said}"))

    def _compare(self, key: ObjectKey, found: list[Json]) -> None:
        before = self._known.pop(key, {})
        # The line may move without anything being new.
        now = {f"{one['object']} {one['path']} {one['message']}": one for one in found}
        if now:
            self._known[key] = now
        for name, problem in now.items():
            if name not in before:
                self._tell(Event(kind="problem", text=problem["message"], problem=problem))
        for name, problem in before.items():
            if name not in now:
                self._tell(Event(kind="solved", text=problem["message"], problem=problem))

    def _applied(self, edge: str, version: str) -> None:
        if version not in self._published:
            return
        published_at, objects = self._published.pop(version)
        # Versions that were merged into this one on their way became live with it.
        for older in list(self._published):
            if self._published[older][0] < published_at:
                objects = (*self._published.pop(older)[1], *objects)
        is_first, self._has_applied = not self._has_applied, True
        if objects and not is_first:
            took = time.monotonic() - published_at
            self._tell(Event(kind="live", text=_names(tuple(dict.fromkeys(objects))), took=took))


def _names(objects: tuple[ObjectKey, ...]) -> str:
    shown = ", ".join(object_text(key) for key in objects[:_MOST_NAMES])
    more = len(objects) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
