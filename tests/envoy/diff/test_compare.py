"""What differs between two states, in words, and how risky that is."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.envoy.diff.compare import Compared, Comparer, compare
from seawall.envoy.diff.keep import kept
from seawall.fleet.bundle import Limits
from seawall.gateway.objects import Object
from seawall.rollout.change import MOST_DIFFERENCES
from seawall.rollout.risk import RISKS
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot
from tests.envoy.diff.worlds import backend, compared, native, rule, shop, snapshot, world
from tests.gateway.test_streams import stream
from tests.gateway.world import HTTP, edge, made, pair, service

API = rule("/api")


def seen(found: Compared) -> list[tuple[str, str, str]]:
    return [(one.subject, one.action, one.risk) for one in found.report.differences]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([shop()], [shop(), shop(name="b", host="b.example")], ("host", "added", "R1"), id="host added"),
        pytest.param(
            [shop(), shop(name="b", host="b.example")], [shop()], ("host", "removed", "R1"), id="host removed"
        ),
        pytest.param([shop()], [shop(rule(), API)], ("route", "added", "R1"), id="route added"),
        pytest.param([shop(rule(), API)], [shop()], ("route", "removed", "R1"), id="route removed"),
        pytest.param([shop()], [shop(rule(method="GET"))], ("route", "changed", "R1"), id="route changed"),
        pytest.param([shop()], [shop(), native("a")], ("filter", "added", "R2"), id="filter added"),
        pytest.param([shop(), native("a")], [shop()], ("filter", "removed", "R2"), id="filter removed"),
        pytest.param([native("a", "b")], [native("b", "a")], ("filter", "reordered", "R2"), id="filters reordered"),
        pytest.param([native("a")], [native("a", prefix="y")], ("filter", "changed", "R2"), id="filter changed"),
    ],
)
def test_each_change_has_its_word_and_its_class(
    before: list[Object], after: list[Object], expected: tuple[str, str, str]
) -> None:
    assert seen(compared(world(*before), world(*after))) == [expected]


def test_limits_that_change_are_called_so() -> None:
    def limit(requests: int) -> Object:
        ref = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"}
        spec = {"targetRefs": [ref], "limits": [{"name": "all", "requests": requests}]}
        return made("RateLimitPolicy", "slow", {"spec": spec})

    (found,) = compared(world(shop(), limit(5)), world(shop(), limit(6))).report.differences

    assert (found.subject, found.action, found.risk) == ("host", "changed", "R2")
    assert "limits" in found.detail
    assert "RateLimitPolicy/shop/slow" in str(found.origins)


TCP_PORT = {"name": "tcp", "port": 5432, "protocol": "TCP"}
TLS_PORT = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
UDP_PORT = {"name": "udp", "port": 53, "protocol": "UDP"}
DNS = service("dns", {"name": "u", "port": 80, "protocol": "UDP"})


def sockets(*more: Object) -> list[Object]:
    return [*edge(TCP_PORT, TLS_PORT, UDP_PORT), service(), service("new"), DNS, *more]


def told(before: list[Object], after: list[Object]) -> tuple[list[tuple[str, ...]], list[str]]:
    report = compared(before, after).report
    routes: list[tuple[str, ...]] = [
        (one.action, one.name, one.detail, one.risk) for one in report.differences if one.subject == "route"
    ]
    assert not [one for one in report.differences if one.subject == "listener"]
    return sorted(routes), sorted(name for name, _ in report.blast.drained)


def test_streams_that_come_go_and_change_are_told_with_their_backends_and_what_drains() -> None:
    nothing, some = sockets(), sockets(stream("TCPRoute"), stream("TLSRoute", hostnames=["a.example"]))
    other = sockets(stream("TCPRoute", "home", "new", "web", "none"), stream("TLSRoute", hostnames=["a.example"]))
    sql, a = "tcp/127.0.0.1/5432", "tcp/127.0.0.1/443 a.example"

    assert told(nothing, some) == (
        [
            ("added", a, "Connections for a.example go to Service/shop/web/80/tcp.", "R1"),
            ("added", sql, "Connections go to Service/shop/web/80/tcp.", "R1"),
        ],
        [],
    )
    assert told(some, nothing) == (
        [
            ("removed", a, "Connections for a.example went to Service/shop/web/80/tcp and are closed.", "R2"),
            ("removed", sql, "Connections went to Service/shop/web/80/tcp and are closed.", "R2"),
        ],
        ["tcp/127.0.0.1/443", sql],
    )
    shares = "Service/shop/new/80/tcp 33.3 %, Service/shop/web/80/tcp 33.3 %, nowhere 33.3 %"
    changed = f"Connections went to Service/shop/web/80/tcp and go to {shares}; those that are open drain."
    assert told(some, other) == ([("changed", sql, changed, "R2")], [sql])


def test_datagrams_are_told_by_share_and_their_socket_starts_anew() -> None:
    one = sockets(stream("UDPRoute", "home", "dns"))
    other = sockets(stream("UDPRoute", "home", "dns", "none"))
    dns = "udp/127.0.0.1/53"
    to = "Service/shop/dns/80/udp"

    assert told(sockets(), one) == ([("added", dns, f"Datagrams go to {to}.", "R1")], [])
    changed = f"Datagrams went to {to} and go to {to} 50 %, nowhere 50 %; those that are open drain."
    assert told(one, other) == ([("changed", dns, changed, "R2")], [dns])


def test_a_socket_that_opens_names_its_streams() -> None:
    after = [*edge(TCP_PORT, UDP_PORT), service(), stream("TCPRoute")]

    found = compared([], after)

    said = {(one.subject, one.name, one.detail) for one in found.report.differences}
    assert said >= {
        ("listener", "tcp/127.0.0.1/5432", "It opens with 1 filter chain."),
        ("listener", "udp/127.0.0.1/53", "It opens for datagrams."),
        ("route", "tcp/127.0.0.1/5432", "Connections go to Service/shop/web/80/tcp."),
    }


def test_a_certificate_of_another_name_is_a_change_of_the_chain_not_of_the_route() -> None:
    def world(secret: str) -> list[Object]:
        port = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"certificateRefs": [{"name": secret}]}}
        route = stream("TLSRoute", hostnames=["a.example"])
        return [*edge(port, UDP_PORT), service(), pair("one"), pair("two"), route]

    found = compared(world("one"), world("two"))

    assert ("listener", "changed", "R3") in seen(found)
    assert [name for name, _ in found.report.blast.drained] == ["tcp/127.0.0.1/443"]


def _with(resource: Resource, body: bytes) -> Resource:
    return msgspec.structs.replace(resource, body=body, version=f"{resource.version[:30]}zz")


def test_rules_that_swap_places_are_a_reorder_though_their_names_swap_with_them() -> None:
    to_a, to_b = rule("/", "a"), rule("/", "b")
    both = [backend("a"), backend("b")]

    found = compared(world(*both, shop(to_a, to_b)), world(*both, shop(to_b, to_a)))

    assert ("route", "reordered", "R2") in seen(found)
    assert found.report.risk == "R2"


def test_a_route_that_comes_between_others_reorders_nothing() -> None:
    found = compared(world(shop(rule("/a"), rule("/c"))), world(shop(rule("/a"), rule("/long/b"), rule("/c"))))

    assert set(found.report.counts) == {"route added"}


@pytest.mark.parametrize(
    ("ports", "risk"), [((1, 2, 3, 4, 5), "R0"), ((1, 2), "R0"), ((1,), "R1"), ((11, 12, 13, 14), "R0")]
)
def test_endpoints_within_bounds_are_r0(ports: tuple[int, ...], risk: str) -> None:
    before = [*edge(), backend("web", 1, 2, 3, 4), shop()]

    found = compared(before, [*edge(), backend("web", *ports), shop()])

    assert seen(found) == [("endpoints", "changed", risk)]
    assert found.report.blast.hosts == 1


def test_the_last_host_that_goes_leaves_none() -> None:
    (gone,) = [one for one in compared(world(shop()), world()).facts.removed if one.kind == "hosts"]

    assert (gone.names, gone.total, gone.left) == (("shop.example:80",), 1, 0)


def test_endpoints_that_vanish_under_a_route_are_told_to_the_guards() -> None:
    base = snapshot(*world(shop()))
    (members,) = base.resources(ENDPOINTS).values()
    empty = _with(members, b"\n" + bytes([len(members.name)]) + members.name.encode())

    found = compare(base, base.apply(Change(put=(empty,))), origins=lambda ref: ())

    assert [(one.what, one.had) for one in found.facts.emptied] == [("endpoints", 4)]
    assert found.report.risk == "R1"


def test_another_port_is_another_socket_and_no_host_is_lost() -> None:
    before, after = [backend(), shop()], [backend(), shop()]

    found = compared([*edge(), *before], [*edge({**HTTP, "port": 8080}), *after])

    assert found.report.risk == "R3"
    assert found.report.blast.drained == (("tcp/127.0.0.1/80", -1),)
    assert [one.kind for one in found.facts.removed] == ["listeners"]


def test_a_change_of_a_filter_drains_the_chains_that_have_it() -> None:
    found = compared(world(native("a")), world(native("a", prefix="y")))

    # The socket has no other.
    assert found.report.blast.drained == (("tcp/127.0.0.1/80", -1),)


def test_routes_drain_nobody() -> None:
    assert compared(world(shop()), world(shop(rule(), API))).report.blast.drained == ()


def test_secrets_are_told_apart_by_digest_alone() -> None:
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "pair"}]}}
    before = snapshot(*edge(https), pair(), backend(), shop())
    secret = next(one for one in before.all() if one.type_url.endswith("Secret"))
    other = _with(secret, secret.body)

    report = compare(before, before.apply(Change(put=(other,))), origins=lambda ref: ()).report

    assert [(one.subject, one.risk) for one in report.differences] == [("secret", "R1")]
    assert "BEGIN" not in str(report)


@pytest.mark.parametrize(
    "type_url", [SCOPE, LISTENER, CLUSTER, ENDPOINTS, TypeUrl("type.googleapis.com/envoy.config.x")]
)
def test_what_cannot_be_read_or_is_unknown_is_r3(type_url: TypeUrl) -> None:
    if type_url not in (SCOPE, LISTENER, CLUSTER, ENDPOINTS):
        type_url = TypeUrl("type.googleapis.com/envoy.config.route.v3.RouteConfiguration")
    odd = Resource(type_url=type_url, name=ResourceName("odd"), version="1", body=b"\xff\xff\xff")

    report = compare(EMPTY, Snapshot.of([odd]), origins=lambda ref: ()).report

    assert [(one.subject, one.risk, one.why) for one in report.differences] == [
        ("other", "R3", "it cannot be classified")
    ]


def test_limits_are_r3() -> None:
    found = compared(world(), world(), (Limits(), Limits(max_heap=1 << 30)))

    assert seen(found) == [("limits", "changed", "R3")]


def test_a_switch_is_r2() -> None:
    key = "envoy.reloadable_features.x"
    off = {"name": "x", "key": key, "value": False, "on": False}
    states = [
        made("Perimeter", "default", {"spec": {"switches": [{**off, "on": is_on, "until": "2126-01-01T00:00Z"}]}})
        for is_on in (False, True)
    ]

    found = compared(world(states[0]), world(states[1]))

    assert [(one.subject, one.name, one.risk) for one in found.report.differences] == [("runtime", key, "R2")]


def test_several_tenants_stay_r1_and_are_named() -> None:
    before = world(shop())
    other = made("Backend", "web", {"spec": {"endpoints": [{"ip": "127.0.0.1", "port": 1}]}}, namespace="other")
    everybody = edge({**HTTP, "allowedRoutes": {"namespaces": {"from": "All"}}})
    theirs = shop(name="theirs", host="theirs.example", namespace="other")

    before = [*everybody, backend(), other]
    report = compared(before, [*before, shop(), theirs]).report

    assert report.risk == "R1"
    assert report.blast.tenants == ("other", "shop")
    assert report.why[-1] == "it touches 2 tenants at once: other, shop"


def test_the_list_is_cut_but_the_counts_are_whole_and_the_riskiest_come_first() -> None:
    base = snapshot(*world(shop()))
    (scope,) = [one for one in base.resources(SCOPE).values() if not one.name.endswith("|*")]
    many = [msgspec.structs.replace(scope, name=ResourceName(f"tcp/127.0.0.1/80|h{at}.example")) for at in range(700)]
    odd = Resource(type_url=LISTENER, name=ResourceName("odd"), version="1", body=b"\xff")

    report = compare(base, base.apply(Change(put=(*many, odd))), origins=lambda ref: ()).report

    assert (len(report.differences), report.is_cut) == (MOST_DIFFERENCES, True)
    assert report.counts == {"host added": 700, "other added": 1}
    assert report.differences[0].risk == "R3"
    assert report.blast.hosts == 700


def test_a_comparer_that_goes_on_says_the_same_as_a_fresh_one() -> None:
    states = [snapshot(*world(*extra)) for extra in ([], [shop()], [shop(rule(), API)], [native("a")], [])]
    comparer = Comparer(lambda ref: ())

    for old, new in zip(states, [*states[2:], *states[:2]], strict=True):
        assert comparer.compare(old, new) == compare(old, new, origins=lambda ref: ())


def test_what_is_kept_brings_what_it_needs() -> None:
    base, candidate = snapshot(*world(shop())), snapshot(*edge())
    (scope,) = [one for one in base.resources(SCOPE).values() if not one.name.endswith("|*")]

    result = kept(base, candidate, [scope.ref])

    gone = set(compare(base, result, origins=lambda ref: ()).facts.missing)
    assert gone == set()
    assert result == base


STATES = [
    snapshot(*world(*extra))
    for extra in ([], [shop()], [shop(API)], [shop(rule(), API)], [native("a")], [native("a", "b"), shop()])
]


@given(st.sampled_from(STATES))
def test_nothing_differs_from_itself(state: Snapshot) -> None:
    report = compare(state, state, origins=lambda ref: ()).report

    assert (report.differences, report.counts, report.risk) == ((), {}, "R0")


@settings(max_examples=40)
@given(st.sampled_from(STATES), st.sampled_from(STATES))
def test_what_differs_is_said_counted_and_as_risky_as_its_worst(old: Snapshot, new: Snapshot) -> None:
    report = compare(old, new, origins=lambda ref: ()).report

    assert bool(report.counts) == (old != new)
    assert Counter(f"{one.subject} {one.action}" for one in report.differences) == report.counts
    assert report.risk == max((one.risk for one in report.differences), key=RISKS.index, default="R0")
