"""From a graph to a snapshot, whole and by changes."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from seawall.envoy import filters
from seawall.envoy.build import Builder
from seawall.envoy.messages import full_name
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import Graph, GraphChange, HostKey, ObjectKey
from seawall.xds.resource import CLUSTER, LISTENER, SCOPE, Ref, ResourceName
from tests.envoy.graphs import LISTENER as SOCKET
from tests.envoy.graphs import SHOP, TABLE, everything, graph, host, route

NAMES = ("a.example", "b.example", "*.example", "*")


def test_each_exact_hostname_is_a_resource_and_the_rest_is_the_fallback() -> None:
    builder = Builder()
    value = graph(host("a.example", route()), host("*.example", route()), host("*"))

    builder.update(value, everything(value))

    assert set(builder.snapshot.resources(SCOPE)) == {f"{TABLE}|a.example", f"{TABLE}|*"}
    fallback = builder.snapshot.resources(SCOPE)[ResourceName(f"{TABLE}|*")]
    hosts = as_json(decode(full_name(SCOPE), fallback.body))["route_configuration"]["virtual_hosts"]
    assert [h["domains"] for h in hosts] == [["*"], ["*.example"]]


def test_a_route_names_its_clusters_as_what_must_be_there_before_it() -> None:
    builder = Builder()
    value = graph(host("a.example", route()))

    builder.update(value, everything(value))

    scope = builder.snapshot.resources(SCOPE)[ResourceName(f"{TABLE}|a.example")]
    assert scope.refs == (Ref(CLUSTER, ResourceName(SHOP)),)


def test_changing_a_route_changes_one_resource_and_never_a_listener() -> None:
    builder = Builder()
    before = graph(host("a.example", route()), host("b.example"))
    builder.update(before, everything(before))

    after = graph(host("a.example", route(name="other")), host("b.example"))
    change = builder.update(after, everything(after))

    assert [(r.type_url, r.name) for r in change.put] == [(SCOPE, f"{TABLE}|a.example")]
    assert change.remove == ()


def test_a_listener_that_goes_takes_its_fallback_along() -> None:
    builder = Builder()
    before = graph(host("a.example", route()))
    builder.update(before, everything(before))

    gone = msgspec.structs.replace(before, listeners={}, hosts={})
    change = builder.update(gone, everything(before))

    assert change.put == ()
    names = {(ref.type_url, ref.name) for ref in change.remove}
    assert names == {(LISTENER, SOCKET), (SCOPE, f"{TABLE}|a.example"), (SCOPE, f"{TABLE}|*")}


def test_a_refused_resource_can_be_traced_to_its_objects() -> None:
    builder = Builder()
    value = graph(host("a.example", route()))
    builder.update(value, everything(value))

    assert builder.origins(Ref(SCOPE, ResourceName(f"{TABLE}|a.example"))) == (ObjectKey("HTTPRoute/shop/web"),)
    assert builder.origins(Ref(LISTENER, ResourceName(SOCKET))) == (ObjectKey("Gateway/shop/edge"),)
    assert builder.origins(Ref(LISTENER, ResourceName("nobody"))) == ()


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2)), min_size=1, max_size=6))
def test_by_changes_or_from_nothing_the_snapshot_is_the_same(history: list[dict[str, int]]) -> None:
    follower = Builder()
    seen: set[HostKey] = set()
    for step in history:
        value = graph(*(host(name, *([route(name=f"r{n}")] * n)) for name, n in step.items()))
        follower.update(value, _named(value, seen | set(value.hosts)))
        seen = set(value.hosts)

    fresh = Builder()
    fresh.update(value, everything(value))

    assert follower.snapshot.version == fresh.snapshot.version
    assert {r.ref for r in follower.snapshot.all()} == {r.ref for r in fresh.snapshot.all()}


def _named(value: Graph, hosts: set[HostKey]) -> GraphChange:
    return msgspec.structs.replace(everything(value), hosts=frozenset(hosts))


def test_every_listener_has_the_same_filters_in_the_same_order() -> None:
    builder = Builder()
    value = graph(host("a.example", route()))
    builder.update(value, everything(value))

    (listener,) = builder.snapshot.resources(LISTENER).values()
    manager = as_json(decode(full_name(LISTENER), listener.body))["filter_chains"][0]["filters"][0]["typed_config"]

    assert tuple(f["name"] for f in manager["http_filters"]) == filters.CHAIN
    assert not any(f.get("disabled") for f in manager["http_filters"])


def test_only_rescope_is_off_for_an_exact_host_and_nothing_is_for_the_fallback() -> None:
    builder = Builder()
    value = graph(host("a.example", route()))
    builder.update(value, everything(value))

    tables = {
        name: as_json(decode(full_name(SCOPE), scope.body))["route_configuration"].get("typed_per_filter_config", {})
        for name, scope in builder.snapshot.resources(SCOPE).items()
    }

    assert tables[ResourceName(f"{TABLE}|*")] == {}
    assert [(name, off["disabled"]) for name, off in tables[ResourceName(f"{TABLE}|a.example")].items()] == [
        (filters.RESCOPE, True)
    ]
