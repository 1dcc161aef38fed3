"""Crowd: the clients of a window, and which of them look like people.

Pure. Made once for a window and asked for every scope. No fingerprint is asked for what it is: a client that fetches what its pages
need, from as many places as pages have, is taken for a person. An attacker may do the same, at ten times the cost.
Next room: `detect.shape`.
"""

import msgspec

from seawall.detect.columns import CLIENT, PAGE_PARTS, Rows
from seawall.detect.scope import Match, Scope, matches

PARTS = 0.15
FEW_PATHS, MANY_REQUESTS = 3, 6


class Client(msgspec.Struct, kw_only=True):
    """What a client asked in the window. Of its paths only the first few are kept."""

    name: str
    asked: float = 0.0
    parts: float = 0.0
    paths: set[str] = msgspec.field(default_factory=set)

    @property
    def is_person(self) -> bool:
        """Say whether it fetches parts of pages, from as many places as pages have. A flood of one path does not."""
        places = 2 if self.asked < MANY_REQUESTS else FEW_PATHS
        return self.parts > 0 and self.parts >= PARTS * self.asked and len(self.paths) >= places


class Crowd:
    """The clients of some requests."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.vouched = rows.vouched()
        clients: dict[tuple[str, ...], int] = {}
        self.clients: list[Client] = []
        self.of: list[int] = []
        """For each request its client."""
        columns = [rows.column(field) for field in CLIENT]
        asked = zip(rows.column("fetch"), rows.column("path"), rows.each_weight, strict=True)
        for key, (fetch, path, weight) in zip(zip(*columns, strict=True), asked, strict=True):
            index = clients.setdefault(key, len(clients))
            if index == len(self.clients):
                self.clients.append(Client(name=" ".join(key)))
            client = self.clients[index]
            client.asked += weight
            client.parts += weight if fetch in PAGE_PARTS else 0.0
            if len(client.paths) < FEW_PATHS:
                client.paths.add(path)
            self.of.append(index)
        self._places: dict[str, dict[str, list[int]]] = {}
        self.persons = [client.is_person for client in self.clients]

    def inside(self, scope: Scope) -> list[int]:
        """Return the numbers of the requests in a scope: those of its rarest value, as far as the others agree."""
        wanted = [(one.field, self._values(one)) for one in scope.match]
        if scope.route:
            wanted.append(("route", frozenset((scope.route,))))
        if not wanted:
            return list(range(len(self.rows)))
        found = [(field, [self._at(field).get(value, []) for value in sorted(values)]) for field, values in wanted]
        field, first = min(found, key=lambda one: sum(map(len, one[1])))
        numbers = sorted(number for part in first for number in part)
        for other, values in wanted:
            if other != field:
                column = self.rows.column(other)
                numbers = [number for number in numbers if column[number] in values]
        return numbers

    def _values(self, one: Match) -> frozenset[str]:
        """Return the values that match: one, or all addresses in a network that a person wrote."""
        if one.field != "address" or "/" not in one.value:
            return frozenset((one.value,))
        return frozenset(value for value in self._at("address") if matches(one, value))

    def _at(self, field: str) -> dict[str, list[int]]:
        """Return for each value of a field where it is; made when it is first asked for."""
        places = self._places.get(field)
        if places is None:
            places = self._places[field] = {}
            for number, value in enumerate(self.rows.column(field)):
                places.setdefault(value, []).append(number)
        return places
