"""Places: what fills the places of the filter chain in a route table.

Pure. A table has the filters of its routes once, and its routes share them; a place is filled with what a request's route
asks for, in the constant order of `filters.POLICY`.

    limits only                                        `envoy.limits` says it all
    the same for every route of a host                 policy = limits ─▶ traffic
    else                                               guard  = note what the route asks for, which its metadata names
                                                       policy = by what was noted ─▶ limits ─▶ traffic

A composite in a composite is nothing that Envoy can make, so limits and traffic cannot be chosen one after the other: there
is an entry for each pair that some route has. Buckets belong to an entry: routes of one host that share a limit and have
different filters of traffic beside it count apart.
"""

from collections.abc import Iterable
from typing import Any, Final

from seawall.envoy import filters, limits, traffic
from seawall.envoy.proto import pack
from seawall.gateway.graph import RateLimit, Route
from seawall.gateway.handling import Handling

METADATA: Final = "seawall.traffic"
"""Namespace of a route's metadata that names its filters of traffic."""
_SELECTED: Final = "seawall.policy"


def route_metadata(route: Route) -> dict[str, Any]:
    """Return the metadata by which a route names what it asks for."""
    named = limits.route_metadata(route.limited)
    if wanted := traffic.key(route.handling):
        found: dict[str, Any] = named.get("filter_metadata", {})
        return {"filter_metadata": {**found, METADATA: {"fields": {"filters": {"string_value": wanted}}}}}
    return named


def table_filters(routes: Iterable[Route], *, has_others: bool) -> dict[str, Any]:
    """Return what fills the places of a route table. `has_others`: it answers more than these routes by itself."""
    known = tuple(routes)
    if not any(traffic.key(route.handling) for route in known):
        return limits.table_filters(known, has_others=has_others)
    asked: dict[str, tuple[RateLimit | None, Handling | None]] = {}
    for route in known:
        limit = route.limited.by if route.limited is not None else None
        name = f"{limit.name if limit is not None else ''}|{traffic.key(route.handling)}"
        asked[name] = (limit, route.handling)
    plain = asked.pop("|", None) is not None or has_others
    if len(asked) == 1 and not plain:
        (only,) = asked.values()
        return {filters.POLICY_PLACE: pack(limits.PER_ROUTE, {"matcher": _matcher(*only)})}
    by_name = {"map": {name: {"matcher": _matcher(*asked[name])} for name in sorted(asked)}}
    tree = {
        "input": {"name": "policy", "typed_config": pack(limits.STATE_INPUT, {"key": _SELECTED})},
        "exact_match_map": by_name,
    }
    wanted = f"%METADATA(ROUTE:{limits.METADATA}:policy)%|%METADATA(ROUTE:{METADATA}:filters)%"
    return {
        filters.GUARD_PLACE: pack(
            limits.PER_ROUTE, {"matcher": {"on_no_match": limits.execute([limits.select(_SELECTED, wanted)])}}
        ),
        filters.POLICY_PLACE: pack(limits.PER_ROUTE, {"matcher": {"matcher_tree": tree}}),
    }


def _matcher(limit: RateLimit | None, handling: Handling | None) -> dict[str, Any]:
    steps = traffic.steps(handling) if handling is not None else []
    if limit is None:
        return {"on_no_match": limits.execute(steps)}
    return limits.matcher(limit, steps)
