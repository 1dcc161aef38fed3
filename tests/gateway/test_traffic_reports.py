"""Traffic reports: what is said of each target; the golden cases have most of it."""

from typing import Any

from tests.gateway.test_traffic import policy, world
from tests.gateway.world import made, problems, said


def _x(name: str, *targets: dict[str, str], at: int = 0, **spec: Any) -> Any:
    return made("XBackendTrafficPolicy", name, {"spec": {"targetRefs": list(targets), **spec}}, at=at)


def test_a_policy_for_a_service_is_said_to_the_gateways_that_use_it() -> None:
    found = world(policy("p", "Service/web", retryBudget={}))

    assert said(found, "TrafficPolicy/shop/p", "Accepted") == ("True", "Accepted")
    assert problems(found, "TrafficPolicy/shop/p") == []


def test_a_backend_has_no_sections() -> None:
    own = made("Backend", "own", {"spec": {"endpoints": [{"ip": "127.0.0.1", "port": 80}]}})

    (problem,) = problems(world(own, policy("p", "Backend/own", "http", retryBudget={})), "TrafficPolicy/shop/p")

    assert problem.path == "$.spec.targetRefs[0].sectionName"
    assert problem.message == "Backend shop/own has no sections."


def test_of_two_experimental_policies_the_younger_says_that_it_lost() -> None:
    web = {"group": "", "kind": "Service", "name": "web"}
    found = world(_x("old", web, retryConstraint={}), _x("young", web, at=1, retryConstraint={}))

    assert said(found, "XBackendTrafficPolicy/shop/old", "Accepted") == ("True", "Accepted")
    assert said(found, "XBackendTrafficPolicy/shop/young", "Accepted") == ("False", "Conflicted")


def test_a_target_that_is_not_there_is_named_with_what_is_near() -> None:
    (problem,) = problems(world(policy("p", "Service/wep", retryBudget={})), "TrafficPolicy/shop/p")

    assert problem.path == "$.spec.targetRefs[0].name"
    assert problem.hint == "Did you mean web?"
