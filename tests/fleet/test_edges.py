"""What is known of the edges."""

from seawall.fleet.edges import FORGOTTEN_AFTER, SILENT_AFTER, Edges
from seawall.fleet.wire import MOST_SOCKETS, Applied, Heartbeat, Hello, Refused, Rejected, Rejection, Tally, Tasted
from seawall.kit.units import Instant, Seconds
from seawall.xds.resource import LISTENER, Ref, ResourceName

NOON = Instant(1_000.0)
BEAT = Heartbeat(at=0, running="v", is_ready=True, envoy="live")
REJECTION = Rejection(ref=Ref(LISTENER, ResourceName("tcp/::/80")), version="1", message="in use")


def after(seconds: float) -> Instant:
    return Instant(NOON + seconds)


def fleet(*names: str) -> Edges:
    edges = Edges()
    for name in names:
        edges.connected(Hello(edge=name, software="1", envoy="1.40.0"), NOON)
    return edges


def test_an_edge_is_well_when_it_runs_all_that_it_was_told() -> None:
    edges = fleet("e1")
    edges.sent("e1", "v")
    edges.heard("e1", Applied(version="v", at=0, took=0.1), after(1))
    edges.heard("e1", BEAT, after(2))

    [edge] = edges.list(after(3))
    assert edge.is_well(after(3))
    assert not edge.is_well(after(2 + SILENT_AFTER))

    edges.heard("e1", Rejected(version="v", rejections=(REJECTION,)), after(3))
    [edge] = edges.list(after(3))
    assert not edge.is_well(after(3))
    assert edge.rejections == (REJECTION,)


def test_an_edge_that_left_is_remembered_for_a_while() -> None:
    edges = fleet("b", "a")
    edges.disconnected("a", after(1))

    assert [(edge.edge, edge.is_connected) for edge in edges.list(after(2))] == [("a", False), ("b", True)]
    assert [edge.edge for edge in edges.list(after(2 + FORGOTTEN_AFTER))] == ["b"]


def test_what_an_edge_had_applied_outlives_a_reconnect() -> None:
    edges = fleet("e1")
    edges.heard("e1", Applied(version="v", at=0), after(1))
    edges.heard("e1", Rejected(version="v", rejections=(REJECTION,)), after(1))
    edges.disconnected("e1", after(2))

    edges.connected(Hello(edge="e1"), after(3))

    edge = edges.get("e1")
    assert edge is not None
    assert (edge.applied, edge.rejections, edge.is_connected) == ("v", (), True)


def test_a_second_greeting_is_only_a_sign_of_life_and_strangers_are_ignored() -> None:
    edges = fleet("e1")
    edges.heard("e1", Hello(edge="e1"), after(9))
    edges.heard("stranger", BEAT, after(9))

    [edge] = edges.list(after(9))
    assert edge.heard_at == after(9)


def test_the_list_is_bounded() -> None:
    edges = Edges()
    for number in range(10_050):
        edges.connected(Hello(edge=f"e{number}"), after(number / 100))
        edges.disconnected(f"e{number}", after(number / 100))

    assert len(edges.list(after(101))) == 10_000
    assert edges.get("e0") is None


def test_an_edge_that_refuses_what_it_was_told_is_not_well() -> None:
    edges = fleet("e1")
    edges.heard("e1", Applied(version="v1", at=0), after(1))
    edges.heard("e1", BEAT, after(1))
    edges.sent("e1", "v1", "b1")
    edges.heard("e1", Refused(bundle="b1", by="taster", reason="It died."), after(2))
    [refusing] = edges.list(after(2))

    edges.sent("e1", "v1", "b2")
    [told_anew] = edges.list(after(2))

    assert (refusing.is_well(after(2)), told_anew.is_well(after(2))) == (False, True)


def test_of_tallies_and_tastings_the_last_is_known() -> None:
    edges = fleet("e1")
    for number in range(3):
        edges.heard("e1", Tally(at=number, run="r", bundle="b", counts={"requests": number}), after(number))
        edges.heard("e1", Tasted(bundle=f"b{number}"), after(number))

    edge = edges.get("e1")
    assert edge is not None
    assert edge.tally is not None
    assert (edge.tally.at, edge.tasted, edge.heard_at) == (2, "b2", after(2))


def test_what_runs_and_what_is_kept_is_as_its_heartbeat_says() -> None:
    edges = Edges()
    edges.connected(Hello(edge="e1", labels={"region": "eu", "cell": "eu-1"}), NOON)
    before = edges.get("e1")
    beat = Heartbeat(at=0, running="v", is_ready=True, envoy="live", bundle="b2", kept=("b1",), pinned="b1")
    edges.heard("e1", beat, after(1))

    edge = edges.get("e1")
    assert before is not None
    assert edge is not None
    assert (before.bundle, before.kept, before.pinned) == ("", (), "")
    assert (edge.bundle, edge.kept, edge.pinned) == ("b2", ("b1",), "b1")
    assert (edge.region, edge.cell) == ("eu", "eu-1")


def test_the_silent_are_named_whether_connected_or_not() -> None:
    edges = fleet("a", "b", "c")
    edges.heard("b", BEAT, after(5))
    edges.disconnected("c", after(5))

    assert edges.silent(after(10), Seconds(10.0)) == ("a", "c")
    assert edges.silent(after(15), Seconds(10.0)) == ("a", "b", "c")


def test_open_connections_are_those_of_all_edges_and_unknown_is_not_none() -> None:
    def tally(**sockets: int) -> Tally:
        named = {name.replace("_", "/"): count for name, count in sockets.items()}
        return Tally(at=1.0, run="r", bundle="", counts={}, sockets=named)

    edges = fleet("a", "b", "c")
    assert edges.connections("tcp/ip/80") == -1
    edges.heard("a", tally(tcp_ip_80=3), after(1))
    edges.heard("b", tally(tcp_ip_80=2, tcp_ip_81=1), after(1))

    # Envoy says nothing of a socket that nobody has come to, and nothing of QUIC.
    found = [edges.connections(f"tcp/ip/{port}") for port in (80, 81, 82)]
    assert (found, edges.connections("udp/ip/80")) == ([5, 1, 0], -1)

    full = fleet("a")
    full.heard("a", tally(**{f"tcp_ip_{port}": 1 for port in range(MOST_SOCKETS)}), after(1))
    assert (full.connections("tcp/ip/1"), full.connections("tcp/ip/9999")) == (1, -1)
