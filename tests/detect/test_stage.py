"""Stages of a verdict: canary, everywhere, renewed while it is hit, raised while it leaks, lowered when it is quiet, gone."""

import msgspec
from tests.detect.world import AT, BOTNET, bots, finding, people, sight, slot

from seawall.detect import stage
from seawall.detect.events import ActionToDo, Publish, Withdraw
from seawall.detect.finding import Finding
from seawall.detect.guards.question import Standing
from seawall.detect.judge import Proposal, propose
from seawall.detect.ledger import Ledger
from seawall.detect.sight import Sight
from seawall.detect.stage import Tally
from seawall.detect.verdict import Verdict
from seawall.kit.units import Instant

EDGES = ("edge-1", "edge-2", "edge-3")


def seen(at: float = 0.0) -> Sight:
    return sight(slot(*people(30), *bots(60), at=at))


def proposal(found: Finding | None = None) -> Proposal:
    made = propose(seen(), found if found is not None else finding(BOTNET), Standing(), ())
    assert made is not None
    return made


def begun(ledger: Ledger, *, enforces: bool = True, found: Finding | None = None) -> Verdict:
    stage.begin(ledger, proposal(found), AT, EDGES, enforces=enforces)
    (held,) = ledger.book.verdicts.values()
    return held


def published(actions: list[ActionToDo]) -> list[Publish]:
    return [one for one in actions if isinstance(one, Publish)]


def test_a_verdict_begins_on_one_edge_and_goes_on_to_all() -> None:
    ledger = Ledger()
    first = stage.begin(ledger, proposal(), AT, EDGES, enforces=True)
    (held,) = ledger.book.verdicts.values()

    (then,) = published(stage.advance(ledger, held, seen(1.0), EDGES, 0.0))

    assert len(published(first)[0].edges) == 1 and held.mode == "canary"
    assert then.verdict.mode == "enforce" and then.edges == () and then.verdict.generation == 2


def test_the_only_edge_begins_with_a_share_of_requests() -> None:
    (one,) = published(stage.begin(Ledger(), proposal(), AT, ("edge-1",), enforces=True))

    assert one.edges == () and one.share == stage.CANARY_SHARE


def test_a_canary_that_hits_good_clients_ends_and_is_not_tried_again_at_once() -> None:
    ledger = Ledger()
    held = begun(ledger)

    actions = stage.advance(ledger, held, seen(1.0), EDGES, 0.02)

    assert any(isinstance(one, Withdraw) for one in actions) and len(ledger) == 0
    assert ledger.standing(Instant(AT + 2), EDGES).aborted == {BOTNET}
    assert ledger.standing(Instant(AT + 601), EDGES).aborted == frozenset()


def test_observing_refuses_nobody_until_the_switch_is_turned() -> None:
    ledger = Ledger()
    held = begun(ledger, enforces=False)
    on = published(stage.switch(ledger, AT, EDGES, enforces=True))
    off = published(stage.switch(ledger, AT, EDGES, enforces=False))

    assert held.mode == "observe"
    assert [one.verdict.mode for one in (*on, *off)] == ["canary", "observe"]
    assert stage.switch(ledger, AT, EDGES, enforces=False) == []


def test_a_verdict_that_is_hit_is_renewed_before_it_ends() -> None:
    ledger = Ledger()
    held = begun(ledger)
    at = Instant(held.expires - 20)
    hit = stage.measure(msgspec.structs.replace(held, mode="enforce"), Tally(hits=90, refused=90), at)

    (one,) = published(stage.advance(ledger, hit, seen(at - AT), EDGES, 0.0))

    assert one.verdict.expires > held.expires and one.verdict.generation == 2


def test_a_leaking_limit_is_raised_by_the_guards_leave() -> None:
    ledger = Ledger()
    held = begun(ledger, found=finding(BOTNET, score=0.78))
    assert held.rung == 2
    leaking = msgspec.structs.replace(held, mode="enforce", since=Instant(AT - 10))
    for second in range(3):
        leaking = stage.measure(leaking, Tally(hits=100, refused=10), Instant(AT + second))

    (one,) = published(stage.advance(ledger, leaking, seen(3.0), EDGES, 0.0))

    assert one.verdict.rung == 5 and "raised" in ledger.records(held.id)[-1].what


def test_what_may_not_be_raised_waits_before_it_asks_again() -> None:
    ledger = Ledger()
    held = begun(ledger, found=finding(BOTNET, score=0.78, most=2))
    leaking = msgspec.structs.replace(held, mode="enforce", measured=msgspec.structs.replace(held.measured, leaks=3))

    stage.advance(ledger, leaking, seen(3.0), EDGES, 0.0)

    assert ledger.book.verdicts[held.id].measured.leaks == 0


def test_a_quiet_signature_ends_after_a_minute() -> None:
    ledger = Ledger()
    held = msgspec.structs.replace(begun(ledger), mode="enforce", expires=Instant(AT + 600))

    ledger.put(held)

    stage.expire(ledger, Instant(AT + 59), EDGES)
    still = len(ledger)
    stage.expire(ledger, Instant(AT + 60), EDGES)

    assert (still, len(ledger)) == (1, 0)


def test_a_clean_verdict_goes_down_rung_by_rung_and_is_gone_within_five_minutes() -> None:
    ledger = Ledger()
    begun(ledger, found=finding(BOTNET))
    rungs, at = [], AT
    while len(ledger):
        at = Instant(at + 1)
        rungs += [one.verdict.rung for one in published(stage.expire(ledger, at, EDGES))]

    assert rungs == [4, 2, 1]
    assert at - AT <= 300


def test_what_ended_while_nobody_was_there_is_gone_at_once() -> None:
    ledger = Ledger()
    begun(ledger)

    actions = stage.expire(ledger, Instant(AT + 10_000), EDGES)

    assert published(actions) == [] and len(ledger) == 0


def test_the_same_again_within_a_day_holds_twice_as_long() -> None:
    ledger = Ledger()
    first = begun(ledger)
    stage.end(ledger, first, Instant(AT + 60), "over.")
    stage.begin(ledger, proposal(), Instant(AT + 100), EDGES, enforces=True)
    (again,) = ledger.book.verdicts.values()

    assert again.relapses == 1
    assert again.expires - again.created == 2 * (first.expires - first.created)


def test_a_stronger_finding_raises_the_verdict_that_stands() -> None:
    ledger = Ledger()
    held = begun(ledger, found=finding(BOTNET, score=0.78))

    raised = published(stage.begin(ledger, proposal(), Instant(AT + 1), EDGES, enforces=True))

    assert [one.verdict.id for one in raised] == [held.id] and raised[0].verdict.rung == 5
    assert stage.begin(ledger, proposal(), Instant(AT + 2), EDGES, enforces=True) == []
