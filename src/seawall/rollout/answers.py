"""Answers: does the candidate answer as its base does? One request, two Envoys, what differs.

Pure. A difference on a host that the change names is what the change is for; on any other host it is a failure. A 5xx or no
answer at all, where the base had one, is a failure on every host.
Next rooms: `rollout.corpus` makes the requests, `app.sandbox` asks.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from seawall.rollout.corpus import Request

_IGNORED = frozenset(
    {
        "date",
        "server-timing",
        "x-request-id",
        "x-envoy-upstream-service-time",
        "age",
        "content-length",
        "x-forwarded-for",
    }
)
_MOST_SHOWN = 5


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it reached the backend."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client got. `error` instead of a status: the connection ended or nothing came; `took` in seconds."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    seen: Seen | None = None
    is_closed: bool = False
    error: str = ""
    took: float = 0.0


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One request that two Envoys answer differently, as a sentence."""

    kind: Literal["failure", "note"]
    sentence: str


def compare(request: Request, base: Answer, candidate: Answer, touched: Collection[str] = ()) -> tuple[Difference, ...]:
    """Say what differs. `touched`: the hosts that the change names, wildcards among them; `*` is every host."""
    is_touched = _covers(touched, request.host)
    if base.status != candidate.status or bool(base.error) != bool(candidate.error):
        is_broken = candidate.status >= 500 > base.status or (bool(candidate.error) and not base.error)
        kind: Literal["failure", "note"] = "note" if is_touched and not is_broken else "failure"
        return (Difference(kind=kind, sentence=f"{request.name}: {_said(base)} → {_said(candidate)}"),)
    found = [
        *_headers("answers with", _plain(base.headers), _plain(candidate.headers)),
        *_upstream(base.seen, candidate.seen),
    ]
    if base.is_closed != candidate.is_closed:
        found.append("the connection is closed" if candidate.is_closed else "the connection stays open")
    kind = "note" if is_touched else "failure"
    return tuple(Difference(kind=kind, sentence=f"{request.name}: {what}") for what in found[:_MOST_SHOWN])


def _said(answer: Answer) -> str:
    return answer.error or str(answer.status)


def _upstream(base: Seen | None, candidate: Seen | None) -> list[str]:
    if base is None or candidate is None:
        return [] if base is candidate else [f"the backend is {'no longer' if candidate is None else 'now'} asked"]
    found = []
    if (base.method, base.path) != (candidate.method, candidate.path):
        before, after = f"{base.method} {base.path}", f"{candidate.method} {candidate.path}"
        found.append(f"the backend is asked {after[:200]} instead of {before[:200]}")
    return found + _headers("the backend gets", _plain(base.headers), _plain(candidate.headers))


def _plain(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in _IGNORED:
            plain[key] = f"{plain[key]}, {value}" if key in plain else value
    return plain


def _headers(how: str, base: Mapping[str, str], candidate: Mapping[str, str]) -> list[str]:
    found = [f"{how} {name}: {_cut(candidate[name])}, which is new" for name in sorted(candidate.keys() - base.keys())]
    found += [f"{how} no {name} any more" for name in sorted(base.keys() - candidate.keys())]
    for name in sorted(base.keys() & candidate.keys()):
        if base[name] != candidate[name]:
            found.append(f"{how} {name}: {_cut(candidate[name])} instead of {_cut(base[name])}")
    return found


def _cut(value: str) -> str:
    return value if len(value) <= 80 else value[:80] + "…"


def _covers(touched: Collection[str], host: str) -> bool:
    if host in touched or "*" in touched:
        return True
    labels = host.split(".")
    return any("*." + ".".join(labels[n:]) in touched for n in range(1, len(labels)))
