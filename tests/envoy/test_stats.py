"""Which of Envoy's metrics exist at all."""

import re

import pytest

from seawall.envoy.stats import HISTOGRAM_BUCKETS_MS, KEPT_STATS


def is_kept(name: str) -> bool:
    prefixes = [matcher["prefix"] for matcher in KEPT_STATS if "prefix" in matcher]
    patterns = [matcher["safe_regex"]["regex"] for matcher in KEPT_STATS if "safe_regex" in matcher]
    return name.startswith(tuple(prefixes)) or any(re.fullmatch(pattern, name) for pattern in patterns)


@pytest.mark.parametrize(
    "name",
    [
        "server.live",
        "http.127.0.0.1_8080.downstream_rq_5xx",
        "http.127.0.0.1_8080.lua.errors",
        "cluster.Service/shop/web/80.upstream_rq_timeout",
        "listener.127.0.0.1_8443.ssl.handshake",
        "control_plane.connected_state",
    ],
)
def test_what_somebody_on_call_asks_for_is_kept(name: str) -> None:
    assert is_kept(name)


@pytest.mark.parametrize(
    "name",
    [
        "cluster.Service/shop/web/80.upstream_rq_200",
        "vhost.shop.vcluster.other.upstream_rq_total",
        "main_thread.watchdog",
    ],
)
def test_what_multiplies_by_clusters_codes_or_hosts_is_not(name: str) -> None:
    assert not is_kept(name)


def test_buckets_rise() -> None:
    assert list(HISTOGRAM_BUCKETS_MS) == sorted(set(HISTOGRAM_BUCKETS_MS))
