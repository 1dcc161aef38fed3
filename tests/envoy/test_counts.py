"""What Envoy's own numbers count for. The names are those of a real Envoy; `tests/agent/test_tally.py` asks one."""

import re
from typing import Any

import msgspec
import pytest

from seawall.envoy.bootstrap import BootstrapSettings, bootstrap
from seawall.envoy.counts import FILTER, OPEN_CONNECTIONS, Reader, Series, sockets
from seawall.fleet.wire import COUNTS
from seawall.kit.units import Seconds

NAMES = {
    "http.edge.downstream_rq_total": "requests",
    "http.ns/gw/https.downstream_rq_5xx": "errors",
    "http.edge.no_route": "not_found",
    "http.edge.lua.errors": "filter_errors",
    "http.edge.lua.mine.errors": "filter_errors",
    "http.edge.ext_authz.error": "filter_errors",
    "http.edge.ext_authz.denied": "denied",
    "http.edge.ext_authz.failure_mode_allowed": "",
    "http.edge.ext_proc.streams_failed": "filter_errors",
    "http.edge.ext_proc.message_timeouts": "filter_errors",
    "http.edge.rbac.denied": "denied",
    "http.edge.rbac.shadow_denied": "",
    "http.edge.jwt_authn.denied": "denied",
    "edge.http_local_rate_limit.enforced": "denied",
    "cluster.ns/shop/80.upstream_rq_total": "upstream_requests",
    "cluster.ns/shop/80.upstream_rq_retry": "retries",
    "cluster.ns/shop/80.upstream_cx_connect_fail": "connect_failures",
    "cluster.ns/shop/80.upstream_rq_404": "not_found",
    "cluster.ns/shop/80.upstream_rq_401": "denied",
    "cluster.ns/shop/80.upstream_rq_429": "denied",
    "cluster.ns/shop/80.external.upstream_rq_404": "",
    "cluster.ns/shop/80.internal.upstream_rq_403": "",
    "cluster.seawall_agent.upstream_rq_total": "",
    "listener.0.0.0.0_443.downstream_cx_total": "connections",
    "listener.0.0.0.0_443.downstream_cx_active": "open_connections",
    "listener.0.0.0.0_443.worker_0.downstream_cx_total": "",
    "listener.0.0.0.0_443.ssl.handshake": "handshakes",
    "listener.0.0.0.0_443.ssl.connection_error": "handshake_failures",
    "listener.0.0.0.0_443.ssl.fail_verify_no_cert": "handshake_failures",
    "listener.admin.downstream_cx_total": "",
    "http.admin.downstream_rq_total": "",
}


def answer(*stats: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"stats": stats})


@pytest.mark.parametrize("name", NAMES)
def test_every_number_counts_for_what_it_says(name: str) -> None:
    found = Reader().read(answer({"name": name, "value": 7}), Seconds(1.0))

    assert [(one.series, one.counts_for, one.value) for one in found] == (
        [(name, NAMES[name], 7.0)] if NAMES[name] else []
    )


@pytest.mark.parametrize("name", [name for name, counts_for in NAMES.items() if counts_for])
def test_every_number_that_counts_is_asked_for_and_kept(name: str) -> None:
    config = bootstrap(BootstrapSettings(edge="e", admin="a", ads="b", max_heap=1))
    kept = config["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]

    assert re.search(FILTER, name)
    assert any(re.fullmatch(one["safe_regex"]["regex"], name) for one in kept if "safe_regex" in one)


def test_an_answer_is_slow_from_the_objective_on() -> None:
    buckets = [(0, 5), (990, 2), (1000, 3), (60_000, 1)]
    totals = [{"lower_bound": bound, "width": 10, "count": count} for bound, count in buckets]
    details = [
        {"name": "http.edge.downstream_rq_time", "totals": totals, "percentiles": []},
        {"name": "http.admin.downstream_rq_time", "totals": totals, "percentiles": []},
    ]

    found = Reader().read(answer({"histograms": {"supported_percentiles": [], "details": details}}), Seconds(1.0))

    assert [(one.counts_for, one.value) for one in found] == [("slow", 4.0)]


def test_everything_but_journeys_comes_from_envoy() -> None:
    assert {*NAMES.values(), "slow"} - {"", "open_connections"} == {*COUNTS} - {"journeys", "journey_failures"}


def test_open_connections_are_told_by_socket() -> None:
    series = [
        Series(series=f"listener.{name}.downstream_cx_active", counts_for=OPEN_CONNECTIONS, value=value)
        for name, value in (("127.0.0.1_8080", 3), ("[__1]_8443", 2), ("anything", 5))
    ]

    assert sockets(series) == {"tcp/127.0.0.1/8080": 3, "tcp/::1/8443": 2}
