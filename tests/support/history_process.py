"""A control plane's hold on the history, in a process of its own that tests may kill at any moment.

`python -m tests.support.history_process lead PLACE` or `write PLACE EPOCH STREAM`. It says on standard output what is certain.
"""

import itertools
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from seawall.kit.units import Instant
from seawall.store.history import Line, RolloutHistory
from seawall.store.postgres_history import PostgresHistory
from seawall.store.sqlite_history import SqliteHistory


def open_history(place: str) -> RolloutHistory:
    """`sqlite:FILE`, or `SCHEMA@DSN`."""
    if place.startswith("sqlite:"):
        return SqliteHistory(Path(place.removeprefix("sqlite:")))
    schema, _, dsn = place.partition("@")
    return PostgresHistory(dsn, schema=schema)


def lines(stream: str, entries: Iterable[tuple[Instant, str, bytes]]) -> list[Line]:
    """Lines of one stream, from (at, kind, body)."""
    return [Line(stream=stream, at=at, kind=kind, body=body) for at, kind, body in entries]


def main(role: str, place: str, *rest: str) -> None:
    history = open_history(place)
    if role == "lead":
        say(history.lead("child", Instant(1.0)))
        time.sleep(60)
    epoch = int(rest[0])
    for turn in itertools.count():
        entries = [(Instant(float(turn)), "event", b"%d" % i) for i in range(turn % 4 + 1)]
        say(history.append(epoch, lines(rest[1], entries)))
        # SQLite's lock is not fair: without a pause one writer could keep it from the others.
        time.sleep(0.002)


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
