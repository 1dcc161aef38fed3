"""StatusBook: when each condition last changed. The resolver knows no time, so it is added here, as the API server does.

A condition keeps its `lastTransitionTime` as long as its status stays the same, whatever its reason or message does.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.gateway.status import Status
from seawall.kit.units import Instant

Json = dict[str, Any]
_Where = tuple[str, ...]


class StatusBook:
    """The `status` fields of all objects, times included."""

    def __init__(self) -> None:
        self._since: dict[ObjectKey, dict[_Where, tuple[str, Instant]]] = {}

    def note(self, statuses: Mapping[ObjectKey, Status], changed: Iterable[ObjectKey], at: Instant) -> None:
        """Take in what changed."""
        for key in changed:
            status = statuses.get(key)
            if status is None:
                self._since.pop(key, None)
                continue
            before = self._since.get(key, {})
            now: dict[_Where, tuple[str, Instant]] = {}
            for where, condition in _conditions(status.body):
                known = before.get(where)
                value = str(condition["status"])
                now[where] = known if known is not None and known[0] == value else (value, at)
            self._since[key] = now

    def body(self, status: Status) -> Json:
        """Return a copy of a status body with the times in it."""
        body: Json = msgspec.json.decode(msgspec.json.encode(status.body))
        since = self._since.get(status.object, {})
        for where, condition in _conditions(body):
            if where in since:
                condition["lastTransitionTime"] = rfc3339(since[where][1])
        return body


def rfc3339(at: float) -> str:
    """Write a time as Kubernetes does: whole seconds, UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(body: Any, where: _Where = ()) -> Iterator[tuple[_Where, Json]]:
    """Walk to every condition, each with a name that survives a change of order in the lists around it."""
    if not isinstance(body, Mapping):
        return
    for name, value in body.items():
        if not isinstance(value, list):
            continue
        for member in value:
            if name == "conditions":
                yield (*where, str(member["type"])), member
            else:
                yield from _conditions(member, (*where, name, _identity(member)))


def _identity(member: Any) -> str:
    """Name a member of a list of parents, listeners or ancestors."""
    if not isinstance(member, Mapping):
        return str(member)
    for field in ("name", "parentRef", "ancestorRef"):
        if field in member:
            return msgspec.json.encode(member[field], order="sorted").decode()
    return ""
