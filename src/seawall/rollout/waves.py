"""Waves: which edges take a candidate together, and in which order. A function of where the edges stand.

Pure.

    canary: 1 │ cell: the rest of it │ region: one of each other cell, up to 5 % of the fleet where possible
    then elsewhere, other continents first, then what is left over:  quarter: up to 25 % │ half: up to 50 % │ all

Every edge is in exactly one wave, and no second region is touched before S6. A fleet too small for a stage skips it.
"""

from itertools import pairwise

import msgspec

from seawall.gateway.resources.perimeter import Region
from seawall.rollout.change import Risk
from seawall.rollout.events import EdgePlace, Stage
from seawall.rollout.stages import WAVES

REGION_SHARE = 0.05


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """Edges that change together. Without edges the stage is skipped, and `note` says why."""

    stage: Stage
    edges: tuple[str, ...] = ()
    note: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All waves, and the edge that the canary is compared with (empty: there is none)."""

    waves: tuple[Wave, ...]
    control: str = ""
    notes: tuple[str, ...] = ()


def plan(places: tuple[EdgePlace, ...], regions: tuple[Region, ...], risk: Risk, *, is_first: bool = False) -> Plan:
    """Cut a fleet into waves. `is_first`: nothing runs yet, so there is nobody to protect and nothing to compare with."""
    if is_first:
        return _all_at_once(places, "nothing runs yet: there is nobody to protect and nothing to compare with")
    if risk == "R0":
        return _all_at_once(places, "R0: endpoint weights within bounds go out after the taster")
    if len(places) < 2:
        return _all_at_once(places, "the fleet has one edge: there is no canary, and no control to compare it with")
    canary, control = _pair(places, regions)
    waves = _cut(places, regions, canary)
    notes: tuple[str, ...] = ()
    if (control.region, control.cell) != (canary.region, canary.cell):
        said = (
            f"cell {canary.cell or '(none)'} has one edge, so {control.edge} elsewhere is the control of {canary.edge}"
        )
        notes = (said,)
    return Plan(waves=waves, control=control.edge, notes=notes)


_SKIPPED: dict[Stage, str] = {
    "cell": "the canary is alone in its cell, or the fleet is too small",
    "region": "the region has no further cell, or the fleet is too small",
    "quarter": "a quarter of this fleet has it already",
    "half": "half of this fleet has it already",
    "all": "no edge is left",
}


def _cut(places: tuple[EdgePlace, ...], regions: tuple[Region, ...], canary: EdgePlace) -> tuple[Wave, ...]:
    total = len(places)
    mates, own = _near(places, canary)
    away = _away(places, regions, canary)
    last = total - 1
    # A cell that is most of the fleet would be no step but a jump.
    cell = min(len(mates), max(2, total // 4) - 1, last - 1)
    heads = len({place.cell for place in places if place.region == canary.region} - {canary.cell})
    wanted = max(heads, int(total * REGION_SHARE) - 1 - cell)
    region = max(0, min(len(own), wanted, max(1, total // 4 - 1 - cell), last - 1 - cell))
    taken = 1 + cell + region
    quarter = max(0, min(max(-(-total // 4) - taken, 1 if away else 0), last - taken))
    half = max(0, -(-total // 2) - taken - quarter)
    left = (*away, *own[region:], *mates[cell:])
    parts: tuple[tuple[Stage, tuple[str, ...]], ...] = (
        ("canary", (canary.edge,)),
        ("cell", tuple(mates[:cell])),
        ("region", tuple(own[:region])),
        ("quarter", left[:quarter]),
        ("half", left[quarter : quarter + half]),
        ("all", left[quarter + half :]),
    )
    return tuple(Wave(stage=stage, edges=edges, note="" if edges else _SKIPPED[stage]) for stage, edges in parts)


def _all_at_once(places: tuple[EdgePlace, ...], note: str) -> Plan:
    everybody = tuple(sorted(place.edge for place in places))
    waves = (*(Wave(stage=stage, note=note) for stage in WAVES[:-1]), Wave(stage="all", edges=everybody))
    return Plan(waves=waves, notes=(note,))


def _pair(places: tuple[EdgePlace, ...], regions: tuple[Region, ...]) -> tuple[EdgePlace, EdgePlace]:
    """Find two edges of nearly equal age, both in the canary cell where it has two."""
    mates = _canary_cell(places, regions)
    if len(mates) > 1:
        aged = sorted(mates, key=lambda place: (place.since, place.edge))
        return min(pairwise(aged), key=lambda pair: (pair[1].since - pair[0].since, pair[0].edge))
    canary = mates[0]
    others = (place for place in places if place.edge != canary.edge)
    control = min(
        others, key=lambda place: (place.region != canary.region, abs(place.since - canary.since), place.edge)
    )
    return canary, control


def _canary_cell(places: tuple[EdgePlace, ...], regions: tuple[Region, ...]) -> list[EdgePlace]:
    """Take the cell that the operator named; else the first with two edges; else the first one."""
    cells: dict[tuple[str, str], list[EdgePlace]] = {}
    for place in sorted(places, key=lambda place: (place.region, place.cell, place.edge)):
        cells.setdefault((place.region, place.cell), []).append(place)
    described = [(region.name, cell.name, cell.is_canary) for region in regions for cell in region.cells]
    ranks = {(region, cell): (not is_canary, rank) for rank, (region, cell, is_canary) in enumerate(described)}
    unknown = (True, len(described))
    best = min(
        cells, key=lambda key: (ranks.get(key, unknown)[0], len(cells[key]) < 2, ranks.get(key, unknown)[1], key)
    )
    return cells[best]


def _near(places: tuple[EdgePlace, ...], canary: EdgePlace) -> tuple[list[str], list[str]]:
    """List the canary's neighbours in its cell, and those in the other cells of its region, one of each cell first."""
    mates, firsts, rest = [], [], []
    seen = set()
    for place in sorted(places, key=lambda place: place.edge):
        if place.region != canary.region or place.edge == canary.edge:
            continue
        if place.cell == canary.cell:
            mates.append(place.edge)
        elif place.cell in seen:
            rest.append(place.edge)
        else:
            seen.add(place.cell)
            firsts.append(place.edge)
    return mates, firsts + rest


def _away(places: tuple[EdgePlace, ...], regions: tuple[Region, ...], canary: EdgePlace) -> list[str]:
    """List the edges of other regions cell by cell, those on other continents first."""
    continents = {region.name: region.continent for region in regions}
    ranks = {region.name: rank for rank, region in enumerate(regions)}
    home = continents.get(canary.region, "")
    away = (place for place in places if place.region != canary.region)

    def key(place: EdgePlace) -> tuple[bool, int, str, str, str]:
        is_near = continents.get(place.region, "") == home
        return (is_near, ranks.get(place.region, len(ranks)), place.region, place.cell, place.edge)

    return [place.edge for place in sorted(away, key=key)]
