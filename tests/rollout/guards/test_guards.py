"""Each guard by a change that passes it and one that does not; overrides; and the page that lists them."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from seawall.gateway.resources import perimeter
from seawall.gateway.resources.perimeter import (
    Capacity,
    Cell,
    GuardPolicy,
    Journey,
    Memory,
    PerimeterSpec,
    Region,
    RolloutPolicy,
    Switch,
)
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import Blast, ChangeReport, Difference, GuardResult, Override
from seawall.rollout.guards.question import (
    ApiLimits,
    Drill,
    EdgeFact,
    Emptied,
    Facts,
    Missing,
    NewFilter,
    Pattern,
    Proven,
    Provenance,
    Pulled,
    Question,
    Recovery,
    Removed,
    Size,
)
from seawall.rollout.guards.registry import GUARDS, judge
from seawall.xds.resource import CLUSTER, ENDPOINTS, SCOPE, Ref, ResourceName

NOW = Instant(1_800_000_000.0)
REPORT = ChangeReport(base="old", candidate="new", risk="R1")
STAGED = PerimeterSpec(rollout=RolloutPolicy(strategy="staged"))
GIB = 1 << 30
WEB = Ref(ENDPOINTS, ResourceName("web"))
REORDER = Difference(subject="filter", action="reordered", name="filters", detail="", risk="R2", why="")
ON = Switch(
    name="lua-off", key="envoy.x", value=True, is_on=True, until="2126-01-01T00:00Z", drilled_at="2026-01-01T00:00Z"
)
RAW = msgspec.structs.replace(ON, drilled_at=None)
TWO_EDGES = (
    EdgeFact(name="eu-1", region="eu", memory_limit=GIB),
    EdgeFact(name="us-1", region="us", memory_limit=2 * GIB),
)
CAPACITY = Capacity(requests_per_second_per_edge=100.0, peak_requests_per_second=60.0)
CELLS = (Region(name="eu", cells=(Cell(name="a"), Cell(name="b"))),)


def asked(**what: Any) -> Question:
    return Question(**{"report": REPORT, "facts": Facts(), "at": NOW, **what})


def report(*differences: Difference, **more: Any) -> ChangeReport:
    return msgspec.structs.replace(REPORT, differences=differences, **more)


def spec(**parts: Any) -> PerimeterSpec:
    return PerimeterSpec(**parts)


def answer(guard: str, question: Question) -> GuardResult:
    return next(one for one in judge(question) if one.guard == guard)


def facts(**what: Any) -> dict[str, Any]:
    return {"facts": Facts(**what)}


def removed(kind: Any, count: int, total: int) -> dict[str, Any]:
    names = tuple(f"h{at}" for at in range(count))
    return facts(removed=(Removed(kind=kind, names=names, total=total, left=total - count),))


def sizes(before: Size, after: Size) -> dict[str, Any]:
    return facts(before={SCOPE: before}, after={SCOPE: after})


TENANTS = report(blast=Blast(tenants=("a", "b")))
NEW_FILTER = {"new_filters": (NewFilter(kind="Lua", place="tcp/0.0.0.0/80"),)}
THROWN = report(Difference(subject="runtime", action="changed", name="envoy.x", detail="", risk="R2", why=""))

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("G1", "pass", {"report": report(REORDER, risk="R2"), "spec": STAGED}),
    ("G1", "warn", {"report": report(REORDER, risk="R2")}),
    ("G1", "hold", {"report": report(REORDER, risk="R2"), "edges": TWO_EDGES}),
    ("G1", "refuse", {"report": report(msgspec.structs.replace(REORDER, risk="R1"), risk="R1")}),
    ("G2", "pass", {**facts(**NEW_FILTER), "spec": STAGED}),
    ("G2", "pass", {**facts(**NEW_FILTER), "known_filters": frozenset({"Lua"})}),
    ("G2", "pass", facts(**NEW_FILTER, is_first=True)),
    ("G2", "warn", facts(**NEW_FILTER)),
    ("G2", "hold", {**facts(**NEW_FILTER), "edges": TWO_EDGES}),
    ("G3", "pass", {"provenance": Provenance(is_built_here=False, key="k", trusted=frozenset({"k"}))}),
    ("G3", "refuse", {"provenance": Provenance(is_built_here=False, key="k")}),
    ("G3", "refuse", {"provenance": Provenance(is_built_here=False)}),
    ("G4", "pass", {"pulled": (Pulled(name="list", size=140, previous_size=100),)}),
    ("G4", "refuse", {"pulled": (Pulled(name="list", problem="no such field"),)}),
    ("G4", "hold", {"pulled": (Pulled(name="list", size=0, previous_size=100),)}),
    ("G6", "pass", sizes(Size(resources=3), Size(resources=90))),
    ("G6", "pass", sizes(Size(resources=200, bytes=9), Size(resources=290, bytes=9))),
    ("G6", "hold", sizes(Size(resources=200, bytes=9), Size(resources=301, bytes=9))),
    ("G6", "refuse", sizes(Size(bytes=50 << 20), Size(bytes=60 << 20))),
    ("G6", "pass", sizes(Size(bytes=63 << 20), Size(bytes=60 << 20))),
    ("G6", "refuse", facts(patterns=(Pattern(pattern="(a", size=-1, place="h"),))),
    ("G6", "refuse", facts(patterns=(Pattern(pattern="a{1000}{9}", size=50_000, place="h"),))),
    ("G6", "pass", facts(patterns=(Pattern(pattern="a+", size=8, place="h"),))),
    ("G7", "pass", {"edges": TWO_EDGES, "spec": spec(memory=Memory(max_heap="768Mi"))}),
    ("G7", "refuse", {"edges": TWO_EDGES, "spec": spec(memory=Memory(max_heap="769Mi"))}),
    ("G8", "pass", {"proven": (Proven(bundle="b", content="1", content_now="1", is_baked=True),)}),
    ("G8", "refuse", {"proven": (Proven(bundle="b", content="1", content_now="2", is_baked=True),)}),
    ("G8", "refuse", {"proven": (Proven(bundle="b", content="1", content_now="1", is_baked=False),)}),
    ("G9", "refuse", facts(missing=(Missing(user=WEB, needs=Ref(CLUSTER, ResourceName("web"))),))),
    ("G9", "refuse", facts(named_sockets=("tcp/edge.example/80",))),
    ("G10", "hold", facts(emptied=(Emptied(what="endpoints", name="web", had=3, refs=(WEB,)),))),
    ("G10", "pass", facts(emptied=(Emptied(what="endpoints", name="web", had=3, refs=(WEB,)),), is_first=True)),
    ("G10", "hold", removed("hosts", 1, 1)),
    ("G10", "hold", removed("listeners", 2, 2)),
    ("G10", "pass", removed("hosts", 1, 2)),
    ("G11", "pass", removed("hosts", 5, 9)),
    ("G11", "hold", removed("hosts", 6, 9)),
    ("G11", "pass", removed("clusters", 10, 100)),
    ("G11", "hold", removed("clusters", 11, 100)),
    ("G11", "refuse", {"provenance": Provenance(stated_base="older")}),
    ("G14", "pass", {"spec": spec(switches=(ON,))}),
    ("G14", "warn", {"spec": spec(switches=(msgspec.structs.replace(ON, until=None),))}),
    ("G14", "hold", {"spec": spec(switches=(msgspec.structs.replace(ON, until=None),)), "report": THROWN}),
    ("G14", "warn", {"spec": spec(switches=(RAW,)), "report": THROWN}),
    ("G14", "hold", {"spec": spec(switches=(RAW,), rollout=STAGED.rollout), "report": THROWN}),
    ("G14", "pass", {"spec": spec(switches=(RAW,)), "report": THROWN, "at": Instant(4922898600.0)}),
    (
        "G14",
        "pass",
        {
            "spec": spec(switches=(msgspec.structs.replace(ON, drilled_at=None),)),
            "drills": tuple(Drill(switch="lua-off", is_on=on, at=NOW) for on in (True, False)),
            "report": THROWN,
        },
    ),
    ("G15", "warn", {"edges": TWO_EDGES * 500}),
    ("G15", "pass", {"edges": TWO_EDGES * 500, "recovery": Recovery(jitter=Seconds(60.0))}),
    ("G15", "hold", facts(unbudgeted=("web",))),
    ("G15", "warn", {"spec": spec(recovery=perimeter.Recovery(ramp="off"), memory=Memory(max_heap="1Gi"))}),
    ("G17", "warn", {"api": ApiLimits(operator_share=0.0)}),
    ("G18", "warn", {"report": TENANTS, "spec": STAGED, "probed": frozenset({"a"})}),
    ("G18", "pass", {"report": TENANTS, "spec": STAGED, "probed": frozenset({"a", "b"})}),
    (
        "G18",
        "pass",
        {
            "report": report(blast=Blast(tenants=("a",))),
            "spec": spec(
                rollout=RolloutPolicy(
                    strategy="staged", journeys=(Journey(name="a", tenant="a", url="http://a.example/"),)
                )
            ),
        },
    ),
    ("G19", "warn", {"report": TENANTS, "spec": spec(regions=CELLS)}),
    ("G19", "pass", {"report": TENANTS, "spec": spec(regions=CELLS), "warned": frozenset({"G19"})}),
    ("G19", "pass", {"report": TENANTS}),
    (
        "G19",
        "pass",
        {"report": report(blast=Blast(tenants=("a",))), "edges": TWO_EDGES, "shards": {"a": frozenset({"eu-1"})}},
    ),
    (
        "G19",
        "hold",
        {
            "report": report(blast=Blast(tenants=("a",))),
            "edges": TWO_EDGES,
            "shards": {"a": frozenset({"eu-1", "us-1"})},
        },
    ),
    ("G20", "hold", {"edges": TWO_EDGES, "spec": spec(capacity=CAPACITY)}),
    ("G20", "pass", {"edges": (*TWO_EDGES, *TWO_EDGES), "spec": spec(capacity=CAPACITY)}),
]


@pytest.mark.parametrize(("guard", "verdict", "what"), CASES)
def test_a_guard_says(guard: str, verdict: str, what: dict[str, Any]) -> None:
    said = answer(guard, asked(**what))

    assert said.verdict == verdict, said.message
    if verdict != "pass":
        assert said.message.endswith(".") and said.remedy.endswith(".")


def test_nothing_to_say_means_that_every_guard_passes() -> None:
    assert {one.verdict for one in judge(asked())} == {"pass"}


def test_additions_without_a_perimeter_annoy_nobody() -> None:
    grown = Facts(before={SCOPE: Size(resources=40, bytes=9000)}, after={SCOPE: Size(resources=90, bytes=20000)})
    added = Difference(subject="host", action="added", name="a:80", detail="", risk="R1", why="")

    assert {one.verdict for one in judge(asked(report=report(added), facts=grown))} == {"pass"}


def test_never_empty_names_what_to_keep() -> None:
    question = asked(**facts(emptied=(Emptied(what="endpoints", name="web", had=3, refs=(WEB,)),)))

    assert answer("G10", question).keep == (WEB,)


def test_messages_name_the_objects_to_look_at() -> None:
    empty = Emptied(what="endpoints", name="web", had=3, refs=(WEB,), origins=("Service/shop/web",))

    assert "(from Service/shop/web)" in answer("G10", asked(**facts(emptied=(empty,)))).message


LIFTED = Override(guard="G11", who="ann", reason="the shop closes", until=Instant(NOW + 60))


@pytest.mark.parametrize(
    ("override", "is_lifted"),
    [
        (LIFTED, True),
        (msgspec.structs.replace(LIFTED, candidate="new"), True),
        (msgspec.structs.replace(LIFTED, candidate="other"), False),
        (msgspec.structs.replace(LIFTED, until=NOW), False),
        (msgspec.structs.replace(LIFTED, reason=""), False),
        (msgspec.structs.replace(LIFTED, who=""), False),
        (msgspec.structs.replace(LIFTED, guard="G10"), False),
    ],
)
def test_an_override_counts_with_a_name_a_reason_and_time_left(override: Override, is_lifted: bool) -> None:
    said = answer("G11", asked(**removed("clusters", 60, 100), overrides=(override,)))

    assert (said.verdict, said.override) == ("hold", "ann: the shop closes" if is_lifted else "")


def test_what_nobody_has_signed_cannot_be_lifted_nor_softened() -> None:
    lifted = msgspec.structs.replace(LIFTED, guard="G3")
    warns = spec(guards=GuardPolicy(mode="warn"))

    said = answer("G3", asked(provenance=Provenance(is_built_here=False), overrides=(lifted,), spec=warns))

    assert (said.verdict, said.override) == ("refuse", "")


def test_mode_warn_says_what_it_would_have_done() -> None:
    said = answer("G11", asked(**removed("hosts", 6, 9), spec=spec(guards=GuardPolicy(mode="warn"))))

    assert said.verdict == "warn"
    assert said.message.endswith("With guards.mode enforce this would hold.")


def test_every_guard_stands_on_the_page_with_its_rule() -> None:
    page = (Path(__file__).parents[3] / "docs/explanation/guards.md").read_text()
    rows = dict(re.findall(r"^\| (G\d+) [^|]*\| ([^|]+?) \|", page, re.MULTILINE))

    assert {guard.id: guard.rule for guard in GUARDS} == {one: rows.get(one) for one in (g.id for g in GUARDS)}


def test_every_guard_has_a_case_that_passes_and_one_that_does_not() -> None:
    stopped = {guard for guard, verdict, _ in CASES if verdict != "pass"}

    assert stopped == {guard.id for guard in GUARDS}
