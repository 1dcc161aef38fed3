"""Statuses: conditions carry the time of their last transition."""

from typing import Any

from seawall.app.statuses import StatusBook
from seawall.gateway.graph import ObjectKey
from seawall.gateway.status import Status
from seawall.kit.units import Instant

ROUTE = ObjectKey("HTTPRoute/shop/api")


def _status(parents: dict[str, str]) -> dict[ObjectKey, Status]:
    body: dict[str, Any] = {
        "parents": [
            {"parentRef": {"name": name}, "conditions": [{"type": "Accepted", "status": value}]}
            for name, value in parents.items()
        ]
    }
    return {ROUTE: Status(object=ROUTE, body=body)}


def _times(book: StatusBook, statuses: dict[ObjectKey, Status]) -> list[str]:
    parents = book.body(statuses[ROUTE])["parents"]
    return [parent["conditions"][0]["lastTransitionTime"] for parent in parents]


def test_the_time_stays_while_the_status_stays_whatever_the_order() -> None:
    book = StatusBook()
    book.note(_status({"a": "True", "b": "True"}), [ROUTE], Instant(1_000_000))

    later = _status({"b": "False", "a": "True"})
    book.note(later, [ROUTE], Instant(1_000_060))

    assert _times(book, later) == ["1970-01-12T13:47:40Z", "1970-01-12T13:46:40Z"]


def test_an_object_that_came_back_starts_anew() -> None:
    book = StatusBook()
    first = _status({"a": "True"})
    book.note(first, [ROUTE], Instant(1_000_000))

    book.note({}, [ROUTE], Instant(1_000_030))
    book.note(first, [ROUTE], Instant(1_000_060))

    assert _times(book, first) == ["1970-01-12T13:47:40Z"]


def test_what_the_resolver_said_is_not_written_to() -> None:
    book = StatusBook()
    statuses = _status({"a": "True"})
    book.note(statuses, [ROUTE], Instant(1_000_000))

    book.body(statuses[ROUTE])

    assert "lastTransitionTime" not in statuses[ROUTE].body["parents"][0]["conditions"][0]
