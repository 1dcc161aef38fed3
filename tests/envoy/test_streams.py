"""Connections and datagrams by weight."""

from typing import Any

import pytest

from seawall.envoy.listeners import EdgeDefaults, listener
from seawall.envoy.messages import full_name
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import (
    ClusterName,
    FilterChain,
    Hostname,
    Listener,
    ListenerName,
    SecretName,
    ServerTls,
    WeightedBackend,
)
from seawall.xds.resource import CLUSTER, Ref, Resource, ResourceName

ONE, TWO, GONE = (
    WeightedBackend(cluster=ClusterName("one"), weight=1),
    WeightedBackend(cluster=ClusterName("two"), weight=3),
    WeightedBackend(cluster=None, weight=4),
)
WEIGHTLESS = WeightedBackend(cluster=ClusterName("one"), weight=0)


def built(chain: FilterChain) -> Resource:
    transport = "udp" if chain.protocol == "udp" else "tcp"
    socket = Listener(
        name=ListenerName(f"{transport}/127.0.0.1/1"),
        address="127.0.0.1",
        port=1,
        transport=transport,  # type: ignore[arg-type]  # one of the two
        chains=(chain,),
    )
    return listener(socket, EdgeDefaults())


def shown(resource: Resource) -> dict[str, Any]:
    return as_json(decode(full_name(resource.type_url), resource.body))


def tcp(*backends: WeightedBackend) -> dict[str, Any]:
    chain = shown(built(FilterChain(name="tcp", protocol="tcp", backends=backends)))["filter_chains"][0]
    assert "filter_chain_match" not in chain
    found: dict[str, Any] = chain["filters"][0]["typed_config"]
    return found


@pytest.mark.parametrize("backends", [(), (WEIGHTLESS,), (GONE,)])
def test_without_a_backend_connections_go_to_a_cluster_that_never_exists(backends: tuple[WeightedBackend, ...]) -> None:
    assert tcp(*backends)["cluster"] == "seawall.invalid-backend"


def test_connections_are_shared_by_weight_and_what_weighs_nothing_is_left_out() -> None:
    assert tcp(ONE, TWO, WEIGHTLESS)["weighted_clusters"]["clusters"] == [
        {"name": "one", "weight": 1},
        {"name": "two", "weight": 3},
    ]
    assert tcp(ONE)["cluster"] == "one"


def test_a_listener_comes_after_the_clusters_of_its_streams() -> None:
    resource = built(FilterChain(name="tcp", protocol="tcp", backends=(TWO, ONE, GONE)))

    assert resource.refs == (Ref(CLUSTER, ResourceName("one")), Ref(CLUSTER, ResourceName("two")))


def test_passed_through_is_told_apart_by_sni_and_stays_encrypted() -> None:
    chain = FilterChain(name="tls/a", protocol="tls", server_names=(Hostname("a.example"),), backends=(ONE,))

    found = shown(built(chain))

    assert [one["name"] for one in found["listener_filters"]] == ["envoy.filters.listener.tls_inspector"]
    match = found["filter_chains"][0]["filter_chain_match"]
    assert match == {"server_names": ["a.example"], "transport_protocol": "tls"}
    assert "transport_socket" not in found["filter_chains"][0]


def test_terminated_tls_offers_no_protocol_that_nobody_knows() -> None:
    tls = ServerTls(certificates=(SecretName("Secret/a/b"),))

    found = shown(built(FilterChain(name="tls/*", protocol="tls", tls=tls, backends=(ONE,))))

    context = found["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    assert "alpn_protocols" not in context


def test_datagrams_are_shared_in_steps_of_what_is_left() -> None:
    found = shown(built(FilterChain(name="udp", protocol="udp", backends=(ONE, TWO, GONE))))

    matcher = found["listener_filters"][0]["typed_config"]["matcher"]
    shares = [one["predicate"]["single_predicate"]["custom_match"] for one in matcher["matcher_list"]["matchers"]]
    fractions = [one["typed_config"]["runtime_fraction"]["default_value"]["numerator"] for one in shares]
    assert fractions == [125_000, 428_571]
    assert [one["typed_config"].get("seed", "0") for one in shares] == ["0", "1"]
    assert matcher["on_no_match"]["action"]["typed_config"]["cluster"] == "seawall.invalid-backend"


def test_a_single_backend_needs_no_draw() -> None:
    found = shown(built(FilterChain(name="udp", protocol="udp", backends=(ONE,))))

    matcher = found["listener_filters"][0]["typed_config"]["matcher"]
    assert found["address"]["socket_address"]["protocol"] == "UDP"
    assert "matcher_list" not in matcher
    assert matcher["on_no_match"]["action"]["typed_config"]["cluster"] == "one"
