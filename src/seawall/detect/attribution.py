"""Attribution: who causes an excess: the signatures of its requests, weighed by what is in excess, as findings.

Pure. Volume weighs every request alike, cost by the origin's time, cache busting by misses, logins by refusals: the way is one.
Previous room: `detect.trigger`. Next room: `detect.signature` mines; `detect.judge` reads the findings.
"""

from collections.abc import Sequence

import msgspec

from seawall.detect.columns import Rows
from seawall.detect.finding import Evidence, Finding
from seawall.detect.sample import Sample
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight
from seawall.detect.signature import Excess, Signature, mine
from seawall.kit.units import Seconds

MINED = (
    "token",
    "account",
    "address",
    "net24",
    "net64",
    "net56",
    "net48",
    "ja4",
    "alpn",
    "protocol",
    "agent",
    "headers",
    "language",
    "method",
    "host",
    "path",
    "query_shape",
    "referer",
    "fetch",
)
TARGETS = frozenset({"route", "host", "method", "path", "query_shape", "protocol"})
"""What is asked for, not who asks: a signature of these alone hits everybody who wants the same."""
TARGET_RUNG, VOUCHED_RUNG, GROUP_RUNG, SOURCE_RUNG = 2, 2, 5, 6
SOURCE_RPS = 500.0
"""Beyond so many requests a second from one source, Envoy's own cost of refusing is worth a drop below it."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """An excess to be attributed: requests with a weight each, over so many seconds, of which `expected` a second are normal.

    Args:
        scope: what is looked at; its values are part of every signature.
        name: what the detector measures, for the evidence.
        normal: what of it a second is normal.
        least: an excess of less, a second, is not worth a look.
        certainty: how sure the detector would be of a sharp signature.
    """

    detector: str
    name: str
    scope: Scope
    rows: Rows
    weights: Sequence[float] | None
    seconds: float
    normal: float
    certainty: float = 0.97
    least: float = 0.0


def attribute(sight: Sight, cause: Cause) -> list[Finding]:
    """Find who causes an excess."""
    total = float(sum(cause.weights)) if cause.weights is not None else cause.rows.total
    if total - cause.normal * cause.seconds <= cause.least * cause.seconds:
        return []
    sample = sight.baseline.sample(cause.scope.route, sight.at)
    columns = {field: cause.rows.columns[field] for field in MINED if field in cause.rows.columns}
    vouched = cause.rows.vouched()
    trusted = vouched if any(vouched) else None
    weights = cause.weights if cause.weights is not None else cause.rows.weights
    excess = Excess(
        columns=columns,
        weights=weights,
        trusted=trusted,
        expected=cause.normal * cause.seconds,
        route=cause.scope.route,
    )
    found = mine(excess, sample)
    return [_finding(sight, cause, signature, sample) for signature in found]


def _finding(sight: Sight, cause: Cause, signature: Signature, sample: Sample) -> Finding:
    rate = signature.weight / cause.seconds
    normally = signature.impact * cause.normal
    one = signature.scope
    requests = _requests(cause, one)
    evidence = Evidence(what=f"{cause.name}/s", value=rate, baseline=normally, window=Seconds(cause.seconds))
    score = cause.certainty - _doubt(signature.impact) - 0.5 * signature.trust
    if signature.coverage < 0.3:
        score -= 0.1
    per_client = bool(one.fields & {"address", "token", "account"})
    return Finding(
        detector=cause.detector,
        scope=one,
        score=min(max(score, 0.0), 0.99),
        reason=f"{one} makes {signature.coverage:.0%} of the excess of {cause.name}, "
        f"and {signature.impact:.2%} of what is normal",
        evidence=(evidence,),
        excess=max(requests / cause.seconds, 0.0),
        coverage=signature.coverage,
        most=highest(one, signature.trust, requests / cause.seconds),
        allowed=max(1.2 * signature.impact * _usual(sight, cause), 1.0 if per_client else 0.5),
    )


def _doubt(impact: float) -> float:
    """Say how much of the certainty an impact costs: from a quarter of a percent on nobody is denied, from five nobody limited."""
    return min(40.0 * impact, 0.25) + 4.0 * max(impact - 0.01, 0.0)


def highest(scope: Scope, trust: float, rate: float) -> int:
    """Say how far such a scope may climb."""
    if trust > 0.1 or scope.fields & {"token", "account"}:
        return VOUCHED_RUNG
    if scope.is_by_network:
        return SOURCE_RUNG if rate > SOURCE_RPS else GROUP_RUNG
    return TARGET_RUNG if scope.fields <= TARGETS else GROUP_RUNG


def _usual(sight: Sight, cause: Cause) -> float:
    return sight.baseline.normal("requests", "route", cause.scope.route, sight.at).p95


def _requests(cause: Cause, scope: Scope) -> float:
    """Count the requests that a scope holds, whatever they weigh."""
    rows = cause.rows
    keep = [True] * len(rows)
    for one in scope.match:
        keep = [kept and value == one.value for kept, value in zip(keep, rows.column(one.field), strict=True)]
    return float(sum(weight for kept, weight in zip(keep, rows.each_weight, strict=True) if kept))
