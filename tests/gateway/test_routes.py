"""HTTPRoutes in virtual hosts, and the order in which they match."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.gateway.graph import Respond, RouteMatch, ValueMatch
from seawall.gateway.routes import specificity
from tests.gateway.world import edge, made, resolved, route, routes, rule, said, service

HOME = "HTTPRoute/shop/home"

prefixes = st.lists(st.sampled_from("ab"), max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(prefixes, prefixes)
def test_a_longer_prefix_goes_before_a_shorter_whatever_else_that_one_matches(one: str, other: str) -> None:
    plain = RouteMatch(path=one)
    picky = RouteMatch(path=other, method="GET", headers=(ValueMatch(name="a", value="b"),))

    assert (specificity(plain) < specificity(picky)) == (len(one) > len(other))


def test_the_order_of_types_and_counts() -> None:
    header = ValueMatch(name="a", value="b")
    ordered = [
        RouteMatch(path_type="Exact", path="/"),
        RouteMatch(path_type="RegularExpression", path="/.*"),
        RouteMatch(path="/longer"),
        RouteMatch(method="GET"),
        RouteMatch(headers=(header, header)),
        RouteMatch(headers=(header,), query=(header,)),
        RouteMatch(headers=(header,)),
        RouteMatch(query=(header,)),
        RouteMatch(),
    ]

    shuffled = ordered[::-1]

    assert sorted(shuffled, key=specificity) == ordered


def test_the_older_route_wins_then_the_first_by_namespace_and_name() -> None:
    everywhere = edge(
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    )
    newer = route("a", at=2)
    twins = [route("b", at=1), route("a", at=1, namespace="bank"), route("c", at=1, namespace="a-shop")]

    world = resolved(*everywhere, newer, *twins)

    assert [one.name for one in routes(world)] == ["a-shop/c/0/0", "bank/a/0/0", "shop/b/0/0", "shop/a/0/0"]


def test_a_route_in_quarantine_answers_500_and_no_other_does() -> None:
    ill = route("ill", rule("web"), hostnames=["ill.example"])
    world = resolved(*edge(), service(), ill, route("home", hostnames=["well.example"]))

    change = world.update(quarantine={ill.key: "bad regex"})

    assert routes(world, "ill.example")[0].action == Respond(status=500, reason="Envoy refused this route: bad regex")
    assert {key.hostname for key in change.hosts} == {"ill.example"}
    assert said(world, "HTTPRoute/shop/ill", "Programmed") == ("False", "Invalid")
    assert world.update(quarantine={}).hosts == change.hosts


def test_a_parent_of_another_controller_is_left_alone() -> None:
    other = made("GatewayClass", "other", {"spec": {"controllerName": "x.example/controller"}})
    spec = {"gatewayClassName": "other", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}

    world = resolved(other, made("Gateway", "edge", {"spec": spec}), service(), route("home"))

    assert not world.statuses.keys() & {HOME, "Gateway/shop/edge"}
