"""News: what happened, one short event each, for whoever watches a terminal.

Bookkeeping over deliveries and reports of edges: which problems are new, which are solved, what has become live.
Next room: `cli.up` prints them.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from seawall.app.deliver import Delivered
from seawall.app.problems import ProblemBook, object_text
from seawall.fleet.wire import Applied, Heartbeat, Up
from seawall.gateway.graph import ObjectKey
from seawall.gateway.status import Status

Json = dict[str, Any]
_MOST_NAMES = 3
_MOST_TOLD = 20
"""So many new problems of one step are told, and solved ones likewise; of the rest only how many. A person reads no more,
and to find the place of each costs a look into its file."""
_MOST_VERSIONS = 1000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened. `problem` as in `app.problems`, for the kinds `problem` and `solved`."""

    kind: Literal["problem", "solved", "more", "live", "edge", "rollout"]
    text: str
    problem: Json | None = None
    took: float = 0.0


class News:
    """Turns what the control plane does into events."""

    def __init__(self, problems: ProblemBook, tell: Callable[[Event], None]) -> None:
        self._problems = problems
        self._tell = tell
        self._known: dict[ObjectKey, dict[str, Json | None]] = {}
        """Problems by name; with what was told of them, if it was."""
        self._published: dict[str, tuple[float, tuple[ObjectKey, ...]]] = {}
        self._has_applied = False
        self._edges: dict[str, str] = {}

    def delivered(self, delivered: Delivered, statuses: Callable[[ObjectKey], Status | None]) -> None:
        """Tell what a step found out."""
        new: list[tuple[ObjectKey, str, Callable[[], Json]]] = []
        solved: list[Json] = []
        self._compare(
            ObjectKey(""), {_name(one): partial(_itself, one) for one in self._problems.in_files()}, new, solved
        )
        for key in sorted(delivered.graph.statuses):
            status = statuses(key)
            found = status.problems if status is not None else ()
            known = {
                f"{object_text(one.object)} {one.path} {one.message}": partial(self._problems.one, key, one)
                for one in found
            }
            self._compare(key, known, new, solved)
        self._tell_new(new)
        for problem in solved[:_MOST_TOLD]:
            self._tell(Event(kind="solved", text=problem["message"], problem=problem))
        if len(solved) > _MOST_TOLD:
            self._tell(Event(kind="more", text=f"{len(solved) - _MOST_TOLD} more problems are solved"))
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

    def _compare(
        self,
        key: ObjectKey,
        now: Mapping[str, Callable[[], Json]],
        new: list[tuple[ObjectKey, str, Callable[[], Json]]],
        solved: list[Json],
    ) -> None:
        """Note what is new and what is solved. By name: the line may move without anything being new."""
        before = self._known.pop(key, {})
        solved += [problem for name, problem in before.items() if name not in now and problem is not None]
        new += [(key, name, show) for name, show in now.items() if name not in before]
        if now:
            self._known[key] = {name: before.get(name) for name in now}

    def _tell_new(self, new: list[tuple[ObjectKey, str, Callable[[], Json]]]) -> None:
        for key, name, show in new[:_MOST_TOLD]:
            problem = show()
            self._known[key][name] = problem
            self._tell(Event(kind="problem", text=problem["message"], problem=problem))
        if len(new) > _MOST_TOLD:
            text = f"{len(new) - _MOST_TOLD} more problems: `seawall status` and `seawall check` show all"
            self._tell(Event(kind="more", text=text))

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


def _name(problem: Json) -> str:
    return f"{problem['object']} {problem['path']} {problem['message']}"


def _itself(problem: Json) -> Json:
    return problem


def _names(objects: tuple[ObjectKey, ...]) -> str:
    shown = ", ".join(object_text(key) for key in objects[:_MOST_NAMES])
    more = len(objects) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
