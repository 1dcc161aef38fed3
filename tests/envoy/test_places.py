"""Places: which are filled for which routes, and how a route names what it asks for."""

from typing import Any

from seawall.envoy import limits, places, traffic
from seawall.envoy.filters import GUARD_PLACE, POLICY_PLACE
from seawall.gateway.graph import RateLimit, Route
from seawall.gateway.handling import Handling, Source
from seawall.gateway.resources.traffic import Compression, Fault
from tests.envoy.test_limits import chain, policy, shown
from tests.envoy.test_limits import route as limited

SQUEEZED = Handling(compression=Compression(algorithms=("gzip",)))
FAULTY = Handling(fault=Fault())
TIMED = Handling(sources=(Source(field="timeouts.request", policy="p"),))


def route(handling: Handling | None = None, by: RateLimit | None = None) -> Route:
    made = limited(by)
    return Route(
        name=made.name,
        origin=made.origin,
        path=made.path,
        match=made.match,
        action=made.action,
        limited=made.limited,
        handling=handling,
    )


def names(matcher: Any) -> list[str]:
    return [step["name"] for step in chain(matcher)]


def test_without_filters_of_traffic_all_is_as_limits_say() -> None:
    for routes in ([], [route()], [route(by=policy("a/p"))], [route(TIMED, policy("a/p")), route()]):
        for has_others in (True, False):
            assert places.table_filters(routes, has_others=has_others) == limits.table_filters(
                routes, has_others=has_others
            )


def test_the_same_for_every_route_needs_no_choice() -> None:
    filled = places.table_filters([route(SQUEEZED), route(SQUEEZED)], has_others=False)

    assert set(filled) == {POLICY_PLACE}
    assert names(shown(filled, POLICY_PLACE)) == ["gzip"]


def test_routes_that_differ_are_told_apart_by_what_the_guard_notes() -> None:
    routes = [route(SQUEEZED), route(FAULTY, policy("a/p")), route(by=policy("a/p")), route()]

    filled = places.table_filters(routes, has_others=False)

    (note,) = chain(shown(filled, GUARD_PLACE))
    wanted = note["typed_config"]["on_request_headers"][0]["format_string"]["text_format_source"]["inline_string"]
    assert wanted == "%METADATA(ROUTE:seawall.limit:policy)%|%METADATA(ROUTE:seawall.traffic:filters)%"
    tree = shown(filled, POLICY_PLACE)["matcher_tree"]["exact_match_map"]["map"]
    found = {name: names(entry["matcher"]) for name, entry in tree.items()}
    assert found == {
        f"|{traffic.key(SQUEEZED)}": ["gzip"],
        f"a/p|{traffic.key(FAULTY)}": ["headers", "limit", "fault"],
        "a/p|": ["headers", "limit"],
    }


def test_other_hosts_of_a_table_have_nothing() -> None:
    assert set(places.table_filters([route(SQUEEZED)], has_others=True)) == {GUARD_PLACE, POLICY_PLACE}


def test_who_is_exempt_from_limits_still_has_the_rest() -> None:
    filled = places.table_filters([route(FAULTY, policy("a/p", exempt_clients=("10.0.0.0/8",)))], has_others=False)

    matcher = shown(filled, POLICY_PLACE)
    exempt = matcher["matcher_list"]["matchers"][0]["on_match"]
    assert names({"on_no_match": exempt}) == ["fault"]
    assert names(matcher) == ["headers", "limit", "fault"]


def test_a_route_names_what_it_asks_for() -> None:
    both = places.route_metadata(route(FAULTY, policy("a/p")))["filter_metadata"]

    assert both["seawall.limit"] == {"fields": {"policy": {"string_value": "a/p"}}}
    assert both["seawall.traffic"] == {"fields": {"filters": {"string_value": traffic.key(FAULTY)}}}
    assert places.route_metadata(route(TIMED)) == {}
