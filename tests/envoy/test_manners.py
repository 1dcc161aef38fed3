"""What a ListenerPolicy becomes in Envoy, field by field, and what a change of each field drains."""

from typing import Any

import pytest

from seawall.gateway.objects import Object
from seawall.xds.resource import CLUSTER, LISTENER, Ref, ResourceName
from tests.envoy.diff.worlds import built, compared
from tests.envoy.test_listeners import shown
from tests.gateway.manners import FRONTEND, LIST, manners, revoking
from tests.gateway.world import HTTP, edge, https, made, pair, trust

COLLECTOR = made("Backend", "collector", {"spec": {"endpoints": [{"ip": "127.0.0.1", "port": 4317}]}})
REF = {"group": "seawall.dev", "kind": "Backend", "name": "collector"}


def world(*more: Object) -> list[Object]:
    return [
        *edge(HTTP, https("a", "a.example"), https("b", "b.example"), tls=FRONTEND),
        pair(),
        trust(),
        COLLECTOR,
        *more,
    ]


def chain(spec: dict[str, Any], name: str = "tcp/127.0.0.1/443", *more: Object) -> dict[str, Any]:
    """Return the first chain of a listener under a policy for the whole Gateway."""
    resource = built(*world(manners("p", **spec), *more)).snapshot.get(Ref(LISTENER, ResourceName(name)))
    assert resource is not None
    found: dict[str, Any] = shown(resource)["filter_chains"][0]
    return found


def manager(spec: dict[str, Any], name: str = "tcp/127.0.0.1/443") -> dict[str, Any]:
    found: dict[str, Any] = chain(spec, name)["filters"][-1]["typed_config"]
    return found


def test_tls_is_as_the_policy_says() -> None:
    wanted = {"minVersion": "1.1", "maxVersion": "1.2", "ciphers": ["AES128-SHA"], "curves": ["P-256"], "alpn": ["h2"]}
    found = chain({"tls": wanted})

    context = found["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_1",
        "tls_maximum_protocol_version": "TLSv1_2",
        "cipher_suites": ["AES128-SHA"],
        "ecdh_curves": ["P-256"],
    }
    assert context["alpn_protocols"] == ["h2"]
    assert found["filters"][-1]["typed_config"]["codec_type"] == "HTTP2"
    # What is offered in TLS says nothing about a port without it.
    assert "codec_type" not in manager({"tls": wanted}, "tcp/127.0.0.1/80")


def test_limits_replace_the_defaults_that_they_name_and_no_others() -> None:
    limits = {
        "maxHeaders": 1,
        "headerKiB": 2,
        "concurrentStreams": 3,
        "maxRequestsPerConnection": 4,
        "connectionIdleTimeout": "5s",
        "streamIdleTimeout": "6s",
        "headerTimeout": "7s",
        "requestTimeout": "0s",
    }
    found = manager({"limits": limits})

    common = found["common_http_protocol_options"]
    assert (common["max_headers_count"], common["max_requests_per_connection"], common["idle_timeout"]) == (1, 4, "5s")
    assert found["max_request_headers_kb"] == 2
    assert found["http2_protocol_options"]["max_concurrent_streams"] == 3
    assert [found[f"{name}_timeout"] for name in ("stream_idle", "request_headers", "request")] == ["6s", "7s", "0s"]
    partly = manager({"limits": {"maxHeaders": 7}})
    assert partly == {
        **manager({}),
        "common_http_protocol_options": {**manager({})["common_http_protocol_options"], "max_headers_count": 7},
    }


def test_connections_are_counted_before_the_handshake() -> None:
    first = chain({"limits": {"maxConnections": 9}})["filters"][0]

    assert first["name"] == "envoy.filters.network.connection_limit"
    assert first["typed_config"]["max_connections"] == "9"


def test_hops_are_counted_or_proxies_are_known() -> None:
    assert manager({"clientAddress": {"trustedHops": 2}})["xff_num_trusted_hops"] == 2
    found = manager({"clientAddress": {"trustedProxies": ["10.0.0.0/8"]}})

    (extension,) = found["original_ip_detection_extensions"]
    assert extension["typed_config"]["xff_trusted_cidrs"]["cidrs"] == [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
    assert found["use_remote_address"] is False
    (_, early) = found["early_header_mutation_extensions"]
    (overwritten,) = early["typed_config"]["mutations"]
    assert overwritten["append"]["header"] == {"key": "x-forwarded-proto", "value": "https"}


def test_the_tail_is_all_as_written() -> None:
    spec = {
        "earlyHeaders": {"set": [{"name": "a", "value": "5%"}], "remove": ["b"]},
        "ja4Header": "x-ja4",
        "serverHeader": {"mode": "AddIfAbsent", "value": "edge"},
        "path": {"normalize": False, "mergeSlashes": False, "escapedSlashes": "Unescape", "underscores": "Allow"},
    }
    found = manager(spec)

    (_, early) = found["early_header_mutation_extensions"]
    said = [one.get("remove") or tuple(one["append"]["header"].values()) for one in early["typed_config"]["mutations"]]
    assert said == ["b", ("a", "5%%"), "x-ja4", ("x-ja4", "%TLS_JA4_FINGERPRINT%")]
    assert (found["server_header_transformation"], found["server_name"]) == ("APPEND_IF_ABSENT", "edge")
    assert (found["normalize_path"], found.get("merge_slashes", False)) == (False, False)
    assert found["path_with_escaped_slashes_action"] == "UNESCAPE_AND_FORWARD"
    assert found["common_http_protocol_options"].get("headers_with_underscores_action", "ALLOW") == "ALLOW"


def test_traces_go_to_the_collector_and_none_without_one() -> None:
    found = manager({"tracing": {"backendRef": REF, "samplingPercent": 5}})["tracing"]

    assert (found["random_sampling"]["value"], found["client_sampling"]) == (5.0, {})
    cluster = found["provider"]["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"]
    snapshot = built(*world(manners("p", tracing={"backendRef": REF}))).snapshot
    listener = snapshot.get(Ref(LISTENER, ResourceName("tcp/127.0.0.1/80")))
    assert listener is not None
    assert Ref(CLUSTER, ResourceName(cluster)) in listener.refs
    assert snapshot.get(Ref(CLUSTER, ResourceName(cluster))) is not None
    assert "tracing" not in manager({"tracing": {"backendRef": {**REF, "name": "none"}}})


# ── drains ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "field",
    [
        {"tls": {"minVersion": "1.3"}},
        {"clientCertificates": {"mode": "Optional"}},
        {"clientAddress": {"trustedHops": 1}},
        {"limits": {"maxHeaders": 5}},
        {"limits": {"maxConnections": 5}},
        {"earlyHeaders": {"remove": ["a"]}},
        {"ja4Header": "x-ja4"},
        {"serverHeader": {"mode": "Overwrite", "value": "edge"}},
        {"path": {"escapedSlashes": "Reject"}},
        {"accessLog": {"sinks": [{"type": "Stdout"}]}},
        {"tracing": {"backendRef": REF}},
        {"http3": {}},
    ],
    ids="-".join,
)
def test_a_field_drains_the_chain_of_its_listener_and_no_other(field: dict[str, Any]) -> None:
    found = compared(world(), world(manners("p", section="a", **field)))

    assert [name for name, _ in found.report.blast.drained] == ["tcp/127.0.0.1/443 https/a.example"]


def test_a_policy_that_says_nothing_changes_nothing() -> None:
    assert compared(world(), world(manners("p"))).report.differences == ()


def test_proxy_headers_drain_the_port() -> None:
    found = compared(world(), world(manners("p", section="a", proxyProtocol={})))

    assert [name for name, _ in found.report.blast.drained] == ["tcp/127.0.0.1/443"]


def test_a_new_revocation_list_drains_nothing() -> None:
    policy = manners("p", clientCertificates={"crl": {"name": "crl"}})
    found = compared(world(policy, revoking()), world(policy, revoking(text=LIST + "\n" + LIST)))

    assert found.report.blast.drained == ()


def test_http3_that_changes_drains_its_socket_too() -> None:
    before, after = (manners("p", section="a", http3={}, ja4Header=name) for name in ("x-a", "x-b"))
    found = compared(world(before), world(after))

    drained = sorted(name for name, _ in found.report.blast.drained)
    assert drained == ["tcp/127.0.0.1/443 https/a.example", "udp/127.0.0.1/443"]
