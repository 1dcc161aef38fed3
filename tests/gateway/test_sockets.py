"""The listeners of one port together."""

from seawall.gateway.graph import Listener, ListenerName
from tests.gateway.world import HTTP, edge, https, listener_set, pair, resolved, said

NAME = ListenerName("tcp/127.0.0.1/443")
ALL = {"namespaces": {"from": "All"}}


def _listener(*listeners: object) -> Listener:
    world = resolved(*edge(*listeners), pair())  # type: ignore[arg-type]  # dicts
    return world.graph.listeners[NAME]


def test_few_hostnames_are_all_listed_for_421() -> None:
    chains = _listener(https("a", "a.example"), https("b", "*.example"), https("c", "c.test")).chains

    assert [(chain.server_names, chain.misdirected, chain.misdirects_unknown) for chain in chains] == [
        (("*.example",), ("a.example", "c.test"), False),
        (("a.example",), ("*.example", "c.test"), False),
        (("c.test",), ("*.example", "a.example"), False),
    ]


def test_of_many_hostnames_only_the_narrower_are_listed_and_the_rest_is_unknown() -> None:
    # A Gateway takes 64 listeners; ListenerSets bring the rest.
    sets = [listener_set(f"s{at}", *(https(f"l{n}", f"h{at}x{n}.test") for n in range(40)), at=at) for at in range(2)]
    gateway = edge(https("any"), https("wild", "*.example"), https("a", "a.example"), allowedListeners=ALL)

    chains = {chain.name: chain for chain in resolved(*gateway, *sets, pair()).graph.listeners[NAME].chains}

    assert len(chains) == 83
    assert (chains["https/a.example"].misdirected, chains["https/a.example"].misdirects_unknown) == ((), True)
    assert chains["https/*.example"].misdirected == ("a.example",)
    assert (len(chains["https/*"].misdirected), chains["https/*"].misdirects_unknown) == (82, False)


def test_listeners_of_one_gateway_that_collide_all_lose() -> None:
    world = resolved(*edge(HTTP, https("tls") | {"port": 80}), pair())

    for name in ("http", "tls"):
        assert said(world, "Gateway/shop/edge", "Conflicted", listener=name) == ("True", "ProtocolConflict")
        assert said(world, "Gateway/shop/edge", "Programmed", listener=name) == ("False", "ProtocolConflict")
    assert said(world, "Gateway/shop/edge", "Accepted") == ("False", "ListenersNotValid")
    assert dict(world.graph.listeners) == {}


def test_https_and_tls_share_a_port_but_not_a_hostname() -> None:
    tls = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}, "hostname": "a.example"}

    world = resolved(*edge(https("https", "a.example"), tls, https("other", "b.example")), pair())

    reasons = [said(world, "Gateway/shop/edge", "Conflicted", listener=name) for name in ("https", "tls", "other")]
    assert reasons == [("True", "HostnameConflict"), ("True", "HostnameConflict"), ("False", "NoConflicts")]


def test_a_listener_set_gets_a_place_when_the_one_before_it_leaves() -> None:
    first = listener_set("first", HTTP | {"port": 90}, at=1)
    second = listener_set("second", HTTP | {"port": 90}, at=2)
    world = resolved(*edge(allowedListeners=ALL), first, second)
    before = said(world, "ListenerSet/shop/second", "Accepted")

    world.update(remove=[first.key])

    assert before == ("False", "ListenersNotValid")
    assert said(world, "ListenerSet/shop/second", "Accepted") == ("True", "Accepted")


def test_overlapping_tls_is_said() -> None:
    world = resolved(*edge(https("wild", "*.example"), https("a", "a.example"), https("b", "b.test")), pair())

    found = {
        name: said(world, "Gateway/shop/edge", "OverlappingTLSConfig", listener=name) for name in ("wild", "a", "b")
    }
    assert set(found.values()) == {("True", "OverlappingCertificates")}

    world.update(remove=[pair().key])
    found = {
        name: said(world, "Gateway/shop/edge", "OverlappingTLSConfig", listener=name) for name in ("wild", "a", "b")
    }
    assert found == {"wild": ("True", "OverlappingHostnames"), "a": ("True", "OverlappingHostnames"), "b": None}


def test_listeners_with_certificates_of_their_own_do_not_overlap() -> None:
    own = {"certificateRefs": [{"name": "own"}]}

    world = resolved(*edge(https("a", "a.example"), https("b", "b.example", tls=own)), pair(), pair("own"))

    assert said(world, "Gateway/shop/edge", "OverlappingTLSConfig", listener="a") is None
