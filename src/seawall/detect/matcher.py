"""Matcher: which verdict a request falls under, for ten thousand verdicts at once.

Pure. Scopes are sorted by the fields they name; there are few such sets of fields, and each is one table to look a request up in.
Allows come first, a person's deny before them, then the highest rung: as in the data plane.
"""

from collections.abc import Iterable, Sequence

from seawall.detect.columns import Rows
from seawall.detect.scope import Scope
from seawall.detect.verdict import Verdict

Key = tuple[str, ...]


class Matcher:
    """A set of scopes with a name each; of several that hold a request, the first in rank wins."""

    def __init__(self, ranked: Iterable[tuple[str, Scope]]) -> None:
        self._tables: dict[Key, dict[Key, tuple[int, str]]] = {}
        self._networks: list[tuple[int, str, Scope]] = []
        for rank, (name, one) in enumerate(ranked):
            if any("/" in match.value and match.field == "address" for match in one.match):
                self._networks.append((rank, name, one))
                continue
            fields = tuple(match.field for match in one.match)
            values = tuple(match.value for match in one.match)
            if one.route:
                fields, values = (*fields, "route"), (*values, one.route)
            self._tables.setdefault(fields, {}).setdefault(values, (rank, name))

    def __bool__(self) -> bool:
        return bool(self._tables or self._networks)

    def look_up(self, rows: Rows) -> list[str]:
        """Name for each request what it falls under; empty: nothing."""
        best: list[tuple[int, str] | None] = [None] * len(rows)
        for fields, table in self._tables.items():
            if not fields:
                keys: Iterable[Key] = [()] * len(rows)
            else:
                keys = zip(*(rows.column(field) for field in fields), strict=True)
            for index, found in enumerate(map(table.get, keys)):
                if found is not None:
                    best[index] = _first(best[index], found)
        if self._networks:
            self._by_network(rows, best)
        return [found[1] if found is not None else "" for found in best]

    def _by_network(self, rows: Rows, best: list[tuple[int, str] | None]) -> None:
        """Look at scopes with networks of any length; there are few, people write them."""
        fields = sorted({match.field for _, _, one in self._networks for match in one.match} | {"route"})
        columns: list[Sequence[str]] = [rows.column(field) for field in fields]
        seen: dict[Key, tuple[int, str] | None] = {}
        for index, key in enumerate(zip(*columns, strict=True)):
            if key not in seen:
                request = dict(zip(fields, key, strict=True))
                held = [(rank, name) for rank, name, one in self._networks if one.holds(request)]
                seen[key] = min(held, default=None)
            found = seen[key]
            if found is not None:
                best[index] = _first(best[index], found)


def _first(one: tuple[int, str] | None, other: tuple[int, str]) -> tuple[int, str]:
    return other if one is None or other < one else one


def ranked(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Order verdicts as the data plane looks at them."""
    return sorted(verdicts, key=_rank)


def _rank(verdict: Verdict) -> tuple[int, int, str]:
    is_human = verdict.author == "human"
    if is_human and verdict.action.refuses:
        return (0, 0, verdict.id)
    if verdict.action.kind == "allow":
        return (1, 0, verdict.id)
    return (2, -verdict.rung, verdict.id)
