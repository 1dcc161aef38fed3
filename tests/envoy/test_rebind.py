"""Rebind: what moves, and what stays byte for byte."""

from typing import Any

from seawall.envoy.clusters import cluster, endpoints
from seawall.envoy.messages import full_name
from seawall.envoy.proto import decode
from seawall.envoy.rebind import rebind
from seawall.gateway.graph import ClientTls, Cluster, ClusterName, Endpoint, Endpoints
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, Resource, ResourceName
from seawall.xds.snapshot import Snapshot
from tests.envoy.diff.worlds import built
from tests.gateway.manners import manners
from tests.gateway.world import edge, https, pair
from tests.support.candidates import candidate

NAME = ClusterName("Backend/shop/web")


def moved(*resources: Resource) -> Any:
    after = rebind(Snapshot.of(resources), "/s.sock")
    one = next(iter(after.all()))
    return decode(full_name(one.type_url), one.body)


def test_listeners_move_and_tables_stay() -> None:
    before = candidate()

    after = rebind(before, "/s.sock")

    assert after.resources(SCOPE) is before.resources(SCOPE)
    assert set(after.resources(LISTENER)) == set(before.resources(LISTENER))
    for one in after.resources(LISTENER).values():
        address = decode(full_name(LISTENER), one.body).address.socket_address  # type: ignore[attr-defined]  # by name
        assert (address.address, address.port_value) == ("127.0.0.1", 0)


def test_a_backend_with_tls_and_names_becomes_the_stand_in() -> None:
    real = Cluster(
        name=NAME,
        protocol="http2",
        tls=ClientTls(sni="x.example"),
        hostnames=(Endpoint(address="x.example", port=443),),
    )

    after = moved(cluster(real))

    assert after.type == 0
    assert not after.HasField("transport_socket")
    assert after.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path == "/s.sock"


def test_a_backend_without_endpoints_stays_without() -> None:
    assert not moved(endpoints(Endpoints(cluster=NAME))).endpoints


def test_many_endpoints_become_one() -> None:
    members = tuple(Endpoint(address=f"10.0.0.{n}", port=80) for n in range(1, 9))

    after = moved(endpoints(Endpoints(cluster=NAME, members=members)))

    assert [len(locality.lb_endpoints) for locality in after.endpoints] == [1]


def test_what_cannot_be_read_is_left_for_envoy_to_refuse() -> None:
    broken = Resource(
        type_url=CLUSTER, name=candidate().resources(ENDPOINTS).__iter__().__next__(), version="1", body=b"\xff"
    )

    assert rebind(Snapshot.of((broken,)), "/s.sock") == Snapshot.of((broken,))


def test_a_listener_that_limits_its_clients_lets_who_tries_it_in() -> None:
    policy = manners("p", limits={"maxConnections": 1}, proxyProtocol={}, tls={"alpn": ["h2"]}, http3={})
    before = built(*edge(https("a")), pair(), policy).snapshot

    after = rebind(before, "/s.sock").resources(LISTENER)

    tcp, udp = (
        decode(full_name(LISTENER), after[ResourceName(f"{kind}/127.0.0.1/443")].body) for kind in ("tcp", "udp")
    )
    managers: list[Any] = []
    for listener in (tcp, udp):
        (only,) = listener.filter_chains[0].filters  # type: ignore[attr-defined]  # by name
        managers.append(decode(only.typed_config.type_url.rsplit("/", 1)[1], only.typed_config.value))
    assert [one.codec_type for one in managers] == [0, 3]
    assert [one.name for one in tcp.listener_filters] == [  # type: ignore[attr-defined]  # by name
        "envoy.filters.listener.tls_inspector"
    ]
