"""Laws of the stream, over random histories of a client that behaves like Envoy.

- however it went, the client ends with exactly what it should hold
- at no step does a route that it runs name a cluster that it does not have
- what is refused is named, and nothing else suffers
"""

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from seawall.xds.events import Applied
from seawall.xds.resource import CLUSTER, LISTENER, SCOPE, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot
from tests.xds.envoy_model import ModelEnvoy
from tests.xds.play import cluster, endpoints, listener, ref, scope

CLUSTERS = ("a", "b", "c", "d")
HOSTS = ("h1", "h2", "h3", "h4")

_STEPS = ("read", "read", "deliver", "deliver", "tick", "connect", "change")
_versions = st.integers(1, 9).map(str)
_maybe_bad = st.one_of(_versions, _versions, _versions.map(lambda version: f"bad{version}"))


class Wanted:
    """A configuration that is consistent whatever is done to it: scopes name clusters that exist."""

    def __init__(self) -> None:
        self.clusters: dict[str, str] = {"a": "1"}
        self.scopes: dict[str, tuple[str, tuple[str, ...]]] = {"h1": ("1 to a", ("a",))}

    def snapshot(self) -> Snapshot:
        return Snapshot.of(self.resources())

    def resources(self) -> list[Resource]:
        found = [cluster(name, version) for name, version in self.clusters.items()]
        found += [endpoints(name) for name in self.clusters]
        # A version stands for the content, what it refers to included.
        found += [scope(name, *targets, version=version) for name, (version, targets) in self.scopes.items()]
        return [*found, listener("http")]

    def vary(self, data: st.DataObject, versions: st.SearchStrategy[str]) -> None:
        match data.draw(st.sampled_from(("cluster", "scope", "move", "drop cluster", "drop scope"))):
            case "cluster":
                self.clusters[data.draw(st.sampled_from(CLUSTERS))] = data.draw(versions)
            case "scope":
                self._point(data, data.draw(versions), data.draw(st.sampled_from(sorted(self.clusters) or ["a"])))
            case "move":  # A → B, with A gone and B new in the same change
                new = data.draw(st.sampled_from(CLUSTERS))
                self._point(data, data.draw(versions), new)
                self._drop_cluster(next((name for name in sorted(self.clusters) if name != new), new))
            case "drop cluster":
                self._drop_cluster(data.draw(st.sampled_from(CLUSTERS)))
            case _:
                self.scopes.pop(data.draw(st.sampled_from(HOSTS)), None)

    def _point(self, data: st.DataObject, version: str, target: str) -> None:
        self.clusters.setdefault(target, data.draw(_versions))
        self.scopes[data.draw(st.sampled_from(HOSTS))] = (f"{version} to {target}", (target,))

    def _drop_cluster(self, name: str) -> None:
        self.clusters.pop(name, None)
        self.scopes = {host: value for host, value in self.scopes.items() if name not in value[1]}


def _history(data: st.DataObject, versions: st.SearchStrategy[str]) -> tuple[ModelEnvoy, Wanted]:
    wanted = Wanted()
    envoy = ModelEnvoy(wanted.snapshot())
    patience = 9.0  # below the barrier's limit: after it, routes may go on without their proof
    for step in data.draw(st.lists(st.sampled_from(_STEPS), min_size=10, max_size=80)):
        match step:
            case "read":
                envoy.read()
            case "deliver":
                envoy.deliver()
            case "tick":
                patience -= 0.4
                envoy.tick(0.4 if patience > 0 else 0.0)
            case "connect":
                envoy.connect()
            case _:
                wanted.vary(data, versions)
                envoy.change(_towards(wanted, envoy.snapshot))
    envoy.drain()
    return envoy, wanted


def _towards(wanted: Wanted, snapshot: Snapshot) -> Change:
    return wanted.snapshot().difference(snapshot)


def _versions_of(resources: dict[ResourceName, Resource]) -> dict[str, str]:
    return {str(name): resource.version for name, resource in resources.items()}


def _known(envoy: ModelEnvoy) -> dict[str, str]:
    """Return the clusters that the client tells of. What it took from a refused response it keeps to itself on the next
    stream; if it is not wanted any more, nobody can know that it is there. Nothing refers to it."""
    held = {name: cluster for name, cluster in envoy.clusters.items() if name in envoy.accepted[CLUSTER]}
    return _versions_of(held)


# The same histories at each run; to hunt for more, raise the number and take `derandomize` away.
_lawful = settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_lawful
@given(st.data())
def test_the_client_ends_with_exactly_what_it_should_hold(data: st.DataObject) -> None:
    envoy, wanted = _history(data, _versions)

    assert _versions_of(envoy.clusters) == wanted.clusters
    assert envoy.listeners == ({"http": "1"} if wanted.clusters or envoy.listeners else {})
    if envoy.listeners:
        assert _versions_of(envoy.scopes) == {name: version for name, (version, _) in wanted.scopes.items()}
        assert Applied(version=envoy.snapshot.version) in envoy.said
    assert set(envoy.endpoints) == set(wanted.clusters)
    assert envoy.stream.state().rejected == 0


@_lawful
@given(st.data())
def test_what_the_server_believes_the_client_holds_is_true(data: st.DataObject) -> None:
    envoy, _ = _history(data, _maybe_bad)

    assert envoy.stream.held(CLUSTER) == _known(envoy)
    assert envoy.stream.held(SCOPE) == _versions_of(envoy.scopes)
    assert envoy.stream.held(LISTENER) == envoy.listeners


@_lawful
@given(st.data())
def test_only_what_is_bad_or_needs_it_suffers(data: st.DataObject) -> None:
    envoy, wanted = _history(data, _maybe_bad)
    reported = {report.ref: report.version for report in envoy.stream.state().rejections}
    event(f"bad ones: {min(len(reported), 4)}")

    for name, version in wanted.clusters.items():
        if version.startswith("bad"):
            assert reported.get(ref(CLUSTER, name)) == version
        else:
            assert envoy.clusters[ResourceName(name)].version == version
    if not envoy.listeners:
        return
    for name, (version, targets) in wanted.scopes.items():
        if all(target in envoy.clusters for target in targets):
            if version.startswith("bad"):
                assert reported.get(ref(SCOPE, name)) == version
            else:
                assert envoy.scopes[ResourceName(name)].version == version
    assert set(envoy.scopes) <= set(wanted.scopes)


@_lawful
@given(st.data())
def test_repair_always_ends_well(data: st.DataObject) -> None:
    envoy, wanted = _history(data, _maybe_bad)

    wanted.clusters = dict.fromkeys(wanted.clusters, "repaired")
    wanted.scopes = {name: ("repaired", targets) for name, (_, targets) in wanted.scopes.items()}
    envoy.change(_towards(wanted, envoy.snapshot))
    envoy.drain()

    assert _known(envoy) == wanted.clusters
    if envoy.listeners:
        assert set(_versions_of(envoy.scopes).items()) == {(name, "repaired") for name in wanted.scopes}
    assert envoy.stream.state().rejected == 0
    assert envoy.stream.state().awaited == 0


def test_the_model_sees_a_route_without_its_cluster() -> None:
    envoy = ModelEnvoy(Snapshot.of([]))
    envoy.scopes[ResourceName("h")] = scope("h", "none")

    try:
        envoy.check()
    except AssertionError:
        return
    raise AssertionError("the model is blind")
