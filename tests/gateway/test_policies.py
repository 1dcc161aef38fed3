"""BackendTLSPolicy: which one applies, and what it makes of a cluster."""

from typing import Any

from seawall.gateway.graph import Cluster
from seawall.gateway.objects import Object
from seawall.gateway.policies import subject_names
from seawall.gateway.resolve import Resolver
from seawall.gateway.resources.policies import SubjectAltName
from tests.gateway.world import CERTIFICATE, edge, made, problems, resolved, route, rule, said, service, trust

SYSTEM = {"wellKnownCACertificates": "System"}
TRUST = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "trust"}]}


def _policy(name: str, hostname: str, *, at: int = 0, section: str | None = None, validation: Any = None) -> Object:
    target = {"group": "", "kind": "Service", "name": "web"} | ({"sectionName": section} if section else {})
    spec = {"targetRefs": [target], "validation": {"hostname": hostname, **(validation or SYSTEM)}}
    return made("BackendTLSPolicy", name, {"spec": spec}, at=at)


def _cluster(world: Resolver) -> Cluster:
    (cluster,) = world.graph.clusters.values()
    return cluster


def _sni(*policies: Object) -> str:
    cluster = _cluster(resolved(*edge(), service("web", {"name": "main", "port": 80}), route("home"), *policies))
    assert cluster.tls is not None
    return cluster.tls.sni


def test_older_wins_then_the_first_by_name() -> None:
    assert _sni(_policy("a", "new.example", at=2), _policy("b", "old.example", at=1)) == "old.example"
    assert _sni(_policy("b", "b.example"), _policy("a", "a.example")) == "a.example"


def test_a_policy_for_the_port_goes_before_one_for_the_service() -> None:
    assert _sni(_policy("a", "all.example"), _policy("b", "one.example", section="main", at=9)) == "one.example"
    assert _sni(_policy("a", "all.example"), _policy("b", "one.example", section="other")) == "all.example"


def test_the_winner_and_the_loser_are_told_and_the_loser_takes_over() -> None:
    old, new = _policy("old", "old.example", at=1), _policy("new", "new.example", at=2)
    world = resolved(*edge(), service(), route("home"), old, new)
    before = said(world, "BackendTLSPolicy/shop/new", "Accepted")

    world.update(remove=[old.key])

    assert before == ("False", "Conflicted")
    assert said(world, "BackendTLSPolicy/shop/new", "Accepted") == ("True", "Accepted")


def test_new_trust_makes_a_new_cluster() -> None:
    world = resolved(*edge(), service(), route("home"), _policy("a", "in.example", validation=TRUST), trust())
    before = _cluster(world).name

    world.update(put=[made("ConfigMap", "trust", {"data": {"ca.crt": CERTIFICATE * 2}})])

    assert _cluster(world).name != before


def test_a_policy_of_which_another_kind_is_the_target_says_so() -> None:
    spec = {
        "targetRefs": [{"group": "x.example", "kind": "Wish", "name": "w"}],
        "validation": {"hostname": "a.b", **SYSTEM},
    }

    world = resolved(*edge(), made("BackendTLSPolicy", "a", {"spec": spec}))

    assert problems(world, "BackendTLSPolicy/shop/a")[0].path == "$.spec.targetRefs[0].kind"


def test_ancestors_are_the_gateways_through_which_the_service_is_reached() -> None:
    gateways = [*edge(), edge(name="other")[1], edge(name="unused")[1]]
    home = route("home", rule("web"), parentRefs=[{"name": "other"}, {"name": "edge"}])
    world = resolved(*gateways, service(), home, _policy("a", "in.example"))

    body = next(status.body for key, status in world.statuses.items() if key == "BackendTLSPolicy/shop/a")
    world.update(remove=[home.key])
    after = next(status.body for key, status in world.statuses.items() if key == "BackendTLSPolicy/shop/a")

    assert [one["ancestorRef"]["name"] for one in body["ancestors"]] == ["edge", "other"]
    assert after["ancestors"] == []


def test_names_to_verify_are_those_that_are_written_out() -> None:
    names = (
        SubjectAltName(type="Hostname", hostname="A.example"),
        SubjectAltName(type="Hostname"),
        SubjectAltName(type="URI", uri="spiffe://a"),
    )

    assert subject_names(names) == (("DNS", "a.example"), ("URI", "spiffe://a"))
