"""Explain: the way of a request through a graph, and why near misses miss."""

import msgspec

from seawall.gateway.explain import Explanation, explain
from seawall.gateway.graph import (
    ClientTls,
    Cluster,
    ClusterName,
    Cors,
    Endpoint,
    Endpoints,
    FilterChain,
    Forward,
    Graph,
    HeaderEdits,
    HostKey,
    Hostname,
    Listener,
    ListenerName,
    Mirror,
    NativeFilter,
    ObjectKey,
    PathEdit,
    Redirect,
    Respond,
    Retry,
    Route,
    RouteMatch,
    ServerTls,
    TableName,
    ValueMatch,
    VirtualHost,
    WeightedBackend,
)
from seawall.gateway.matching import parse_request
from seawall.kit.units import Seconds
from tests.gateway import world
from tests.gateway.test_streams import TCP, stream
from tests.gateway.world import edge, made, pair, resolved, service

ORIGIN = ObjectKey("HTTPRoute/shop/api")
HTTP, HTTPS = ListenerName("tcp/127.0.0.1/8080"), ListenerName("tcp/127.0.0.1/8443")
PLAIN = TableName("tcp/127.0.0.1/8080")
SHOP, OTHER = TableName("tcp/127.0.0.1/8443/*.shop.example"), TableName("tcp/127.0.0.1/8443/other.example")
CATALOG, EMPTY, BROKEN = ClusterName("Service/shop/catalog/80"), ClusterName("empty"), ClusterName("broken")


def _to(*backends: WeightedBackend, **fields: object) -> Forward:
    action = Forward(backends=backends or (WeightedBackend(cluster=CATALOG),))
    return msgspec.structs.replace(action, **fields)


def _route(name: str, action: Forward | Redirect | Respond, match: RouteMatch | None = None, **fields: object) -> Route:
    route = Route(name=name, origin=ORIGIN, path=f"$.{name}", match=match or RouteMatch(), action=action)
    return msgspec.structs.replace(route, **fields)


def _graph(*routes: Route, hostname: str = "shop.example", more: dict[HostKey, VirtualHost] | None = None) -> Graph:
    key = HostKey(PLAIN, Hostname(hostname))
    secure = (
        FilterChain(
            name="https/*.shop.example",
            protocol="https",
            server_names=(Hostname("*.shop.example"),),
            tls=ServerTls(certificates=()),
            table=SHOP,
            misdirected=(Hostname("other.example"),),
        ),
        FilterChain(
            name="https/other.example",
            protocol="https",
            server_names=(Hostname("other.example"),),
            tls=ServerTls(certificates=()),
            table=OTHER,
            misdirects_unknown=True,
        ),
    )
    clusters = (
        Cluster(name=CATALOG),
        Cluster(name=EMPTY),
        Cluster(name=BROKEN, tls=ClientTls(sni="x", invalid="no CA")),
    )
    return Graph(
        listeners={
            HTTP: Listener(
                name=HTTP,
                address="127.0.0.1",
                port=8080,
                chains=(FilterChain(name="http", protocol="http", table=PLAIN),),
            ),
            HTTPS: Listener(name=HTTPS, address="127.0.0.1", port=8443, chains=secure),
        },
        hosts={key: VirtualHost(key=key, routes=routes), **(more or {})},
        clusters={cluster.name: cluster for cluster in clusters},
        endpoints={
            CATALOG: Endpoints(
                cluster=CATALOG,
                members=(Endpoint(address="10.0.0.1", port=80), Endpoint(address="::1", port=80, is_ready=False)),
            )
        },
    )


def _ask(graph: Graph, url: str, *headers: str, method: str = "GET", sni: str | None = None) -> Explanation:
    return explain(graph, parse_request(method, url, headers, sni), lambda key, path: f"{key}:{path}")


def _host(table: TableName, name: str, *routes: Route) -> dict[HostKey, VirtualHost]:
    key = HostKey(table, Hostname(name))
    return {key: VirtualHost(key=key, routes=routes)}


# ── the way there ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_meets_its_route_and_its_backend() -> None:
    found = _ask(_graph(_route("all", _to())), "http://shop.example:8080/a?b")

    assert (found.address, found.hostname, found.outcome.kind) == ("127.0.0.1:8080", "shop.example", "forward")
    assert found.outcome.sent == "http://shop.example:8080/a?b"
    assert found.outcome.backends[0].endpoints == ("10.0.0.1:80",)
    assert found.considered[0].place == "HTTPRoute/shop/api:$.all"


def test_near_misses_and_shadowed_routes_say_why() -> None:
    beta = RouteMatch(headers=(ValueMatch(name="x-beta", value="yes"),))
    graph = _graph(_route("beta", _to(), beta), _route("all", _to()), _route("late", _to()))

    found = _ask(graph, "http://shop.example:8080/")

    assert [one.verdict for one in found.considered] == ["misses", "wins", "shadowed"]
    assert found.considered[0].why == ("header x-beta is missing",)
    assert found.considered[2].why == ("it matches too, but all comes first",)


def test_a_port_where_nobody_listens_is_told_with_those_that_are_open() -> None:
    found = _ask(_graph(), "http://shop.example:9090/")

    assert found.outcome.kind == "refuse"
    assert "127.0.0.1:8080" in found.outcome.reason


def test_a_url_without_port_takes_the_listener_of_its_scheme_and_says_so() -> None:
    found = _ask(_graph(_route("all", _to())), "http://shop.example/")

    assert found.listener == HTTP
    assert "port 80" in found.notes[0]


def test_a_client_is_said_to_make_no_difference_as_long_as_it_makes_none() -> None:
    request = parse_request("GET", "http://shop.example:8080/", client="192.0.2.7")

    assert "192.0.2.7" in explain(_graph(_route("all", _to())), request).notes[0]


def test_no_listener_at_all_is_told() -> None:
    assert "open are: none" in _ask(Graph(), "http://shop.example/").outcome.reason


def test_an_address_chooses_among_listeners() -> None:
    graph = _graph(_route("all", _to()))
    other = ListenerName("tcp/127.0.0.2/8080")
    chain = FilterChain(name="http", protocol="http", table=TableName(other))
    elsewhere = Listener(name=other, address="127.0.0.2", port=8080, chains=(chain,))
    graph = msgspec.structs.replace(
        graph,
        listeners={**graph.listeners, other: elsewhere},
        hosts={**graph.hosts, **_host(TableName(other), "shop.example", _route("there", _to()))},
    )

    by_name = _ask(graph, "http://shop.example:8080/")
    by_address = _ask(graph, "http://127.0.0.2:8080/", "Host: shop.example")

    assert by_address.listener == other
    assert "could also mean" in by_name.notes[0]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_server_name_chooses_the_chain() -> None:
    graph = _graph(more=_host(SHOP, "*.shop.example", _route("all", _to())))

    found = _ask(graph, "https://www.shop.example:8443/")

    assert (found.chain, found.hostname, found.outcome.kind) == (
        "https/*.shop.example",
        "*.shop.example",
        "forward",
    )


def test_a_server_name_that_nobody_has_is_refused() -> None:
    graph = _graph()

    assert "nothing is for SNI nope.example" in _ask(graph, "https://nope.example:8443/").outcome.reason
    assert "without SNI" in _ask(graph, "https://127.0.0.1:8443/").outcome.reason


def test_the_wrong_scheme_is_told() -> None:
    graph = _graph()

    assert "use https" in _ask(graph, "http://other.example:8443/").outcome.reason
    assert "use http" in _ask(graph, "https://shop.example:8080/").outcome.reason


def test_a_host_of_another_listener_is_misdirected() -> None:
    graph = _graph()

    by_name = _ask(graph, "https://www.shop.example:8443/", "Host: other.example")
    by_absence = _ask(graph, "https://other.example:8443/", "Host: nope.example")

    assert (by_name.outcome.status, by_absence.outcome.status) == (421, 421)


def test_passthrough_is_told() -> None:
    graph = _graph()
    chain = FilterChain(name="tls", protocol="tls", backends=(WeightedBackend(cluster=CATALOG),))
    listener = msgspec.structs.replace(graph.listeners[HTTPS], chains=(chain,))
    graph = msgspec.structs.replace(graph, listeners={HTTPS: listener})

    found = _ask(graph, "https://any.example:8443/")

    assert [(one.cluster, one.share) for one in found.outcome.backends] == [("Service/shop/catalog/80", 100.0)]


def _stream_world() -> Graph:
    tls = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"certificateRefs": [{"name": "pair"}]}}
    udp = {"name": "udp", "port": 1, "protocol": "UDP"}
    routes = [
        stream("TCPRoute", "home", "web", "none"),
        stream("TLSRoute", hostnames=["a.example"]),
        stream("UDPRoute", "home", "none"),
    ]
    web = made("EndpointSlice", "web-1", _SLICE, labels={"kubernetes.io/service-name": "web"})
    objects = [*edge(TCP, tls, udp, world.HTTP), pair(), service(), web, *routes]
    return resolved(*objects).graph


_SLICE = {"addressType": "IPv4", "ports": [{"port": 90}], "endpoints": [{"addresses": ["127.1.0.1"]}]}


def test_connections_are_followed_to_their_endpoints() -> None:
    graph = _stream_world()

    tcp = _ask(graph, "tcp://edge.example:1")
    tls = _ask(graph, "tls://a.example:443")

    assert [(one.share, one.endpoints, one.note) for one in tcp.outcome.backends] == [
        (50.0, ("127.1.0.1:90",), ""),
        (50.0, (), "the backend does not exist or may not be used: this share is closed"),
    ]
    assert tls.outcome.reason == "TLSRoute/shop/home passes on what is inside its TLS"
    assert (tls.sni, tls.chain) == ("a.example", "tls/a.example")


def test_what_is_closed_says_why() -> None:
    graph = _stream_world()

    asked = ("udp://edge.example:1", "tls://b.example:443", "tcp://edge.example:80", "tls://edge.example:1")

    assert [_ask(graph, url).outcome.reason for url in asked] == [
        "the connection is closed: UDPRoute/shop/home has no backend that can be used",
        "the connection is closed: no route is attached that wants it",
        "port 80 speaks http: ask for http://",
        "port 1 speaks plain tcp and the request is tls: use http or tcp",
    ]


# ── hosts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_there_is_no_way_back_to_a_wider_host() -> None:
    only_a = _route("a", _to(), RouteMatch(path="/a"))
    graph = _graph(only_a, more=_host(PLAIN, "*", _route("all", _to())))

    found = _ask(graph, "http://shop.example:8080/b")

    assert (found.outcome.status, found.other_hostnames) == (404, ("*",))
    assert "not asked" in found.outcome.reason


def test_a_host_that_nobody_serves_is_a_404_that_names_those_that_are() -> None:
    without = _ask(_graph(_route("all", _to())), "http://nope.example:8080/")
    kept_empty = _ask(_graph(_route("all", _to()), more=_host(PLAIN, "*")), "http://nope.example:8080/")

    assert without.outcome.status == kept_empty.outcome.status == 404
    assert "here are: shop.example" in without.outcome.reason


def test_what_the_edge_refuses_before_any_route_is_told() -> None:
    graph = _graph(_route("all", _to()))

    assert _ask(graph, "http://shop.example:8080/", "a_b: c").outcome.status == 400
    assert _ask(graph, "http://shop.example:8080/a%2Fb").outcome.status == 307


# ── what comes of it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_redirect_says_where_to() -> None:
    tests = {
        Redirect(scheme="https", port=8443, status=308): "https://shop.example:8443/a?b",
        Redirect(scheme="https"): "https://shop.example/a?b",
        Redirect(scheme="http", port=80): "http://shop.example/a?b",
        Redirect(host="www.example", path=PathEdit(type="ReplaceFullPath", value="/z")): "http://www.example/z?b",
    }

    for action, location in tests.items():
        found = _ask(_graph(_route("r", action)), "http://shop.example:8080/a?b")
        assert found.outcome.location == location

    wide = _ask(_graph(_route("r", Redirect(scheme="https")), hostname="*"), "http://any.example:8080/a")
    plain = _ask(
        _graph(_route("r", Redirect(path=PathEdit(type="ReplaceFullPath", value="/b"))), hostname="*"),
        "http://any.example:8080/a",
    )
    assert (wide.outcome.location, plain.outcome.location) == ("https://any.example/a", "http://any.example:8080/b")


def test_an_answer_of_our_own_is_told() -> None:
    found = _ask(_graph(_route("q", Respond(status=500, reason="in quarantine"))), "http://shop.example:8080/")

    assert (found.outcome.status, found.outcome.reason) == (500, "in quarantine")


def test_backends_that_cannot_serve_say_why() -> None:
    def outcome(*names: ClusterName | None, weight: int = 1) -> tuple[int | None, str]:
        backends = tuple(WeightedBackend(cluster=name, weight=weight) for name in names)
        found = _ask(_graph(_route("r", _to(*backends))), "http://shop.example:8080/").outcome
        return found.status, found.reason

    assert outcome(None)[0] == 500
    assert outcome(EMPTY)[0] == 503
    assert outcome(BROKEN) == (503, "no connection to the backend can be made, this share gets a 503: no CA")
    assert outcome(CATALOG, weight=0) == (500, "the rule has no backend with a weight above 0")
    assert outcome(None, CATALOG) == (None, "")


def test_shares_are_told_in_percent() -> None:
    backends = (WeightedBackend(cluster=CATALOG, weight=9), WeightedBackend(cluster=None, weight=1))

    found = _ask(_graph(_route("r", _to(*backends))), "http://shop.example:8080/")

    assert [one.share for one in found.outcome.backends] == [90.0, 10.0]


def test_every_filter_is_told() -> None:
    edits = HeaderEdits(set=(("a", "1"),), add=(("b", "2"),), remove=("c",))
    action = _to(
        WeightedBackend(cluster=CATALOG, request_headers=edits),
        rewrite_host="catalog.internal",
        rewrite_path=PathEdit(type="ReplacePrefixMatch", value="/v2"),
        mirrors=(Mirror(cluster=EMPTY, numerator=5),),
        timeout=Seconds(3),
        try_timeout=Seconds(1),
        retry=Retry(attempts=2, codes=(503,)),
    )
    route = _route(
        "r", action, RouteMatch(path="/v1"), request_headers=edits, cors=Cors(allow_origins=("https://a.example",))
    )

    found = _ask(_graph(route), "http://shop.example:8080/v1/x")

    assert found.outcome.sent == "http://catalog.internal/v2/x"
    assert found.outcome.backends[0].filters[0] == "request header a set to '1'"
    assert found.filters == (
        "CORS: origins https://a.example",
        "request header a set to '1'",
        "request header b gets '2' added",
        "request header c removed",
        "host rewritten to catalog.internal",
        "path rewritten (ReplacePrefixMatch /v2)",
        "5 % mirrored to empty",
        "timeout 3 s",
        "timeout of each try 1 s",
        "up to 2 retries on 503",
    )


def test_a_timeout_of_zero_is_no_timeout() -> None:
    found = _ask(_graph(_route("r", _to(timeout=Seconds(0), retry=Retry()))), "http://shop.example:8080/")

    assert found.filters == ("no timeout", "up to 1 retries")


def test_native_filters_on_the_way_are_told() -> None:
    graph = _graph(_route("a", _to()))
    native = NativeFilter(name="a/b/c", type_url="x", config=b"{}", origin=ObjectKey("HTTPFilterPolicy/a/b"))
    listeners = {
        name: msgspec.structs.replace(
            one, chains=tuple(msgspec.structs.replace(chain, filters=(native,)) for chain in one.chains)
        )
        for name, one in graph.listeners.items()
    }

    found = _ask(msgspec.structs.replace(graph, listeners=listeners), "http://shop.example/")

    assert any("native filter a/b/c (HTTPFilterPolicy/a/b)" in note for note in found.notes)
