"""Change: what a source has to say, at its start and after every change of what it reads.

Pure records. Next room: `gateway.resolve`.
"""

from collections.abc import Mapping

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.status import Problem
from seawall.kit.place import Place


class SourceProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem, and where it was written. `problem.object` is empty if it is about a file as a whole."""

    problem: Problem
    place: Place


class SourceChange(msgspec.Struct, frozen=True, kw_only=True):
    """Put these objects, remove those. `problems` holds, for each file whose problems changed, all it has now."""

    put: tuple[Object, ...] = ()
    remove: tuple[ObjectKey, ...] = ()
    problems: Mapping[str, tuple[SourceProblem, ...]] = {}

    @property
    def is_empty(self) -> bool:
        return not self.put and not self.remove and not self.problems
