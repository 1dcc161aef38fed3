"""A small world for tests: rows, slots, sights and findings by the handful."""

from collections.abc import Mapping, Sequence

from seawall.detect.baseline import Baseline
from seawall.detect.columns import Rows
from seawall.detect.finding import Finding
from seawall.detect.guards.question import Question, Standing
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.detect.sight import Sight, Slot
from seawall.kit.units import Instant, Seconds

AT = Instant(1_700_000_000.0)
PERSON = {
    "route": "shop",
    "host": "shop.example",
    "method": "GET",
    "path": "/",
    "fetch": "document",
    "address": "192.0.2.1",
    "ja4": "browser",
    "agent": "Chrome/156",
    "headers": "o-chrome",
    "language": "en",
    "status": "200",
}
"""A request like many."""
FIELDS = tuple(
    sorted({*PERSON, "token", "account", "verified", "net64", "net56", "net48", "net24", "query", "refused"})
)


def rows(*requests: Mapping[str, str], seconds: float = 0.02) -> Rows:
    """Make columns of requests; what they do not say is as in PERSON."""
    filled = [{**PERSON, **one} for one in requests]
    columns = {field: [one.get(field, "") for one in filled] for field in FIELDS}
    return Rows(columns=columns, seconds=[seconds] * len(filled))


def slot(*requests: Mapping[str, str], at: float = 0.0) -> Slot:
    made = rows(*requests)
    return Slot(at=Instant(AT + at), rows=made, totals={"shop": float(len(made))} if len(made) else {}, costs={})


def people(count: int, **values: str) -> list[dict[str, str]]:
    """Make requests of people: a page and two parts of it each."""
    parts = (("/", "document"), ("/app.js", "script"), ("/logo.png", "image"))
    return [
        {"address": f"192.0.2.{number}", "path": path, "fetch": fetch, **values}
        for number in range(count)
        for path, fetch in parts
    ]


def bots(count: int, **values: str) -> list[dict[str, str]]:
    """Make requests of a botnet: one path, one tool, an address each."""
    tool = {"ja4": "tool", "agent": "bot/1", "headers": "o-bot", "language": "", "path": "/list"}
    return [{"address": f"198.51.{number >> 8}.{number & 255}", **tool, **values} for number in range(count)]


def learned(seconds: int = 1000, *, normal: Sequence[Mapping[str, str]] = ()) -> Baseline:
    """Make a baseline that has watched a route for a while: a hundred requests a second."""
    baseline = Baseline()
    kept = rows(*(normal or people(40)))
    for number in range(seconds):
        at = Instant(AT - seconds + number)
        baseline.read("requests", "route", "shop", 100.0, at)
        baseline.read("requests", "route", "", 100.0, at)
        if number >= seconds - 60:
            baseline.keep("shop", kept, FIELDS, at)
            baseline.keep("", kept, FIELDS, at)
    return baseline


def sight(
    *slots: Slot,
    baseline: Baseline | None = None,
    settings: Settings | None = None,
    known: frozenset[str] = frozenset(),
) -> Sight:
    return Sight(
        slots,
        baseline=baseline if baseline is not None else learned(),
        settings=settings if settings is not None else Settings(enforces=True),
        is_known=known.__contains__,
        watched=1000.0,
    )


def question(
    at: Sight,
    scope: Scope,
    rung: int = 5,
    *,
    standing: Standing | None = None,
    twins: tuple[Finding, ...] = (),
    needs_baseline: bool = True,
    ttl: float = 60.0,
) -> Question:
    """Ask whether a scope may be treated so."""
    found = finding(scope, needs_baseline=needs_baseline)
    return Question(
        finding=found,
        scope=scope,
        rung=rung,
        action="deny",
        expires=Instant(at.at + Seconds(ttl)),
        sight=at,
        standing=standing if standing is not None else Standing(),
        twins=twins,
    )


def finding(scope: Scope, *, score: float = 0.95, most: int = 6, needs_baseline: bool = True) -> Finding:
    return Finding(
        detector="test",
        scope=scope,
        score=score,
        reason="it looks bad",
        excess=100.0,
        most=most,
        allowed=1.0,
        needs_baseline=needs_baseline,
    )


BOTNET = scope("shop", {"agent": "bot/1", "ja4": "tool"})
