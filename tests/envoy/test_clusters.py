"""Backends as Envoy gets them."""

from typing import Any

from seawall.envoy.clusters import cluster, endpoints
from seawall.envoy.messages import full_name
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import ClientTls, Cluster, ClusterName, Endpoint, Endpoints, SecretName
from seawall.xds.resource import SECRET, Resource

NAME = ClusterName("Service/shop/web/80")


def shown(resource: Resource) -> dict[str, Any]:
    return as_json(decode(full_name(resource.type_url), resource.body))


def test_endpoints_come_apart_so_that_they_warm_nothing() -> None:
    found = shown(cluster(Cluster(name=NAME)))

    assert (found["type"], found["eds_cluster_config"]["service_name"]) == ("EDS", NAME)
    assert found["ignore_health_on_host_removal"] is True


def test_only_connections_that_fail_leave_an_endpoint_out_where_no_policy_says_more() -> None:
    found = shown(cluster(Cluster(name=NAME)))["outlier_detection"]

    assert found["split_external_local_origin_errors"] is True
    assert (found["consecutive_local_origin_failure"], found["max_ejection_percent"]) == (2, 50)
    enforcing = {name: value for name, value in found.items() if name.startswith("enforcing")}
    assert set(enforcing.values()) == {0} and len(enforcing) == 5


def test_host_names_are_resolved_by_envoy() -> None:
    found = shown(cluster(Cluster(name=NAME, hostnames=(Endpoint(address="api.example", port=443),))))

    assert found["type"] == "STRICT_DNS"
    member = found["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
    assert member["endpoint"]["address"]["socket_address"] == {"address": "api.example", "port_value": 443}


def test_h2c_is_spoken_to_those_who_ask_for_it() -> None:
    options = shown(cluster(Cluster(name=NAME, protocol="http2")))["typed_extension_protocol_options"]

    (protocol,) = options.values()
    assert "http2_protocol_options" in protocol["explicit_http_config"]


def test_the_name_of_a_backend_is_always_verified() -> None:
    found = cluster(Cluster(name=NAME, tls=ClientTls(sni="api.example", ca=SecretName("ca/1"))))

    context = shown(found)["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    sans = context["default_validation_context"]["match_typed_subject_alt_names"]
    assert sans == [{"san_type": "DNS", "matcher": {"exact": "api.example"}}]
    assert [(ref.type_url, ref.name) for ref in found.refs] == [(SECRET, "ca/1")]


def test_a_backend_whose_tls_cannot_be_trusted_gets_no_connection_rather_than_a_plain_one() -> None:
    found = shown(cluster(Cluster(name=NAME, tls=ClientTls(sni="a", invalid="the CA is missing"))))

    assert "transport_socket" not in found
    assert found["type"] == "STATIC" or "type" not in found
    assert found["load_assignment"] == {"cluster_name": NAME}


def test_an_empty_endpoint_set_is_said_not_left_out() -> None:
    assert shown(endpoints(Endpoints(cluster=NAME))) == {"cluster_name": NAME}


def test_only_ready_endpoints_get_requests() -> None:
    members = (Endpoint(address="127.0.0.1", port=1), Endpoint(address="127.0.0.2", port=1, is_ready=False))

    found = shown(endpoints(Endpoints(cluster=NAME, members=members)))["endpoints"][0]["lb_endpoints"]

    assert [m["endpoint"]["address"]["socket_address"]["address"] for m in found] == ["127.0.0.1"]
