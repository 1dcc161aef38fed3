"""The UDP side of HTTPS ports."""

from seawall.envoy.build import Builder
from seawall.envoy.quic import quic_name
from seawall.gateway.graph import ListenerName
from seawall.gateway.resolve import Resolver
from seawall.xds.resource import CLUSTER, LISTENER, SECRET, Ref, ResourceName
from tests.envoy.graphs import everything
from tests.envoy.test_listeners import shown
from tests.gateway.manners import manners
from tests.gateway.world import edge, https, made, pair, resolved, service

QUIC = Ref(LISTENER, ResourceName("udp/127.0.0.1/443"))
DATAGRAMS = {"name": "udp", "port": 443, "protocol": "UDP"}


def world(*listeners: dict[str, object]) -> Resolver:
    return resolved(
        *edge(https("a", "a.example"), https("b"), *listeners),
        pair(),
        manners("p", section="a", http3={"maxAge": "1h"}),
    )


def test_only_listeners_that_want_it_are_on_the_udp_side_with_their_secrets() -> None:
    graph = world().graph
    builder = Builder()
    builder.update(graph, everything(graph))

    resource = builder.snapshot.get(QUIC)
    tcp = builder.snapshot.get(Ref(LISTENER, ResourceName("tcp/127.0.0.1/443")))
    assert resource is not None
    assert tcp is not None
    assert resource.refs == tcp.refs
    (chain,) = shown(resource)["filter_chains"]
    assert chain["filter_chain_match"] == {"server_names": ["a.example"]}
    transport = chain["transport_socket"]["typed_config"]
    assert transport["enable_early_data"] is False
    assert transport["downstream_tls_context"]["common_tls_context"]["alpn_protocols"] == ["h3"]
    assert chain["filters"][0]["typed_config"]["codec_type"] == "HTTP3"
    # A request over HTTP/3 does not have to be told of it, but a client may ask once more: the same filters on both sides.
    assert "seawall.alt-svc" in [one["name"] for one in chain["filters"][0]["typed_config"]["http_filters"]]


def test_it_needs_only_what_its_own_chains_need() -> None:
    passed_on = {"name": "t", "port": 443, "protocol": "TLS", "hostname": "t.example", "tls": {"mode": "Passthrough"}}
    to = {
        "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        "parentRefs": [{"name": "edge", "sectionName": "t"}],
    }
    found = world(passed_on)
    found.update(put=[service(), made("TLSRoute", "t", {"spec": {**to, "hostnames": ["t.example"]}})])
    builder = Builder()
    builder.update(found.graph, everything(found.graph))

    quic, tcp = (builder.snapshot.get(Ref(LISTENER, ResourceName(f"{one}/127.0.0.1/443"))) for one in ("udp", "tcp"))

    # Its bytes would stay the same when the stream goes elsewhere, and what it is said to need would then be gone.
    assert quic is not None
    assert tcp is not None
    assert {ref.type_url for ref in quic.refs} == {SECRET}
    assert {ref.type_url for ref in tcp.refs} == {SECRET, CLUSTER}


def test_a_udp_listener_of_somebody_goes_before_it_and_it_comes_back() -> None:
    found = world()
    builder = Builder()
    builder.update(found.graph, everything(found.graph))
    quic = builder.snapshot.get(QUIC)

    change = found.update(put=edge(https("a", "a.example"), https("b"), DATAGRAMS))
    builder.update(found.graph, change)
    theirs = builder.snapshot.get(QUIC)
    change = found.update(put=edge(https("a", "a.example"), https("b")))
    builder.update(found.graph, change)

    assert theirs is not None
    assert theirs != quic
    assert builder.snapshot.get(QUIC) == quic

    builder.update(found.graph, found.update(remove=[made("ListenerPolicy", "p", POLICY).key]))
    assert builder.snapshot.get(QUIC) is None


POLICY = {"spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}]}}


def test_what_is_no_stream_has_no_udp_side() -> None:
    assert quic_name(ListenerName("udp/127.0.0.1/53")) is None
