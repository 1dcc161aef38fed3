"""Signature: which few fields tell an excess of requests from normal ones.

Pure, and the hot loop of this room. Three steps, each of them smaller than the one before:

1. Of each field, keep the values that make up 5 % of the excess. Random values (the address of a botnet, a made-up query) fall
   out by themselves.
2. Project every request on the kept values and count equal ones: a million requests become a few groups.
3. Grow candidates field by field over the groups, up to four, and take the one with the best of
   `coverage - 20 * impact - 5 * trust`. Take its requests away, and begin anew while an excess remains, five times at most.

Next room: `detect.detectors.mining` and its siblings (cost, cache busting, logins) call it with weights of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import msgspec

from seawall.detect.columns import spread
from seawall.detect.sample import EMPTY, Sample
from seawall.detect.scope import Scope, scope

KEPT_SHARE = 0.05
MOST_FIELDS = 4
MOST_ROUNDS = 5
MOST_GROUPS = 512
MOST_ITEMS = 64
BEAM = 48
IMPACT_WEIGHT, TRUST_WEIGHT = 20.0, 5.0
LEAST_COVERAGE = 0.10
"""A candidate that explains less is left alone: it would be noise with a name."""
STILL_COMMON = 0.6
"""A value that so many normal requests have tells nothing; it is not added to a signature."""
PEEK = 4096
"""Requests to look at before a field is counted wholly."""
GROUPS = (
    frozenset({"ja4", "alpn", "protocol"}),
    frozenset({"agent"}),
    frozenset({"headers", "language"}),
    frozenset({"path", "query_shape", "method", "host", "referer", "fetch"}),
)
"""Fields that say nearly the same: a signature takes one of each before it takes a second."""
SAYING = (
    "ja4",
    "agent",
    "headers",
    "path",
    "query_shape",
    "language",
    "method",
    "referer",
    "fetch",
    "host",
    "alpn",
    "protocol",
)
"""Of fields that are equally rare, the one that says most."""
IDENTITIES = ("token", "account", "address", "net64", "net56", "net48", "net24")
"""Who it is, the narrowest first. Where one of these explains a candidate alone, it is the whole signature."""


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be explained.

    Args:
        columns: for each field the values of all requests, in one order.
        weights: what each request counts; None: one.
        expected: how much of the total would be there normally.
        trusted: for each request whether somebody vouches for it (a valid token, a login, a verified bot); None: nobody.
        route: where.
    """

    columns: Mapping[str, Sequence[str]]
    expected: float
    weights: Sequence[float] | None = None
    trusted: Sequence[bool] | None = None
    route: str = ""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A few fields, and what they explain: of the excess, of normal traffic (`impact`), of what somebody vouches for (`trust`)."""

    scope: Scope
    coverage: float
    impact: float
    trust: float
    weight: float

    @property
    def worth(self) -> float:
        return self.coverage - IMPACT_WEIGHT * self.impact - TRUST_WEIGHT * self.trust


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a field: the groups that have it, and the normal requests that do."""

    field: str
    value: str
    groups: frozenset[int]
    normal: int


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Equal requests, counted. `trusted` is the part of each weight that somebody vouches for."""

    fields: tuple[str, ...]
    keys: list[tuple[str | None, ...]]
    weights: list[float]
    trusted: list[float]


def mine(excess: Excess, normal: Sample = EMPTY, most_impact: float = 0.10) -> list[Signature]:
    """Find the signatures of an excess, the best first."""
    total = _total(excess)
    to_explain = total - excess.expected
    if to_explain <= 0:
        return []
    groups = project(excess, normal, KEPT_SHARE * to_explain)
    left = set(range(len(groups.keys)))
    found: list[Signature] = []
    for _ in range(MOST_ROUNDS):
        best = _best(groups, left, normal, to_explain, most_impact)
        if best is None:
            break
        found.append(best.signature(excess.route))
        left -= best.groups
        if sum(groups.weights[index] for index in left) - excess.expected < LEAST_COVERAGE * to_explain:
            break
    return found


def project(excess: Excess, normal: Sample, least: float) -> _Groups:
    """Keep frequent values only, and count what is equal then."""
    kept = {field: _kept(excess, field, normal, least) for field in excess.columns}
    fields = tuple(field for field, values in kept.items() if values)
    columns = [map(kept[field].get, excess.columns[field]) for field in fields]
    rows: Iterable[tuple[str | None, ...]] = zip(*columns, strict=True) if columns else ()
    if excess.weights is None and excess.trusted is None:
        counted = Counter(rows).most_common(MOST_GROUPS)
        keys, weights = [key for key, _ in counted], [float(count) for _, count in counted]
        return _Groups(fields=fields, keys=keys, weights=weights, trusted=[0.0] * len(keys))
    size = len(next(iter(excess.columns.values()), ()))
    weighted: dict[tuple[str | None, ...], list[float]] = {}
    each = excess.weights if excess.weights is not None else repeat(1.0, size)
    vouched = excess.trusted if excess.trusted is not None else repeat(False, size)
    for key, weight, is_trusted in zip(rows, each, vouched, strict=True):
        entry = weighted.get(key)
        if entry is None:
            entry = weighted[key] = [0.0, 0.0]
        entry[0] += weight
        if is_trusted:
            entry[1] += weight
    top = sorted(weighted.items(), key=lambda item: (-item[1][0], str(item[0])))[:MOST_GROUPS]
    return _Groups(
        fields=fields,
        keys=[key for key, _ in top],
        weights=[entry[0] for _, entry in top],
        trusted=[entry[1] for _, entry in top],
    )


def _kept(excess: Excess, field: str, normal: Sample, least: float) -> dict[str, str]:
    """Return the values of a field that exceed what is expected of them by 5 % of the excess."""
    column = excess.columns[field]
    total = _total(excess)
    if not _promising(column, excess.weights, least / total if total else 1.0):
        return {}
    counts = _count(column, excess.weights)
    per_request = excess.expected / len(normal) if len(normal) else 0.0
    return {
        value: value
        for value, count in counts.items()
        if count >= least
        and count - per_request * normal.having(field, value).bit_count() >= least
        and not (field in IDENTITIES and value == "")
    }


def _promising(column: Sequence[str], weights: Sequence[float] | None, share: float) -> bool:
    """Peek at a few requests: where no value comes near the share, the field is not counted wholly. It halves the work."""
    if weights is not None or len(column) <= 2 * PEEK:
        return True
    seen = Counter(column[number] for number in spread(len(column), PEEK))
    return seen.most_common(1)[0][1] >= 0.5 * share * seen.total()


def _count(column: Sequence[str], weights: Sequence[float] | None) -> Mapping[str, float]:
    if weights is None:
        return Counter(column)
    counts: dict[str, float] = {}
    for value, weight in zip(column, weights, strict=True):
        counts[value] = counts.get(value, 0.0) + weight
    return counts


def _total(excess: Excess) -> float:
    if excess.weights is not None:
        return float(sum(excess.weights))
    return float(len(next(iter(excess.columns.values()), ())))


def _items(groups: _Groups, left: set[int], normal: Sample) -> list[_Item]:
    """List every kept value, with the groups that have it."""
    found: dict[tuple[str, str], set[int]] = {}
    for index in sorted(left):
        for field, value in zip(groups.fields, groups.keys[index], strict=True):
            if value is not None:
                found.setdefault((field, value), set()).add(index)
    items = [
        _Item(field=field, value=value, groups=frozenset(indexes), normal=normal.having(field, value))
        for (field, value), indexes in found.items()
    ]
    items.sort(key=lambda item: (-sum(groups.weights[index] for index in item.groups), item.field, item.value))
    return items[:MOST_ITEMS]


class _Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Values of different fields, with the groups and the normal requests that have them all."""

    name: tuple[tuple[str, str], ...]
    items: tuple[_Item, ...]
    groups: frozenset[int]
    normal: int
    weight: float
    coverage: float
    impact: float
    trust: float
    worth: float

    def signature(self, route: str) -> Signature:
        return Signature(
            scope=scope(route, dict(self.name)),
            coverage=self.coverage,
            impact=self.impact,
            trust=self.trust,
            weight=self.weight,
        )


class _Scale:
    """Weighs candidates of one round."""

    def __init__(self, *, groups: _Groups, to_explain: float, normal: Sample) -> None:
        self._weights, self._trusted = groups.weights, groups.trusted
        self._to_explain, self.normal = to_explain, normal
        self._has_trust = any(groups.trusted)

    def __call__(self, items: tuple[_Item, ...], groups: frozenset[int], normal: int) -> _Candidate:
        weight = sum(map(self._weights.__getitem__, groups))
        trusted = sum(map(self._trusted.__getitem__, groups)) if self._has_trust else 0.0
        coverage = min(weight / self._to_explain, 1.0)
        impact = self.normal.share(normal)
        trust = trusted / weight if weight else 0.0
        return _Candidate(
            name=tuple((item.field, item.value) for item in items),
            items=items,
            groups=groups,
            normal=normal,
            weight=weight,
            coverage=coverage,
            impact=impact,
            trust=trust,
            worth=coverage - IMPACT_WEIGHT * impact - TRUST_WEIGHT * trust,
        )


def _best(groups: _Groups, left: set[int], normal: Sample, to_explain: float, most_impact: float) -> _Candidate | None:
    """Grow candidates by one field at a time.

    A field can only take coverage away; what it can win is impact and trust. So a candidate whose coverage is less than the
    worth of the best one is left alone, and so is one that has nothing to win.
    """
    weigh = _Scale(groups=groups, to_explain=to_explain, normal=normal)
    singles = [weigh((item,), item.groups, item.normal) for item in _items(groups, left, normal)]
    level = [one for one in singles if one.coverage >= LEAST_COVERAGE]
    items = [one.items[0] for one in level]
    best = _choose(level, None, most_impact)
    for _ in range(MOST_FIELDS - 1):
        floor = best.worth if best is not None else -1e9
        grown: dict[tuple[tuple[str, str], ...], _Candidate] = {}
        for candidate in sorted(level, key=_rank)[:BEAM]:
            if candidate.coverage <= floor or candidate.worth >= candidate.coverage - 1e-9:
                continue
            for item in items:
                one = _grown(candidate, item, weigh)
                if one is not None and one.coverage >= LEAST_COVERAGE:
                    grown[one.name] = one
        level = list(grown.values())
        best = _choose(level, best, most_impact)
    return _narrowed(_identity(best, weigh, items), weigh, items) if best is not None else None


def _grown(candidate: _Candidate, item: _Item, weigh: _Scale) -> _Candidate | None:
    """Add a value of another field."""
    if any(one.field == item.field for one in candidate.items):
        return None
    both = candidate.groups & item.groups
    if not both:
        return None
    parts = tuple(sorted((*candidate.items, item), key=lambda one: one.field))
    return weigh(parts, both, candidate.normal & item.normal)


def _rank(candidate: _Candidate) -> tuple[float, int, tuple[tuple[str, str], ...]]:
    return (-candidate.worth, len(candidate.items), candidate.name)


def _choose(level: list[_Candidate], best: _Candidate | None, most_impact: float) -> _Candidate | None:
    """Take the best of a level if it beats the best so far; ties go to fewer fields."""
    fit = [one for one in level if one.impact <= most_impact]
    first = min(fit, key=_rank, default=None)
    if first is None or (best is not None and first.worth <= best.worth + 1e-9):
        return best
    return first


def _identity(best: _Candidate, weigh: _Scale, items: list[_Item]) -> _Candidate:
    """Where one client explains it all, its name is the signature: its tool and its path change, it does not."""
    for field in IDENTITIES:
        for item in items:
            alone = weigh((item,), item.groups, item.normal) if item.field == field else None
            if alone is None or alone.impact > 0.01:
                continue
            if alone.coverage >= 0.98 * best.coverage and best.groups <= item.groups:
                return alone
    return best


def _narrowed(best: _Candidate, weigh: _Scale, items: list[_Item]) -> _Candidate:
    """Add fields that cost no coverage and that few normal requests have: who shares only the tool is not touched."""
    if any(item.field in IDENTITIES for item in best.items):
        return best
    rare = sorted(items, key=lambda item: (weigh.normal.share(item.normal), _saying(item), item.value))
    while len(best.items) < MOST_FIELDS:
        grown = next((one for item in _varied(rare, best) if (one := _added(best, item, weigh)) is not None), None)
        if grown is None:
            break
        best = grown
    return best


def _added(best: _Candidate, item: _Item, weigh: _Scale) -> _Candidate | None:
    """Add a field, if it costs nothing and says something."""
    is_taken = any(one.field == item.field for one in best.items)
    if is_taken or item.field in IDENTITIES or weigh.normal.share(item.normal) > STILL_COMMON:
        return None
    grown = _grown(best, item, weigh)
    return grown if grown is not None and grown.coverage >= 0.99 * best.coverage else None


def _saying(item: _Item) -> int:
    return SAYING.index(item.field) if item.field in SAYING else len(SAYING)


def _varied(rare: list[_Item], best: _Candidate) -> list[_Item]:
    """Put items of groups that are not there yet before the others, one of each."""
    taken = [group for group in GROUPS if any(item.field in group for item in best.items)]
    return [
        *(item for item in rare if not any(item.field in group for group in taken)),
        *(item for item in rare if any(item.field in group for group in taken)),
    ]
