"""The laws of the resolver. Objects come from the golden cases, mixed: many share their names."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.gateway.decode import decode
from seawall.gateway.graph import Graph, GraphChange, ListenerName, ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import Settings
from seawall.kit.units import Instant
from tests.golden.cases import CASES, aged, load

POOL = [obj for folder in CASES for obj in load(folder)]
KEYS = sorted({obj.key for obj in POOL})
SETTINGS = [Settings(), Settings(pool=("127.9.0.1-127.9.0.3",))]
SOCKETS = [ListenerName("tcp/127.0.0.1/80"), ListenerName("tcp/127.0.0.1/443")]
TIMES = [Instant(1.8e9), Instant(4.9e9)]

an_object = st.builds(aged, st.sampled_from(POOL), st.integers(0, 3))
a_set = st.lists(an_object, max_size=40, unique_by=lambda obj: obj.key)
quarantines = st.dictionaries(st.sampled_from(KEYS), st.just("refused"), max_size=3)
socket_faults = st.dictionaries(st.sampled_from(SOCKETS), st.just("in use"), max_size=1)


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One update."""

    put: list[Object]
    remove: list[ObjectKey]
    quarantine: dict[ObjectKey, str] | None
    faults: dict[ListenerName, str] | None
    at: Instant | None


edits = st.builds(
    Edit,
    put=st.lists(an_object, max_size=12, unique_by=lambda obj: obj.key),
    remove=st.lists(st.sampled_from(KEYS), max_size=6),
    quarantine=st.none() | quarantines,
    faults=st.none() | socket_faults,
    at=st.none() | st.sampled_from(TIMES),
)


def snapshot(resolver: Resolver) -> dict[str, Any]:
    graph = resolver.graph
    return {
        "listeners": dict(graph.listeners),
        "hosts": dict(graph.hosts),
        "clusters": dict(graph.clusters),
        "endpoints": dict(graph.endpoints),
        "secrets": dict(graph.secrets),
        "statuses": dict(resolver.statuses),
        "runtime": dict(graph.runtime),
        "perimeter": {"": graph.perimeter} if graph.perimeter is not None else {},
    }


def names(change: GraphChange) -> dict[str, frozenset[Any]]:
    tables = {field: getattr(change, field) for field in change.__struct_fields__}
    return tables | {"perimeter": frozenset({""} if change.perimeter else ())}


@settings(max_examples=60, deadline=None)
@given(a_set, st.randoms(use_true_random=False), st.sampled_from(SETTINGS))
def test_order_of_arrival_does_not_matter(objects: list[Object], random: Any, said: Settings) -> None:
    one, other = Resolver(said), Resolver(said)
    shuffled = list(objects)
    random.shuffle(shuffled)

    one.update(put=objects)
    for obj in shuffled:
        other.update(put=[obj])

    assert snapshot(one) == snapshot(other)


@settings(max_examples=120, deadline=None)
@given(st.lists(edits, max_size=8), st.sampled_from(SETTINGS))
def test_updates_end_where_a_full_rebuild_does_and_say_what_changed(history: Sequence[Edit], said: Settings) -> None:
    resolver = Resolver(said)
    objects: dict[ObjectKey, Object] = {}
    quarantine: dict[ObjectKey, str] = {}
    faults: dict[ListenerName, str] = {}
    at: Instant | None = None

    for edit in history:
        before = snapshot(resolver)
        change = resolver.update(edit.put, edit.remove, edit.quarantine, edit.faults, edit.at)
        after = snapshot(resolver)
        for table, changed in names(change).items():
            differing = {
                key
                for key in before[table].keys() | after[table].keys()
                if before[table].get(key) != after[table].get(key)
            }
            assert changed == differing

        for key in edit.remove:
            objects.pop(key, None)
        objects.update((obj.key, obj) for obj in edit.put)
        quarantine = edit.quarantine if edit.quarantine is not None else quarantine
        faults = edit.faults if edit.faults is not None else faults
        at = edit.at if edit.at is not None else at

    rebuilt = Resolver(said)
    rebuilt.update(objects.values(), quarantine=quarantine, faults=faults, at=at)
    assert snapshot(resolver) == snapshot(rebuilt)


@settings(max_examples=100, deadline=None)
@given(a_set, quarantines, st.sampled_from(SETTINGS))
def test_names_in_the_graph_lead_somewhere(
    objects: list[Object], quarantine: dict[ObjectKey, str], said: Settings
) -> None:
    resolver = Resolver(said)

    resolver.update(put=objects, quarantine=quarantine)

    assert not list(dangling(resolver.graph))


def dangling(graph: Graph) -> Any:
    tables = {key.table for key in graph.hosts}
    for listener in graph.listeners.values():
        for chain in listener.chains:
            if chain.table not in tables and chain.protocol in ("http", "https"):
                yield chain.table
            yield from (one.cluster for one in chain.backends if one.cluster not in (None, *graph.clusters))
            if chain.tls is not None:
                clients = (chain.tls.clients.ca,) if chain.tls.clients else ()
                yield from (name for name in (*chain.tls.certificates, *clients) if name not in graph.secrets)
    served = {chain.table for listener in graph.listeners.values() for chain in listener.chains if chain.table}
    yield from tables - served
    for host in graph.hosts.values():
        for route in host.routes:
            used = [one.cluster for one in getattr(route.action, "backends", ()) if one.cluster]
            used += [mirror.cluster for mirror in getattr(route.action, "mirrors", ())]
            yield from (name for name in used if name not in graph.clusters)
    for cluster in graph.clusters.values():
        if not cluster.hostnames and cluster.name not in graph.endpoints:
            yield cluster.name
        if cluster.tls is not None:
            wanted = (cluster.tls.ca, cluster.tls.certificate)
            yield from (name for name in wanted if name is not None and name not in graph.secrets)


@settings(max_examples=60, deadline=None)
@given(a_set)
def test_each_false_condition_has_a_problem_with_a_place_and_a_remedy(objects: list[Object]) -> None:
    resolver = Resolver()

    resolver.update(put=objects)

    for status in resolver.statuses.values():
        assert all(problem.path.startswith("$") and problem.hint and problem.message for problem in status.problems)
        if any(condition["status"] == "False" for condition in conditions(status.body)):
            assert status.problems, status


def conditions(body: dict[str, Any]) -> Any:
    groups = [body, *body.get("listeners", ()), *body.get("parents", ()), *body.get("ancestors", ())]
    return [one for group in groups for one in group.get("conditions", ()) if one["type"] != "Conflicted"]


def test_one_more_route_costs_the_same_among_many_as_among_few() -> None:
    few, many = Resolver(), Resolver()
    few.update(put=[*_shop(), *(_route(index) for index in range(10))])
    many.update(put=[*_shop(), *(_route(index) for index in range(500))])
    before = few.computed, many.computed

    few.update(put=[_route(1000)])
    many.update(put=[_route(1000)])

    assert few.computed - before[0] == many.computed - before[1] < 15


def test_a_new_endpoint_changes_endpoints_and_nothing_else() -> None:
    resolver = Resolver()
    resolver.update(put=[*_shop(), _route(1)])

    change = resolver.update(put=[_slice("127.0.0.8")])

    assert change == GraphChange(endpoints=frozenset(resolver.graph.endpoints))


def _decoded(document: dict[str, Any]) -> Object:
    obj = decode(document)
    assert isinstance(obj, Object), obj
    return obj


def _shop() -> list[Object]:
    return [*load(next(folder for folder in CASES if folder.name == "one-route")), _slice("127.0.0.7")]


def _slice(address: str) -> Object:
    return _decoded(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "more", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": [{"addresses": [address]}],
        }
    )


def _route(index: int) -> Object:
    return _decoded(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": f"route-{index}", "namespace": "shop"},
            "spec": {
                "parentRefs": [{"name": "edge"}],
                "hostnames": [f"h{index}.example"],
                "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
            },
        }
    )
