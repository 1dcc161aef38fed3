"""TLSRoutes, TCPRoutes and UDPRoutes: where connections go and what is said of it."""

from typing import Any

from seawall.gateway.graph import FilterChain, ListenerName, WeightedBackend
from seawall.gateway.objects import Object
from tests.gateway.world import edge, made, pair, problems, resolved, said, service

TCP = {"name": "tcp", "port": 1, "protocol": "TCP"}
UDP = {"name": "udp", "port": 1, "protocol": "UDP"}
THROUGH = {"name": "through", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
HOME = "TCPRoute/shop/home"


def stream(kind: str, name: str = "home", *backends: str, at: int = 0, parent: Any = None, **spec: Any) -> Object:
    refs = [{"name": backend, "port": 80} for backend in backends or ("web",)]
    body = {"parentRefs": [parent or {"name": "edge"}], "rules": [{"backendRefs": refs}], **spec}
    return made(kind, name, {"spec": body}, at=at)


def chains(world: Any, socket: str = "tcp/127.0.0.1/1") -> dict[str, FilterChain]:
    return {chain.name: chain for chain in world.graph.listeners[ListenerName(socket)].chains}


def test_a_tcp_route_takes_the_whole_listener() -> None:
    world = resolved(*edge(TCP), service(), stream("TCPRoute"))

    (chain,) = chains(world).values()
    assert [one.cluster for one in chain.backends] == ["Service/shop/web/80/tcp"]
    assert said(world, HOME, "Accepted") == ("True", "Accepted")


def test_of_two_routes_the_older_serves_both_are_accepted_and_the_younger_is_told() -> None:
    world = resolved(*edge(TCP), service(), service("new"), stream("TCPRoute", "old"), stream("TCPRoute", "home", at=1))

    assert chains(world)["tcp"].origins == ("Gateway/shop/edge", "TCPRoute/shop/old")
    assert said(world, HOME, "Accepted") == ("True", "Accepted")
    assert [one.message for one in problems(world, HOME)] == [
        "TCPRoute/shop/old is older and gets all connections of listener tcp of Gateway/shop/edge; this route gets none."
    ]


def test_a_share_without_a_backend_is_kept_and_nothing_but_such_shares_is_nothing() -> None:
    world = resolved(*edge(TCP), service(), stream("TCPRoute", "home", "web", "none"))
    partly = chains(world)["tcp"].backends

    world.update(put=[stream("TCPRoute", "home", "none")])

    assert partly[1] == WeightedBackend(cluster=None)
    assert chains(world)["tcp"].backends == ()
    assert said(world, HOME, "ResolvedRefs") == ("False", "BackendNotFound")


def test_a_route_that_fits_no_listener_still_says_what_its_backends_are() -> None:
    world = resolved(*edge(UDP), stream("TCPRoute", "home", "none"))

    assert said(world, HOME, "Accepted") == ("False", "NotAllowedByListeners")
    assert said(world, HOME, "ResolvedRefs") == ("False", "BackendNotFound")
    assert len(problems(world, HOME)) == 2


def test_a_route_in_quarantine_closes_its_connections() -> None:
    world = resolved(*edge(TCP), service(), route := stream("TCPRoute"))

    world.update(quarantine={route.key: "too big"})

    assert chains(world)["tcp"].backends == ()
    assert said(world, HOME, "Programmed") == ("False", "Invalid")
    assert "too big" in problems(world, HOME)[0].message


def test_a_route_in_quarantine_that_is_not_attached_is_not_called_unprogrammed() -> None:
    world = resolved(*edge(UDP), service(), route := stream("TCPRoute"))

    world.update(quarantine={route.key: "too big"})

    assert said(world, HOME, "Programmed") is None


def test_a_route_without_parents_is_told() -> None:
    world = resolved(*edge(TCP), service(), stream("TCPRoute", parentRefs=[]))

    assert [one.path for one in problems(world, HOME)] == ["$.spec"]


def test_a_hostname_belongs_to_the_narrowest_listener_even_without_a_route() -> None:
    wide = THROUGH | {"hostname": "*.example"}
    narrow = THROUGH | {"name": "narrow", "hostname": "a.example"}
    to_wide = stream("TLSRoute", hostnames=["a.example"], parent={"name": "edge", "sectionName": "through"})

    world = resolved(*edge(wide, narrow), service(), to_wide)

    assert {name: chain.backends for name, chain in chains(world, "tcp/127.0.0.1/443").items()} == {
        "tls/*.example": (),
        "tls/a.example": (),
    }
    assert "gets no connections there" in problems(world, "TLSRoute/shop/home")[0].message


def test_what_is_passed_through_is_not_wrapped_in_tls_again() -> None:
    policy: dict[str, Any] = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
    policy |= {"validation": {"wellKnownCACertificates": "System", "hostname": "web.example"}}
    opened = {"name": "open", "port": 444, "protocol": "TLS", "tls": {"certificateRefs": [{"name": "pair"}]}}
    route = stream("TLSRoute", hostnames=["a.example"])

    world = resolved(*edge(THROUGH, opened), service(), pair(), made("BackendTLSPolicy", "p", {"spec": policy}), route)

    has_tls = {
        socket: world.graph.clusters[chain.backends[0].cluster].tls is not None
        for socket, one in world.graph.listeners.items()
        for chain in one.chains
        if chain.backends and chain.backends[0].cluster
    }
    assert has_tls == {"tcp/127.0.0.1/443": False, "tcp/127.0.0.1/444": True}


def test_a_backend_of_ours_speaks_what_it_says() -> None:
    endpoints = [{"ip": "127.0.0.1", "port": 1}]
    spec = {"protocol": "TCP", "endpoints": endpoints, "tls": {"hostname": "a.example"}}
    own = {"backendRefs": [{"group": "seawall.dev", "kind": "Backend", "name": "db"}]}
    backend = made("Backend", "db", {"spec": spec})
    objects = [backend, stream("TCPRoute", rules=[own]), stream("TLSRoute", rules=[own], hostnames=["a.example"])]

    world = resolved(*edge(TCP, THROUGH), *objects)

    assert sorted((one.protocol, one.tls is not None) for one in world.graph.clusters.values()) == [
        ("tcp", False),
        ("tcp", True),
    ]


def test_a_route_changes_its_own_chain_and_no_other() -> None:
    routes = [stream("TLSRoute", f"r{n}", hostnames=[f"h{n}.example"]) for n in range(3)]
    world = resolved(*edge(THROUGH), service(), service("new"), *routes)
    before = chains(world, "tcp/127.0.0.1/443")

    world.update(put=[stream("TLSRoute", "r1", "new", hostnames=["h1.example"])])

    after = chains(world, "tcp/127.0.0.1/443")
    assert [name for name in after if after[name] != before[name]] == ["tls/h1.example"]
