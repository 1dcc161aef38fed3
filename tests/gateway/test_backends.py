"""Services and Backends made into clusters, beyond the golden cases."""

from typing import Any

import msgspec
import pytest

from seawall.gateway.graph import ClusterName, Endpoint
from seawall.gateway.objects import Object
from tests.gateway.world import edge, made, pair, problems, resolved, route, rule, said, service, trust

HOME = "HTTPRoute/shop/home"
WEB = ClusterName("Service/shop/web/80")


def _slice(name: str, *endpoints: dict[str, Any], ports: Any = None, family: str = "IPv4") -> Object:
    labels = {"kubernetes.io/service-name": "web"}
    body = {"addressType": family, "ports": ports or [{"port": 8080}], "endpoints": list(endpoints)}
    return made("EndpointSlice", name, body, labels=labels)


def _endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def _members(*slices: Object) -> list[tuple[str, int, bool]]:
    world = resolved(*edge(), service(), route("home"), *slices)
    return [(one.address, one.port, one.is_ready) for one in world.graph.endpoints[WEB].members]


def test_ready_endpoints_serve_and_leaving_ones_are_kept_for_their_requests() -> None:
    one = _slice("one", _endpoint("127.1.0.1"), _endpoint("127.1.0.2", ready=False, serving=True, terminating=True))
    two = _slice("two", _endpoint("127.1.0.3", ready=False), _endpoint("127.1.0.4", ready=False, serving=False))

    assert _members(one, two) == [("127.1.0.1", 8080, True), ("127.1.0.2", 8080, False)]


def test_without_ready_endpoints_the_leaving_ones_serve() -> None:
    leaving = _endpoint("127.1.0.2", ready=False, serving=True, terminating=True)

    assert _members(_slice("one", leaving)) == [("127.1.0.2", 8080, True)]


def test_an_address_in_two_slices_counts_once_and_as_ready() -> None:
    leaving = _endpoint("127.1.0.1", ready=False, serving=True, terminating=True)

    assert _members(_slice("one", leaving), _slice("two", _endpoint("127.1.0.1"))) == [("127.1.0.1", 8080, True)]


def test_ports_are_found_by_name_and_other_families_are_taken_or_passed_over() -> None:
    other = _slice("one", _endpoint("127.1.0.1"), ports=[{"name": "other", "port": 1}, {"port": 2}])
    six = _slice("two", _endpoint("::1"), family="IPv6")
    named = _slice("three", _endpoint("web.example"), family="FQDN")

    assert _members(other, six, named) == [("127.1.0.1", 2, True), ("::1", 8080, True)]


def test_a_service_without_slices_has_an_empty_cluster_and_a_warning() -> None:
    world = resolved(*edge(), service(), route("home"))

    assert world.graph.endpoints[WEB].members == ()
    assert problems(world, "Service/shop/web")[0].severity == "warning"


@pytest.mark.parametrize(
    ("app_protocol", "spoken"),
    [
        (None, "http1"),
        ("HTTP", "http1"),
        ("kubernetes.io/ws", "http1"),
        ("kubernetes.io/h2c", "http2"),
        ("grpc", "http2"),
    ],
)
def test_app_protocol_says_what_is_spoken(app_protocol: str | None, spoken: str) -> None:
    world = resolved(*edge(), service("web", {"port": 80, "appProtocol": app_protocol}), route("home"))

    assert world.graph.clusters[WEB].protocol == spoken


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        ({"port": 80, "protocol": "UDP"}, "UnsupportedProtocol"),
        ({"port": 80, "appProtocol": "https"}, "UnsupportedProtocol"),
        ({"port": 80, "appProtocol": "x.example/wish"}, "UnsupportedProtocol"),
        ({"port": 81}, "BackendNotFound"),
    ],
)
def test_a_port_that_cannot_be_spoken_to_is_refused(port: dict[str, Any], reason: str) -> None:
    world = resolved(*edge(), service("web", port), route("home"))

    assert said(world, HOME, "ResolvedRefs") == ("False", reason)
    assert WEB not in world.graph.clusters


def test_of_two_ports_with_one_number_the_right_transport_is_taken() -> None:
    ports = ({"name": "udp", "port": 80, "protocol": "UDP"}, {"name": "tcp", "port": 80})

    world = resolved(*edge(), service("web", *ports), route("home"))

    assert said(world, HOME, "ResolvedRefs") == ("True", "ResolvedRefs")


def test_routes_that_nobody_serves_make_no_cluster() -> None:
    world = resolved(*edge(), service(), route("home", parentRefs=[{"name": "edge", "sectionName": "none"}]))

    assert dict(world.graph.clusters) == {}


def test_a_backend_with_its_own_certificate_does_not_use_that_of_the_gateway() -> None:
    tls = {"clientCertificateRef": {"name": "own"}, "hostname": "in.example"}
    spec = {"endpoints": [{"ip": "127.0.0.1", "port": 1}], "tls": tls}
    backend = made("Backend", "db", {"spec": spec})
    gateway = edge(tls={"backend": {"clientCertificateRef": {"name": "pair"}}})
    refs = {"backendRefs": [{"group": "seawall.dev", "kind": "Backend", "name": "db"}]}

    world = resolved(*gateway, backend, pair(), pair("own"), route("home", refs))

    (cluster,) = world.graph.clusters.values()
    assert cluster.tls is not None
    assert (cluster.tls.certificate, cluster.tls.sni) == ("Secret/shop/own", "in.example")
    assert "Secret/shop/own" in world.graph.secrets
    assert world.graph.endpoints[cluster.name].members == (Endpoint(address="127.0.0.1", port=1),)


def test_a_backend_without_a_name_to_verify_gets_no_connection() -> None:
    spec = {"endpoints": [{"ip": "127.0.0.1", "port": 1}], "tls": {"caCertificateRefs": []}}
    backend = made("Backend", "db", {"spec": spec | {"tls": {"hostname": "x.example"}}})
    refs = {"backendRefs": [{"group": "seawall.dev", "kind": "Backend", "name": "db"}]}
    nameless = Object(kind=backend.kind, meta=backend.meta, spec=_without_hostname(backend))

    world = resolved(*edge(), nameless, trust(), route("home", refs))

    (cluster,) = world.graph.clusters.values()
    assert cluster.tls is not None
    assert "no host name" in cluster.tls.invalid
    assert said(world, "Backend/shop/db", "ResolvedRefs") == ("False", "Invalid")


def _without_hostname(backend: Object) -> Any:
    spec: Any = backend.spec
    return msgspec.structs.replace(spec, tls=msgspec.structs.replace(spec.tls, hostname=None))


def test_a_service_needs_a_port_even_if_decoding_lets_it_pass() -> None:
    home = route("home", rule("web"))
    spec: Any = home.spec
    ref = msgspec.structs.replace(spec.rules[0].backend_refs[0], port=None)
    bare = msgspec.structs.replace(spec, rules=(msgspec.structs.replace(spec.rules[0], backend_refs=(ref,)),))

    world = resolved(*edge(), service(), Object(kind=home.kind, meta=home.meta, spec=bare))

    assert said(world, HOME, "ResolvedRefs") == ("False", "BackendNotFound")
