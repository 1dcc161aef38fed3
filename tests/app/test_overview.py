"""Overview: what is served, and commands that really reach it."""

from pathlib import Path

from seawall.app.offline import Offline
from seawall.app.overview import Overview, overview
from seawall.gateway.graph import ListenerName
from tests.gateway.test_grpc import grpc
from tests.gateway.test_streams import TCP, stream
from tests.gateway.world import HTTP, edge, resolved, service

SHOP = Path(__file__).parents[2] / "examples/shop"


def _seen(faults: dict[ListenerName, str] | None = None) -> Overview:
    return overview(Offline(SHOP).resolver.graph, faults or {})


def test_each_listener_lists_its_hosts_and_routes_with_their_targets() -> None:
    http, https = _seen().listeners

    assert (http.url, https.url) == ("http://127.0.0.1:8080", "https://127.0.0.1:8443")
    targets = {(one.host, one.match): one.target for one in (*http.routes, *https.routes)}
    assert targets["api.shop.example", "/v1/catalog"] == "shop/catalog:80"
    assert targets["shop.example", "/"] == "301 to www.shop.example on port 8080"
    assert targets["checkout.shop.example", "/"] == "90 % payments/checkout:80, 10 % payments/checkout-next:80"
    assert all(one.is_served for one in http.routes)


def test_the_commands_name_host_port_and_address() -> None:
    curls = _seen().curls

    assert "curl --resolve www.shop.example:8080:127.0.0.1 http://www.shop.example:8080/" in curls
    assert "curl --resolve checkout.shop.example:8443:127.0.0.1 -k https://checkout.shop.example:8443/" in curls
    # The route that needs no header is the one to try.
    assert "curl --resolve api.shop.example:8080:127.0.0.1 http://api.shop.example:8080/v1/catalog" in curls


def test_a_listener_that_cannot_be_opened_has_no_commands() -> None:
    seen = _seen({ListenerName("tcp/127.0.0.1/8080"): "in use"})

    assert seen.listeners[0].fault == "in use"
    assert all(":8443" in curl for curl in seen.curls)


def test_what_passes_connections_on_is_shown_with_its_hostname_and_calls_have_no_command() -> None:
    tls = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    graph = resolved(
        *edge(tls, TCP, HTTP),
        service(),
        stream("TLSRoute", hostnames=["a.example"]),
        grpc("calls", {"backendRefs": [{"name": "none", "port": 80}]}),
    ).graph

    seen = overview(graph, {})

    assert [(one.url, [(at.host, at.target) for at in one.routes]) for one in seen.listeners] == [
        ("tcp://127.0.0.1:1", [("*", "closed, no backend")]),
        ("http://127.0.0.1:80", [("*", "missing (503)")]),
        ("tls://127.0.0.1:443", [("a.example", "shop/web:80")]),
        ("tls://127.0.0.1:443", [("*", "closed, no backend")]),
    ]
    assert seen.curls == ()


def test_what_needs_more_than_a_path_is_in_the_command(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text((SHOP / "gateway.yaml").read_text())
    (tmp_path / "route.yaml").write_text(
        """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: edge}
spec:
  parentRefs: [{name: shop, sectionName: http}]
  rules:
  - matches:
    - method: POST
      path: {value: /a}
      headers: [{name: X-A, value: "1"}]
      queryParams: [{name: q, value: "2"}]
    backendRefs: [{name: nowhere, port: 80}]
"""
    )

    seen = overview(Offline(tmp_path).resolver.graph, {})

    assert seen.curls == ("curl -X POST -H 'x-a: 1' 'http://127.0.0.1:8080/a?q=2'",)
    assert [(one.target, one.is_served) for one in seen.listeners[0].routes] == [("missing (500)", False)]
