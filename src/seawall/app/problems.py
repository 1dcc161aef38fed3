"""Problems with their places: what `check`, `status` and the console show.

Brings together what the source found (a file that is no YAML, a field of the wrong type) and what the resolver found (a
reference that leads nowhere). Next rooms: `app.instance`, `app.offline`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seawall.gateway.graph import ObjectKey
from seawall.gateway.status import Problem, Status
from seawall.kit.place import Place
from seawall.source.change import SourceProblem

Json = dict[str, Any]
PlaceOf = Callable[[ObjectKey, str], Place | None]
"""Says where a path inside an object was written."""
FileOf = Callable[[ObjectKey], str | None]
"""Says in which file an object was written: to look into each file once, however many problems it has."""


class ProblemBook:
    """All problems that there are now."""

    def __init__(self, place_of: PlaceOf, file_of: FileOf = lambda key: None) -> None:
        self.place_of = place_of
        self.file_of = file_of
        self._files: dict[str, tuple[SourceProblem, ...]] = {}

    def note_files(self, problems: Mapping[str, tuple[SourceProblem, ...]]) -> None:
        """Take in what the source says of files; no problems: the file is well again."""
        for file, found in problems.items():
            self._files.pop(file, None)
            if found:
                self._files[file] = found

    def in_files(self) -> list[Json]:
        """What the source found: these objects are not in force as they stand in the file."""
        return [_json(one.problem, one.place) for file in sorted(self._files) for one in self._files[file]]

    def one(self, key: ObjectKey, problem: Problem) -> Json:
        """Show one problem of an object, with its place."""
        return _json(problem, self.place_of(key, problem.path))

    def of(self, statuses: Iterable[Status]) -> dict[ObjectKey, list[Json]]:
        """What the resolver found, by object; an object without problems is left out."""
        troubled = sorted(
            (status for status in statuses if status.problems),
            key=lambda status: (self.file_of(status.object) or "", status.object),
        )
        return {status.object: [self.one(status.object, one) for one in status.problems] for status in troubled}

    def everything(self, statuses: Iterable[Status]) -> list[Json]:
        """All of it, by file and line."""
        found = [*self.in_files(), *(one for problems in self.of(statuses).values() for one in problems)]
        return sorted(found, key=lambda one: (one["file"], one["line"], one["column"], one["message"]))


def place_text(place_of: PlaceOf) -> Callable[[ObjectKey, str], str]:
    """Make what `gateway.explain` wants: the place as text."""

    def text(key: ObjectKey, path: str) -> str:
        place = place_of(key, path)
        return str(place) if place is not None else ""

    return text


def object_text(key: ObjectKey) -> str:
    """Name an object for people: `HTTPRoute shop/api`."""
    if not key:
        return ""
    kind, namespace, name = key.split("/", 2)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _json(problem: Problem, place: Place | None) -> Json:
    return {
        "object": object_text(problem.object),
        "path": problem.path,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
        "place": str(place) if place is not None else "",
        "file": place.file if place is not None else "",
        "line": place.line if place is not None else 0,
        "column": place.column if place is not None else 0,
    }
