"""Listeners that cannot be bound are kept back; all else goes on."""

from seawall.fleet.sockets import Socket
from seawall.fleet.withholding import Withholding
from seawall.xds.resource import CLUSTER, LISTENER, Ref, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot


class Ports:
    """A host where some ports are taken."""

    def __init__(self, *taken: int) -> None:
        self.taken = set(taken)
        self.asked: list[int] = []

    def __call__(self, socket: Socket) -> str:
        self.asked.append(socket.port)
        return f"{socket.port} is in use" if socket.port in self.taken else ""


def listener(port: int, body: str = "1") -> Resource:
    name = ResourceName(f"tcp/::/{port}")
    return Resource(type_url=LISTENER, name=name, version=body, body=body.encode())


CLUSTER_A = Resource(type_url=CLUSTER, name=ResourceName("a"), version="1", body=b"1")
REF_80 = listener(80).ref


def test_a_listener_whose_port_is_taken_is_withheld_and_the_rest_goes() -> None:
    withholding = Withholding(Ports(80))

    given = withholding.take(Change(put=(listener(80), listener(81), CLUSTER_A)))

    assert given == Change(put=(listener(81), CLUSTER_A))
    assert withholding.withheld[REF_80].message == "80 is in use"
    assert withholding.relayed == Snapshot.of([listener(81), CLUSTER_A])


def test_what_was_given_is_not_asked_again() -> None:
    ports = Ports()
    withholding = Withholding(ports)
    withholding.take(Change(put=(listener(80),)))
    ports.taken.add(80)

    assert withholding.take(Change(put=(listener(80, "2"),))) == Change(put=(listener(80, "2"),))
    assert ports.asked == [80]


def test_a_removed_listener_is_forgotten_and_asked_again_when_it_returns() -> None:
    ports = Ports()
    withholding = Withholding(ports)
    withholding.take(Change(put=(listener(80),)))

    assert withholding.take(Change(remove=(REF_80,))) == Change(remove=(REF_80,))
    ports.taken.add(80)
    assert withholding.take(Change(put=(listener(80),))).put == ()
    withholding.take(Change(remove=(REF_80,)))
    assert withholding.withheld == {}


def test_a_port_that_becomes_free_is_used() -> None:
    ports = Ports(80, 81)
    withholding = Withholding(ports)
    snapshot = Snapshot.of([listener(80), listener(81)])
    withholding.renew(snapshot)
    ports.taken.remove(80)

    assert withholding.retry(snapshot) == Change(put=(listener(80),))
    assert list(withholding.withheld) == [listener(81).ref]
    assert withholding.retry(Snapshot.of([])) == Change()


def test_a_new_envoy_has_no_sockets_yet() -> None:
    ports = Ports()
    withholding = Withholding(ports)
    snapshot = Snapshot.of([listener(80), listener(81), CLUSTER_A])
    withholding.take(Change(put=tuple(snapshot.all())))
    ports.taken.add(80)

    assert withholding.renew(snapshot) == Change(remove=(REF_80,))
    assert withholding.relayed == Snapshot.of([listener(81), CLUSTER_A])


def test_a_change_to_a_listener_that_cannot_be_bound_any_more_removes_it() -> None:
    ports = Ports(80)
    withholding = Withholding(ports)
    withholding.relayed = Snapshot.of([listener(80)])

    assert withholding.take(Change(put=(listener(80, "2"),))) == Change(remove=(REF_80,))


def test_an_adopted_envoy_keeps_its_sockets() -> None:
    ports = Ports(80, 81)
    withholding = Withholding(ports)

    withholding.renew(Snapshot.of([listener(80), listener(81)]), held=[ResourceName("tcp/::/80")])

    assert withholding.relayed == Snapshot.of([listener(80)])
    assert ports.asked == [81]


def test_a_listener_with_an_odd_name_is_left_to_envoy() -> None:
    odd = Resource(type_url=LISTENER, name=ResourceName("odd"), version="1", body=b"")
    withholding = Withholding(Ports())

    assert withholding.take(Change(put=(odd,))) == Change(put=(odd,))
    assert Ref(LISTENER, ResourceName("odd")) not in withholding.withheld
