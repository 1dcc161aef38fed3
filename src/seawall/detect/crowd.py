"""Crowd: the clients of a window, and which of them look like people.

Pure. Made once for a window and asked for every scope. No fingerprint is asked for what it is: a client that fetches what its pages
need, from as many places as pages have, is taken for a person. An attacker may do the same, at ten times the cost.
Next room: `detect.shape`.
"""

import msgspec

from seawall.detect.columns import CLIENT, PAGE_PARTS, Rows

PARTS = 0.15
FEW_PATHS, MANY_REQUESTS = 3, 6


class Client(msgspec.Struct, kw_only=True):
    """What a client asked in the window. Of its paths only the first few are kept."""

    name: str
    asked: int = 0
    parts: int = 0
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
        for key, fetch, path in zip(zip(*columns, strict=True), rows.column("fetch"), rows.column("path"), strict=True):
            index = clients.setdefault(key, len(clients))
            if index == len(self.clients):
                self.clients.append(Client(name=" ".join(key)))
            client = self.clients[index]
            client.asked += 1
            client.parts += fetch in PAGE_PARTS
            if len(client.paths) < FEW_PATHS:
                client.paths.add(path)
            self.of.append(index)
        self.persons = [client.is_person for client in self.clients]
