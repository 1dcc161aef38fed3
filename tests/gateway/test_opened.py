"""What Envoy opens for a socket."""

from seawall.gateway.graph import Hostname
from tests.gateway.test_streams import TCP, THROUGH, UDP, chains, stream
from tests.gateway.world import edge, https, pair, resolved, said, service

SOCKET = "tcp/127.0.0.1/443"


def test_sockets_open_before_their_routes_come() -> None:
    world = resolved(*edge(TCP, UDP, THROUGH))

    made = {name: (one.transport, [chain.name for chain in one.chains]) for name, one in world.graph.listeners.items()}
    assert made == {
        "tcp/127.0.0.1/1": ("tcp", ["tcp"]),
        "udp/127.0.0.1/1": ("udp", ["udp"]),
        SOCKET: ("tcp", ["tls/*"]),
    }
    assert said(world, "Gateway/shop/edge", "Programmed", listener="tcp") == ("True", "Programmed")


def test_terminated_and_passed_through_share_a_port() -> None:
    opened = THROUGH | {"name": "open", "hostname": "open.example", "tls": {"certificateRefs": [{"name": "pair"}]}}
    through = THROUGH | {"hostname": "through.example"}
    route = stream("TLSRoute", hostnames=["open.example", "through.example"])

    world = resolved(*edge(opened, through, https("web", "web.example")), service(), pair(), route)

    found = chains(world, SOCKET)
    assert {name: chain.tls is not None for name, chain in found.items()} == {
        "https/web.example": True,
        "tls/open.example": True,
        "tls/through.example": False,
    }


def test_where_no_backend_can_be_used_there_is_no_handshake() -> None:
    opened = THROUGH | {"tls": {"certificateRefs": [{"name": "pair"}]}}

    world = resolved(*edge(opened), pair(), stream("TLSRoute", "home", "none", hostnames=["a.example"]))

    assert [chain.tls for chain in chains(world, SOCKET).values()] == [None, None]


def test_a_listener_that_cannot_serve_keeps_its_hostname_from_a_wider_one() -> None:
    wide = THROUGH | {"hostname": "*.example"}
    broken = https("broken", "a.example", tls={"certificateRefs": [{"name": "none"}]})
    blind = THROUGH | {"name": "blind", "hostname": "b.example", "tls": {"certificateRefs": [{"name": "none"}]}}
    elsewhere = https("elsewhere", "c.test", tls={"certificateRefs": [{"name": "none"}]})
    routes = stream("TLSRoute", hostnames=["*.example", "b.example"])

    world = resolved(*edge(wide, broken, blind, elsewhere), service(), routes)

    found = chains(world, SOCKET)
    assert {name: bool(chain.backends) for name, chain in found.items()} == {
        "tls/*.example": True,
        "tls/a.example": False,
        "tls/b.example": False,
    }
    assert found["tls/b.example"].server_names == (Hostname("b.example"),)
