"""Counts: what a rollout is judged by, out of Envoy's statistics.

Pure: the JSON of Envoy's admin endpoint in, series out. The names on the left are those of `fleet.wire.COUNTS`.

    requests, errors     downstream_rq_total, downstream_rq_5xx of every listener: all answers, also Envoy's own
    slow                 downstream_rq_time, the histogram
    not_found            no_route, and 404s of backends. Not: answers that a route itself gives (a 404 in the configuration)
    denied               401, 403, 429 of backends; RBAC, ext_authz, JWT and the local rate limit, where they refuse
    filter_errors        lua, ext_authz, ext_proc: what fails while every answer may be a 200
    handshake_failures   ssl.connection_error and ssl.fail_verify_*: Envoy counts a handshake in one of them

Envoy has no counter for 401, 403, 404 and 429 of a whole listener, only 4xx: hence the sums.
Next room: `agent.tally` asks for them and adds them up.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from seawall.fleet.wire import MOST_SOCKETS
from seawall.kit.units import Seconds

FILTER: Final = (
    r"^(http\..*\.(downstream_rq_total|downstream_rq_5xx|downstream_rq_time|no_route|lua\..*errors"
    r"|ext_authz\..*|ext_proc\..*|rbac\..*|jwt_authn\..*)|.*http_local_rate_limit\.enforced"
    r"|cluster\..*\.upstream_(rq_total|rq_retry|rq_40[134]|rq_429|cx_connect_fail)"
    r"|listener\..*\.(downstream_cx_total|downstream_cx_active|ssl\.(handshake|connection_error|fail_verify_.*)))$"
)
"""What to ask Envoy for, a regular expression of its `/stats?filter=`."""

_RULES: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        # Envoy's own endpoint and the agent are nobody's traffic; workers and origins are counted once more in the whole.
        ("", r"^(http|listener)\.admin\.|^cluster\.seawall_agent\.|\.worker_\d+\.|\.(external|internal)\.upstream_rq_"),
        ("requests", r"^http\..*\.downstream_rq_total$"),
        ("errors", r"^http\..*\.downstream_rq_5xx$"),
        ("not_found", r"^http\..*\.no_route$|^cluster\..*\.upstream_rq_404$"),
        ("denied", r"^cluster\..*\.upstream_rq_(401|403|429)$|http_local_rate_limit\.enforced$"),
        ("denied", r"^http\..*\.(rbac|ext_authz|jwt_authn)\.(.*\.)?denied$"),
        ("filter_errors", r"^http\..*\.(lua\.(.*\.)?errors|ext_authz\.(.*\.)?error)$"),
        ("filter_errors", r"^http\..*\.ext_proc\.(.*\.)?(streams_failed|message_timeouts)$"),
        ("upstream_requests", r"^cluster\..*\.upstream_rq_total$"),
        ("retries", r"^cluster\..*\.upstream_rq_retry$"),
        ("connect_failures", r"^cluster\..*\.upstream_cx_connect_fail$"),
        ("connections", r"^listener\..*\.downstream_cx_total$"),
        ("handshakes", r"^listener\..*\.ssl\.handshake$"),
        ("handshake_failures", r"^listener\..*\.ssl\.(connection_error|fail_verify_[a-z_]+)$"),
        ("open_connections", r"^listener\..*\.downstream_cx_active$"),
    )
)
OPEN_CONNECTIONS: Final = "open_connections"
"""The one that is no sum but a state."""


_SOCKET: Final = re.compile(r"^listener\.(?P<host>\[[0-9a-f_]+\]|[0-9.]+)_(?P<port>\d+)\.downstream_cx_active$")


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One of Envoy's numbers, and what it counts for: a name of `fleet.wire.COUNTS`, or OPEN_CONNECTIONS."""

    series: str
    counts_for: str
    value: float


def sockets(series: Iterable[Series]) -> dict[str, int]:
    """Say how many connections each socket has open, by the names that listeners have (`tcp/127.0.0.1/8080`)."""
    found: dict[str, int] = {}
    for one in series:
        address = _SOCKET.match(one.series) if one.counts_for == OPEN_CONNECTIONS else None
        if address is not None and len(found) < MOST_SOCKETS:
            # Envoy writes an underscore for each colon.
            host = address["host"].replace("_", ":").strip("[]")
            found[f"tcp/{host}/{address['port']}"] = int(one.value)
    return found


class _Bucket(msgspec.Struct, frozen=True):
    lower_bound: float
    count: float


class _Histogram(msgspec.Struct, frozen=True):
    name: str
    totals: list[_Bucket] = []


class Reader:
    """Reads answers of `/stats?format=json&histogram_buckets=detailed`. Remembers what each name counts for."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def read(self, body: bytes, slow: Seconds) -> list[Series]:
        """Pick out what counts. An answer that took `slow` seconds or longer is slow."""
        found: list[Series] = []
        for entry in msgspec.json.decode(body, type=dict[str, list[dict[str, Any]]])["stats"]:
            if "histograms" in entry:
                histograms = msgspec.convert(entry["histograms"].get("details", []), list[_Histogram])
                found.extend(_slow(one, slow) for one in histograms if not one.name.startswith("http.admin."))
            elif name := self._counts_for(entry["name"]):
                found.append(Series(series=entry["name"], counts_for=name, value=float(entry["value"])))
        return found

    def _counts_for(self, series: str) -> str:
        known = self._names.get(series)
        if known is None:
            known = next((name for name, pattern in _RULES if pattern.search(series)), "")
            if len(self._names) > _MOST_NAMES:
                self._names.clear()
            self._names[series] = known
        return known


_MOST_NAMES = 200_000


def _slow(histogram: _Histogram, slow: Seconds) -> Series:
    count = sum(bucket.count for bucket in histogram.totals if bucket.lower_bound >= slow * 1000.0)
    return Series(series=histogram.name, counts_for="slow", value=count)
