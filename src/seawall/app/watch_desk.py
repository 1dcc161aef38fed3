"""Watch desk: what the console is told of attacks and verdicts, and what it may ask for. Implements `console.protection`."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from seawall.app.protection import Protection
from seawall.app.statuses import rfc3339
from seawall.app.traffic import Traffic
from seawall.console.protection import Order
from seawall.detect.columns import FIELDS
from seawall.detect.events import Commanded, Record
from seawall.detect.ladder import LADDER
from seawall.detect.scope import NETWORKS, network, scope
from seawall.detect.verdict import Action, Verdict
from seawall.kit.errors import ConfigError
from seawall.kit.units import Instant, Seconds

Json = dict[str, Any]
_MOST_VERDICTS = 500
_MOST_RECORDS = 50
_MOST_VALUES = 10


class WatchDesk:
    """Answers for one control plane."""

    def __init__(self, protection: Protection, traffic: Traffic, clock: Callable[[], float] = time.time) -> None:
        self._protection = protection
        self._traffic = traffic
        self._clock = clock

    def protection(self) -> Json:
        guard, held = self._protection.guard, self._protection.held
        return {
            "enforces": guard.enforces,
            "settings": msgspec.to_builtins(guard.settings),
            "verdicts": len(guard.ledger),
            "edges": {
                edge: {"number": one.number, "entries": one.entries, "refused": one.refused, "took": one.took}
                for edge, one in sorted(held.items())
            },
            "lost": {"late": guard.late, **dict(self._traffic.windows.dropped)},
            "slowest": self._protection.slowest,
        }

    def attacks(self) -> Json:
        guard, now = self._protection.guard, self._now()
        verdicts = guard.in_force(now)
        reports = self._protection.reports
        return {
            "enforces": guard.enforces,
            "attacks": [
                {"route": one.route, "began": rfc3339(one.began), "seconds": now - one.began, "peak": one.peak}
                for one in guard.attacks
            ],
            "verdicts": [_verdict(one, now) for one in verdicts[:_MOST_VERDICTS]],
            "more": max(0, len(verdicts) - _MOST_VERDICTS),
            "ended": {"folder": str(reports.folder or ""), "reports": reports.names()},
            "lately": [_record(one) for one in guard.ledger.book.records[-_MOST_RECORDS:]],
        }

    def top(self, seconds: int) -> Json:
        window = self._traffic.windows.window(seconds, Instant(self._now() - 1.0))
        return {
            "seconds": seconds,
            "requests": sum(window.totals.values()) / seconds,
            "clients": window.clients,
            "routes": _largest(window.totals, seconds),
            "errors": _largest(window.errors, seconds),
            "busy": {field: _largest(values, seconds) for field, values in sorted(window.busy.items())},
        }

    def why(self, reference: str) -> Json | None:
        found = self._protection.guard.why(reference)
        if found is None:
            return None
        return {
            "verdict": _verdict(found.verdict, self._now()),
            "evidence": [str(one) for one in found.verdict.evidence],
            "guards": [msgspec.to_builtins(one) for one in found.verdict.guards],
            "ended": found.ended,
            "history": [_record(one) for one in found.history],
            "sentences": found.sentences(),
        }

    async def order(self, order: Order) -> Json:
        actions = await self._protection.command(self._event(order))
        said = [one for one in actions if isinstance(one, Record)]
        refused = next((one.said for one in said if one.what == "refused"), "")
        if refused:
            raise ConfigError(refused)
        return {"enforces": self._protection.guard.enforces, "said": [_record(one) for one in said]}

    def _now(self) -> Instant:
        return Instant(self._clock())

    def _event(self, order: Order) -> Commanded:
        for field, value in order.match.items():
            if field not in FIELDS:
                raise ConfigError(f"{field!r} is no field.", hint=f"Fields are {', '.join(sorted(FIELDS))}.")
            if field in NETWORKS and network(value) is None:
                raise ConfigError(f"{value!r} is no address and no network.", hint="Write 192.0.2.7 or 192.0.2.0/24.")
        action = Action(kind=order.kind, code=403)
        if order.kind == "limit":
            if not order.rate:
                raise ConfigError("A limit needs a rate.", hint="Say how many requests a second: --rate 10.")
            action = Action(kind="limit", code=429, rate=order.rate, burst=max(1.0, order.rate))
        return Commanded(
            at=self._now(),
            verb=order.verb,
            who=order.who,
            reason=order.reason,
            scope=scope(order.route, order.match),
            action=action,
            ttl=Seconds(order.seconds),
            verdict=order.verdict,
        )


def _largest(values: dict[str, float], seconds: int) -> list[Json]:
    first = sorted(values.items(), key=lambda one: -one[1])[:_MOST_VALUES]
    return [{"value": value, "rate": count / seconds} for value, count in first]


def _record(one: Record) -> Json:
    return {"at": rfc3339(one.at), "what": one.what, "subject": one.subject, "said": one.said}


def _verdict(one: Verdict, now: Instant) -> Json:
    return {
        "id": one.id,
        "scope": str(one.scope),
        "route": one.scope.route,
        "match": {each.field: each.value for each in one.scope.match},
        "does": LADDER[one.rung].title,
        "kind": one.action.kind,
        "rate": one.action.rate,
        "mode": one.mode,
        "author": one.who if one.author == "human" else one.detector,
        "reason": one.reason,
        "confidence": one.confidence,
        "impact": one.expected.impact,
        "created": rfc3339(one.created),
        "secondsLeft": max(0.0, one.expires - now),
        "hits": one.measured.hits,
        "hitsPerSecond": one.measured.hits_rps,
        "leaks": one.measured.left_rps,
        "vouched": one.measured.vouched,
    }
