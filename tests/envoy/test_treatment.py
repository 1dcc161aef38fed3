"""Treatment: what a backend's policy is in its cluster, field by field, and nothing else."""

from typing import Any

import msgspec
import pytest

from seawall.envoy.clusters import cluster, endpoints
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import Cluster, ClusterName, Endpoint, Endpoints
from seawall.gateway.handling import RetryBudget, Treatment
from seawall.gateway.resources import backend_traffic as written
from seawall.kit.units import Seconds

NAME = ClusterName("Service/shop/web/80")
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def built(treatment: Treatment | None, **fields: Any) -> dict[str, Any]:
    made = Cluster(name=NAME, treatment=treatment, **fields)
    return as_json(decode("envoy.config.cluster.v3.Cluster", cluster(made).body))


def groups(value: Endpoints) -> list[dict[str, Any]]:
    """Return the groups of endpoints."""
    name = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    found: list[dict[str, Any]] = as_json(decode(name, endpoints(value).body))["endpoints"]
    return found


def changed(**fields: Any) -> dict[str, Any]:
    """Return what a treatment changes in a cluster."""
    plain, treated = built(None), built(Treatment(**fields))
    return {name: treated.get(name) for name in plain.keys() | treated.keys() if plain.get(name) != treated.get(name)}


def balancer(**fields: Any) -> dict[str, Any]:
    (found,) = changed(load_balancing=msgspec.convert(fields, written.LoadBalancing)).values()
    (policy,) = found["policies"]
    config: dict[str, Any] = policy["typed_extension_config"]["typed_config"]
    return config


def test_an_empty_treatment_changes_nothing() -> None:
    assert changed() == {}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("leastRequest", "least_request.v3.LeastRequest"),
        ("roundRobin", "round_robin.v3.RoundRobin"),
        ("random", "random.v3.Random"),
        ("maglev", "maglev.v3.Maglev"),
        ("ringHash", "ring_hash.v3.RingHash"),
    ],
)
def test_each_way_of_balancing_is_one_of_envoys(kind: str, message: str) -> None:
    assert balancer(type=kind)["@type"].endswith(message)


def test_a_new_endpoint_starts_slowly() -> None:
    found = balancer(type="roundRobin", slowStart={"window": "30s", "minPercent": 5})

    assert found["slow_start_config"] == {"slow_start_window": "30s", "min_weight_percent": {"value": 5.0}}


def test_zones_have_their_shares_and_who_is_in_none_has_nothing() -> None:
    members = tuple(Endpoint(address=f"10.0.0.{n}", port=80, zone=zone) for n, zone in enumerate(("a", "b", "")))
    shares = (written.ZoneShare(name="a", weight=80), written.ZoneShare(name="b", weight=20))

    found = [one.get("load_balancing_weight") for one in groups(Endpoints(cluster=NAME, members=members, zones=shares))]

    assert found == [None, 80, 20]
    for kind in ("leastRequest", "roundRobin", "random"):
        config = balancer(type=kind, zones=[{"name": "a", "weight": 1}])
        assert config["locality_lb_config"] == {"locality_weighted_lb_config": {}}
    config = balancer(type="maglev", hash=[{"type": "source"}], zones=[{"name": "a", "weight": 1}])
    assert config["locality_weighted_lb_config"] == {}


def test_priorities_are_without_a_gap() -> None:
    members = tuple(Endpoint(address=f"10.0.0.{n}", port=80, priority=n) for n in (7, 0, 3))

    found = groups(Endpoints(cluster=NAME, members=members))

    addresses = [one["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] for one in found]
    assert list(zip(addresses, (one.get("priority") for one in found), strict=True)) == [
        ("10.0.0.0", None),
        ("10.0.0.3", 1),
        ("10.0.0.7", 2),
    ]


def test_a_hash_is_of_headers_cookies_queries_and_addresses() -> None:
    keys = [
        {"type": "header", "name": "X-User", "terminal": True},
        {"type": "cookie", "name": "u", "ttl": "1h"},
        {"type": "query", "name": "q"},
        {"type": "source"},
    ]

    config = balancer(type="ringHash", hash=keys, boundedLoad=150)["consistent_hashing_lb_config"]

    header, cookie, query, source = config["hash_policy"]
    assert header == {"header": {"header_name": "x-user"}, "terminal": True}
    assert (cookie["cookie"]["name"], cookie["cookie"]["ttl"]) == ("u", "3600s")
    assert query == {"query_parameter": {"name": "q"}}
    assert source == {"connection_properties": {"source_ip": True}}
    assert config["hash_balance_factor"] == 150


@pytest.mark.parametrize(
    ("check", "field", "config"),
    [
        (
            {"http": {"path": "/up", "statuses": [200]}},
            "http_health_check",
            {"host": "web", "path": "/up", "method": "GET", "expected_statuses": [{"start": "200", "end": "201"}]},
        ),
        ({"grpc": {"service": "shop"}}, "grpc_health_check", {"service_name": "shop"}),
        ({"tcp": {}}, "tcp_health_check", {}),
        (
            {"tcp": {"send": "PING", "receive": "é"}},
            "tcp_health_check",
            {"send": {"text": "50494e47"}, "receive": [{"text": "c3a9"}]},
        ),
    ],
)
def test_an_endpoint_is_asked_as_the_policy_says(check: dict[str, Any], field: str, config: dict[str, Any]) -> None:
    asked = msgspec.convert({**check, "interval": "20s", "port": 99, "panicPercent": 0}, written.HealthCheck)

    found = changed(health_check=asked)

    (one,) = found["health_checks"]
    assert one[field] == config
    assert (one["interval"], one["alt_port"], one["no_traffic_interval"]) == ("20s", 99, "20s")
    assert found["common_lb_config"] == {"healthy_panic_threshold": {}, "update_merge_window": "0s"}


def test_http2_backends_are_asked_over_http2() -> None:
    asked = Treatment(health_check=written.HealthCheck(http=written.HttpCheck()))

    assert built(asked, protocol="http2")["health_checks"][0]["http_health_check"]["codec_client_type"] == "HTTP2"


def test_what_is_not_counted_ejects_nobody() -> None:
    (found,) = changed(outlier_ejection=written.OutlierEjection(errors=0, gateway_errors=4)).values()

    assert not found.get("split_external_local_origin_errors", False)
    assert found["enforcing_consecutive_5xx"] == 0
    assert (found["consecutive_gateway_failure"], found["enforcing_consecutive_gateway_failure"]) == (4, 100)
    assert found["enforcing_success_rate"] == 0
    assert (found["interval"], found["base_ejection_time"], found["max_ejection_percent"]) == ("1s", "2s", 50)


def test_a_breaker_bounds_what_it_names_and_keeps_the_retry_budget() -> None:
    (found,) = changed(circuit_breaker=written.CircuitBreaker(requests=7)).values()

    (limits,) = found["thresholds"]
    assert (limits["max_requests"], limits["max_connections"]) == (7, 1 << 20)
    assert limits["retry_budget"]["budget_percent"] == {"value": 20.0}


def test_a_retry_budget_may_be_over_a_time() -> None:
    budget = RetryBudget(percent=5.0, min_concurrent=0, interval=Seconds(3))

    (found,) = changed(retry_budget=budget).values()

    wanted = {"budget_percent": {"value": 5.0}, "min_retry_concurrency": 0, "budget_interval": "3s"}
    assert found["thresholds"][0]["retry_budget"] == wanted


def test_connections_are_opened_kept_and_probed_as_asked() -> None:
    asked = written.Connections(
        connect_timeout="1s", idle_timeout="10s", max_requests=5, buffer_bytes=4096, keepalive=written.TcpKeepalive()
    )

    found = changed(connections=asked)

    assert found["connect_timeout"] == "1s"
    assert found["per_connection_buffer_limit_bytes"] == 4096
    keepalive = {"keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 10}
    assert found["upstream_connection_options"] == {"tcp_keepalive": keepalive}
    options = found["typed_extension_protocol_options"][_OPTIONS]["common_http_protocol_options"]
    assert options == {"idle_timeout": "10s", "max_requests_per_connection": 5}


def test_without_an_idle_timeout_ours_stays() -> None:
    found = built(Treatment(connections=written.Connections(connect_timeout="1s")))

    options = found["typed_extension_protocol_options"][_OPTIONS]["common_http_protocol_options"]
    assert options == {"idle_timeout": "50s"}
