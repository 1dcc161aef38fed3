"""Traffic: which policy a field is from, as policies come and go."""

from typing import Any

from seawall.gateway.explain import explain
from seawall.gateway.graph import ClusterName, Forward, ObjectKey, Respond, Route
from seawall.gateway.matching import parse_request
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from tests.gateway.world import edge, listener_set, made, problems, resolved, route, routes, rule, said, service

GROUP = "gateway.networking.k8s.io"
WEB = ClusterName("Service/shop/web/80")


def policy(label: str, target: str = "HTTPRoute/home", section: str = "", at: int = 0, **spec: Any) -> Object:
    kind, name = target.split("/")
    group = {"Service": "", "Backend": "seawall.dev"}.get(kind, GROUP)
    ref = {"group": group, "kind": kind, "name": name, **({"sectionName": section} if section else {})}
    return made("TrafficPolicy", label, {"spec": {"targetRefs": [ref], **spec}}, at=at)


def world(*objects: Object, **beside: Any) -> Resolver:
    named = (rule("web", name="one"), rule("web", name="two", matches=[{"path": {"value": "/two"}}]))
    return resolved(*edge(), service(), route("home", *named), *objects, **beside)


def of(found: Resolver, name: str) -> Route:
    return next(one for one in routes(found) if one.name == f"shop/home/{name}/0")


def timeouts(found: Resolver, name: str) -> tuple[float | None, float | None, float | None]:
    action = of(found, name).action
    assert isinstance(action, Forward)
    return action.timeout, action.try_timeout, action.stream_idle


def test_rule_goes_before_route_before_listener_before_gateway_each_timeout_by_itself() -> None:
    objects = [
        policy("gateway", "Gateway/edge", timeouts={"request": "1s", "backendRequest": "1s", "streamIdle": "1s"}),
        policy("listener", "Gateway/edge", "http", timeouts={"request": "2s", "backendRequest": "2s"}),
        policy("route", timeouts={"request": "3s"}),
        policy("rule", section="one", timeouts={"request": "4s"}),
    ]
    found = world(*objects)
    seen = [timeouts(found, "one")]
    assert timeouts(found, "two") == (3, 2, 1)
    for obj in reversed(objects):
        found.update(remove=[obj.key])
        seen.append(timeouts(found, "one"))

    assert seen == [(4, 2, 1), (3, 2, 1), (2, 2, 1), (1, 1, 1), (None, None, None)]
    assert of(found, "one").handling is None


def test_what_a_rule_says_itself_goes_before_every_policy() -> None:
    inline = rule("web", name="one", timeouts={"request": "9s"}, retry={"attempts": 9})
    objects = (policy("p", section="one", timeouts={"request": "1s", "streamIdle": "1s"}, retry={"attempts": 1}),)
    found = resolved(*edge(), service(), route("home", inline), *objects)

    action = of(found, "one").action
    assert isinstance(action, Forward)
    assert action.retry is not None
    assert (action.timeout, action.stream_idle, action.retry.attempts) == (9.0, 1.0, 9)
    handling = of(found, "one").handling
    assert handling is not None
    assert [one.field for one in handling.sources] == ["timeouts.streamIdle"]


def test_the_oldest_of_two_for_one_target_applies_whole_until_it_goes() -> None:
    old = policy("z-old", at=1, timeouts={"request": "1s"})
    young = policy("a-young", at=2, timeouts={"backendRequest": "2s"})
    found = world(old, young)

    assert timeouts(found, "one") == (1, None, None)
    assert said(found, "TrafficPolicy/shop/a-young", "Accepted") == ("False", "Conflicted")
    assert said(found, "TrafficPolicy/shop/z-old", "Programmed") == ("True", "Programmed")
    found.update(remove=[old.key])
    assert timeouts(found, "one") == (None, 2, None)
    assert said(found, "TrafficPolicy/shop/a-young", "Accepted") == ("True", "Accepted")


def test_a_policy_that_envoy_refused_is_passed_over_and_the_next_applies() -> None:
    one, two = policy("one", timeouts={"request": "1s"}), policy("two", at=1, timeouts={"request": "2s"})
    found = world(one, two, quarantine={one.key: "no such thing"})

    assert timeouts(found, "one") == (2, None, None)
    assert "no such thing" in problems(found, one.key)[0].message


def test_a_listener_of_a_listener_set_has_what_its_gateway_has() -> None:
    parents = [{"kind": "ListenerSet", "name": "more"}]
    objects = (
        listener_set("more", {"name": "http", "port": 81, "protocol": "HTTP"}),
        made("HTTPRoute", "home", {"spec": {"parentRefs": parents, "rules": [rule("web")]}}),
        policy("gateway", "Gateway/edge", timeouts={"request": "1s"}),
        policy("listener", "Gateway/edge", "http", timeouts={"request": "2s"}),
    )
    found = resolved(*edge(allowedListeners={"namespaces": {"from": "Same"}}), service(), *objects)

    (only,) = routes(found, table="tcp/127.0.0.1/81")
    assert isinstance(only.action, Forward)
    assert only.action.timeout == 1.0


def test_a_direct_response_stands_for_backends_only() -> None:
    redirect = {
        "name": "two",
        "matches": [{"path": {"value": "/two"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}],
    }
    answer = policy("p", directResponse={"status": 200, "body": "%REQ(:PATH)%"})
    found = resolved(*edge(), service(), route("home", rule("web", name="one"), redirect), answer)

    action = of(found, "one").action
    assert isinstance(action, Respond)
    assert (action.status, action.template) == (200, "%REQ(:PATH)%")
    assert not isinstance(of(found, "two").action, Respond)


def test_a_port_goes_before_its_service_field_by_field() -> None:
    whole = policy("whole", "Service/web", circuitBreaker={"requests": 1}, retryBudget={"percent": 5})
    port = policy("port", "Service/web", "main", circuitBreaker={"requests": 2}, protocol="HTTP2")
    ports = service("web", {"name": "main", "port": 80}, {"name": "other", "port": 81})
    to_other = rule(name="other", matches=[{"path": {"value": "/other"}}], backendRefs=[{"name": "web", "port": 81}])
    found = resolved(*edge(), ports, route("home", rule("web", name="one"), to_other), whole, port)

    clusters = found.graph.clusters
    main, other = clusters[ClusterName(f"{WEB}/http2")], clusters[ClusterName("Service/shop/web/81")]
    assert main.protocol == "http2"
    assert main.treatment is not None
    assert other.treatment is not None
    assert main.treatment.circuit_breaker is not None
    assert other.treatment.circuit_breaker is not None
    assert (main.treatment.circuit_breaker.requests, other.treatment.circuit_breaker.requests) == (2, 1)
    assert main.treatment.retry_budget == other.treatment.retry_budget
    assert main.origins == ("Service/shop/web", port.key, whole.key)


def test_a_policy_for_a_backend_changes_its_cluster_and_no_route() -> None:
    found = world()

    change = found.update(put=[policy("p", "Service/web", circuitBreaker={"requests": 1})])

    assert change.clusters == {WEB}
    assert not change.hosts
    assert not change.listeners


def test_of_retry_budgets_our_own_policy_goes_before_the_experimental_one() -> None:
    spec = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}], "retryConstraint": {}}
    theirs = made("XBackendTrafficPolicy", "x", {"spec": spec})
    ours = policy("p", "Service/web", retryBudget={"percent": 1})
    found = world(theirs)
    percents = [_percent(found)]
    found.update(put=[ours])
    percents.append(_percent(found))

    assert percents == [20, 1]


def _percent(found: Resolver) -> float:
    treatment = found.graph.clusters[WEB].treatment
    assert treatment is not None
    assert treatment.retry_budget is not None
    return treatment.retry_budget.percent


def test_of_two_things_that_make_a_request_wait_one_is_left_out_and_named() -> None:
    found = world(
        policy("gateway", "Gateway/edge", requestBody={"maxBytes": 9, "buffer": True}),
        policy("route", bandwidth={"request": 1, "response": 2}),
        policy("rule", section="one", fault={"delay": {"duration": "1s"}}),
        policy("two", section="two", fault={"delay": {"duration": "1s"}, "abort": {"status": 500}}),
    )

    one, two = of(found, "one").handling, of(found, "two").handling
    assert one is not None
    assert two is not None
    assert one.left_out == two.left_out == ("bandwidth.request", "fault.delay")
    assert one.fault is None
    assert two.fault is not None
    assert two.fault.delay is None
    assert one.bandwidth is not None
    assert (one.bandwidth.request, one.bandwidth.response) == (None, 2)
    said_of = explain(found.graph, parse_request("GET", "http://any.example/")).filters
    assert any(line.startswith("bandwidth.request is left out") for line in said_of)


def test_explain_says_where_each_field_is_from() -> None:
    objects = (
        policy("gateway", "Gateway/edge", timeouts={"request": "1s"}, compression={}),
        policy("route", timeouts={"request": "2s"}),
        policy("web", "Service/web", circuitBreaker={"requests": 1}),
    )

    explained = explain(world(*objects).graph, parse_request("GET", "http://any.example/"))

    assert "compression from TrafficPolicy/shop/gateway" in explained.filters
    over = "timeouts.request from TrafficPolicy/shop/route, which goes before TrafficPolicy/shop/gateway"
    assert over in explained.filters
    (backend,) = explained.outcome.backends
    assert "circuitBreaker from TrafficPolicy/shop/web" in backend.filters


def test_a_policy_that_comes_and_goes_leaves_nothing_behind() -> None:
    found, before = world(), world()

    for obj in (policy("p", fault={"abort": {"status": 500}}), policy("q", "Service/web", retryBudget={})):
        found.update(put=[obj])
        found.update(remove=[ObjectKey(obj.key)])

    assert found.graph == before.graph
    assert found.statuses == before.statuses
