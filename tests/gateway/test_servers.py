"""Servers that a policy refers to: who is asked, in which words, and that nobody passes when nobody can be."""

from typing import Any

import pytest

from seawall.gateway.entrance import ExternalAuth
from seawall.gateway.graph import ClusterName, ObjectKey
from tests.gateway.test_access import applied, is_closed, of, policy, world
from tests.gateway.world import edge, problems, resolved, route, rule, service


def asking(protocol: str = "HTTP", name: str = "web", **ref: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"backendRef": {"name": name, "port": 80, **ref}, protocol.lower(): {}}
    return {"externalAuth": {"protocol": protocol, **config}}


def test_a_policy_has_a_service_asked_in_its_own_protocol() -> None:
    found = world(policy("p", section="one", **asking("GRPC")), policy("q", section="two", **asking()))

    one, two = (applied(found, name).external_auth for name in ("one", "two"))
    assert one is not None
    assert found.graph.clusters[ClusterName(one.cluster)].protocol == "http2"
    assert two == ExternalAuth(protocol="HTTP", cluster="Service/shop/web/80")


def test_what_a_rule_says_itself_goes_before_its_policy() -> None:
    own = {"type": "ExternalAuth", **asking()}
    guarded = rule("web", name="one", filters=[own])
    found = resolved(*edge(), service(), route("home", guarded), policy("p", section="one", **asking("GRPC")))

    asked = of(found).external_auth
    assert asked is not None
    assert asked.protocol == "HTTP"


@pytest.mark.parametrize(
    ("spec", "words", "path"),
    [
        (asking(name="nobody"), "There is no Service shop/nobody.", "name"),
        (asking(namespace="else"), "the namespace else", "namespace"),
        (asking(kind="Pod"), "A Pod of group", "kind"),
    ],
)
def test_nobody_passes_where_nobody_can_be_asked(spec: dict[str, Any], words: str, path: str) -> None:
    found = world(policy("p", section="one", **spec))

    assert is_closed(found)
    (problem,) = problems(found, ObjectKey("AccessPolicy/shop/p"))
    assert words in problem.message
    assert problem.path == f"$.spec.externalAuth.backendRef.{path}"
