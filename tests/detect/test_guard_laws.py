"""Laws of the protection machine, over random traffic, commands, policies, crashes and clocks.

- a verdict never outlives its end, neither in the ledger nor at an edge that nobody tells anything
- who is allowed is never touched
- every automatic verdict has the word of all ten guards, and none of them refused
- lists are bounded whatever is in the traffic
- the same events lead to the same actions, and a state put away at any point is the same state
"""

from bench.support.theatre import Edge
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.world import AT, bots, people, rows

from seawall.detect.columns import Rows
from seawall.detect.events import ActionToDo, Commanded, Configured, Event, Observed, Peopled, Publish, Ticked
from seawall.detect.guard import MOST_SLOTS, MOST_SPARED, Guard
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.detect.sight import Peer, Slot
from seawall.kit.units import Instant, Seconds

ALLOWED = scope("", {"address": "198.51.0.0/20"})
POLICY = Settings(enforces=True, cold_start=Seconds(5.0), floor=20.0, client_floor=5.0, allow=(ALLOWED,))
STEPS = st.lists(
    st.sampled_from(
        ("quiet", "people", "people", "botnet", "botnet", "one", "peers", "wait", "observe", "enforce", "ban")
    ),
    min_size=5,
    max_size=40,
)


def traffic(step: str) -> tuple[Rows, dict[str, Peer]]:
    match step:
        case "people":
            return rows(*people(30)), {}
        case "botnet":
            return rows(*people(10), *bots(250)), {}
        case "one":
            return rows(*people(10), *[{"address": "203.0.113.9", "agent": "x"}] * 300), {}
        case "peers":
            return rows(*people(10)), {
                "203.0.113.7": Peer(opened=200, without_request=200),
                "198.51.1.1": Peer(resets=900),
            }
        case _:
            return rows(*people(3)), {}


def events(steps: list[str]) -> list[Event]:
    made: list[Event] = [Configured(at=AT, settings=POLICY), Peopled(at=AT, edges=("a", "b"))]
    at = AT
    for _ in range(45):
        at = Instant(at + 1)
        made.append(Observed(at=at, slot=slot(at, "people")))
    for step in steps:
        at = Instant(at + (70 if step == "wait" else 1))
        if step in ("observe", "enforce"):
            made.append(Commanded(at=at, verb=step, who="ada"))  # type: ignore[arg-type]
        elif step == "ban":
            made.append(Commanded(at=at, verb="add", who="ada", scope=scope("", {"agent": "y"}), ttl=Seconds(5.0)))
        elif step == "wait":
            made.append(Ticked(at=at))
        else:
            made.append(Observed(at=at, slot=slot(at, step)))
    return made


def slot(at: Instant, step: str) -> Slot:
    made, peers = traffic(step)
    return Slot(at=at, rows=made, totals={"shop": float(len(made))}, peers=peers)


@given(steps=STEPS)
@settings(max_examples=25)
def test_laws_hold_in_every_history(steps: list[str]) -> None:
    guard, edge = Guard(), Edge()
    request = rows({"address": "198.51.0.9", "agent": "bot/1", "ja4": "tool", "path": "/list", "headers": "o-bot"})

    for event in events(steps):
        actions = guard.handle(event)
        edge.obey(actions)

        for one in guard.in_force(event.at):
            assert event.at < one.expires <= event.at + 86_400
            if one.author == "auto":
                assert len(one.guards) == 10 and all(each.outcome != "refuse" for each in one.guards)
                assert not ALLOWED.contains(one.scope)
        ruling = guard.ledger.ruling({**dict.fromkeys(request.columns, ""), "address": "198.51.0.9"}, event.at, POLICY)
        assert ruling is None or ruling.author == "human"
        assert set(edge.serve(request, Instant(event.at + 90_000))) == {""}, (
            "an edge left alone lets everybody in at last"
        )


@given(steps=STEPS, cut=st.integers(46, 60))
@settings(max_examples=10)
def test_the_same_events_lead_to_the_same_actions_and_states_can_be_put_away(steps: list[str], cut: int) -> None:
    one, other = Guard(), Guard()

    for number, event in enumerate(events(steps)):
        said: list[ActionToDo] = one.handle(event)
        assert other.handle(event) == said
        if number == cut:
            assert Guard.restore(one.state()).state() == one.state()


def test_a_million_distinct_values_leave_every_list_bounded() -> None:
    guard = Guard()
    guard.handle(Configured(at=AT, settings=POLICY))
    number = 0
    for second in range(50):
        at = Instant(AT + second)
        fields = ("address", "ja4", "agent", "path", "query", "token", "headers", "route")
        columns = {field: [f"{field}-{number + each}" for each in range(20_000)] for field in fields}
        number += 20_000
        made = Rows(columns=columns, seconds=[0.0] * 20_000)
        totals = {f"route-{each}": 1.0 for each in range(2_000)}
        guard.handle(Observed(at=at, slot=Slot(at=at, rows=made, totals=totals)))

    assert number == 1_000_000
    assert len(guard.baseline) <= 40_000
    assert len(guard.ledger) <= POLICY.most_entries and len(guard.ledger.records()) <= 20_000
    assert len(guard.state()) < 64 << 20
    assert MOST_SLOTS == 60 and MOST_SPARED == 2_000


def test_hostile_bytes_are_values_like_others() -> None:
    guard = Guard()
    hostile = {
        "agent": "\x00\x1f\ud800" + "x" * 65_536,
        "path": "/%ff\n",
        "address": "not an address",
        "token": "\x1b[31m",
    }
    for second in range(60):
        at = Instant(AT + second)
        made = rows(*[hostile] * (5 if second < 50 else 500))
        guard.handle(Observed(at=at, slot=Slot(at=at, rows=made, totals={"shop": float(len(made))})))

    assert all(isinstance(str(one.scope), str) and len(str(one.scope)) < 2_000 for one in guard.in_force(at))


def test_what_would_refuse_everybody_is_never_automatic() -> None:
    guard = Guard()
    for event in events(["botnet"] * 20):
        for action in guard.handle(event):
            if isinstance(action, Publish) and action.verdict.action.kind != "tag":
                assert action.verdict.scope != Scope() and action.verdict.scope.match
