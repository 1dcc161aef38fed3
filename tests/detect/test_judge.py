"""The judge: no verdict without the word of all ten guards, one verdict for one attack."""

from tests.detect.world import BOTNET, bots, finding, learned, people, sight, slot

from seawall.detect.guards.question import Standing
from seawall.detect.guards.registry import GUARDS
from seawall.detect.judge import judge, propose
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings

SEEN = sight(slot(*people(30), *bots(60)))


def test_every_proposal_carries_what_all_ten_guards_said() -> None:
    (one,) = judge(SEEN, [finding(BOTNET)], Standing(), {})

    assert one.rung == 5 and one.action.code == 403
    assert [each.guard for each in one.guards] == [guard.id for guard in GUARDS]
    assert all(each.outcome == "pass" and each.said for each in one.guards)


def test_an_objection_stays_written_after_it_was_heeded() -> None:
    one = propose(sight(slot(*bots(60)), baseline=learned(100)), finding(BOTNET), Standing(), ())

    assert one is not None and one.rung == 2 and one.action.kind == "limit"
    assert one.guards[0].outcome == "cap" and "provisional" in one.guards[0].said


def test_two_detectors_that_say_the_same_are_one_proposal() -> None:
    other = finding(BOTNET, score=0.5)

    (one,) = judge(SEEN, [other, finding(BOTNET)], Standing(), {})

    assert one.finding.score == 0.95


def test_clients_that_a_group_explains_are_not_named_one_by_one() -> None:
    single = finding(scope("", {"address": "198.51.0.1"}), score=0.99)

    assert [one.scope for one in judge(SEEN, [single, finding(BOTNET)], Standing(), {})] == [BOTNET]


def test_what_a_wider_scope_covers_is_left_out() -> None:
    narrow = finding(BOTNET.with_(path="/list"), score=0.9)

    assert [one.scope for one in judge(SEEN, [narrow, finding(BOTNET)], Standing(), {})] == [BOTNET]


def test_a_whole_route_gets_no_verdict() -> None:
    assert judge(SEEN, [finding(Scope(route="shop"))], Standing(), {}) == []


def test_only_an_address_goes_below_envoy_and_xdp_only_where_it_is() -> None:
    sure, one = finding(BOTNET, score=0.99, most=7), scope("", {"address": "198.51.0.1"})
    xdp = sight(slot(*bots(60)), settings=Settings(has_xdp=True, highest=7))

    assert [each.rung for each in judge(SEEN, [sure], Standing(), {})] == [5]
    assert [each.rung for each in judge(SEEN, [finding(one, score=0.99, most=7)], Standing(), {})] == [6]
    assert [each.rung for each in judge(xdp, [finding(one, score=0.99, most=7)], Standing(), {})] == [7]


def test_who_is_allowed_gets_no_verdict() -> None:
    allowed = sight(slot(*bots(60)), settings=Settings(allow=(scope("", {"agent": "bot/1"}),)))

    assert judge(allowed, [finding(BOTNET)], Standing(), {}) == []


def test_proposals_count_against_the_budget_of_the_next() -> None:
    few = sight(slot(*bots(60)), settings=Settings(most_entries=1))

    assert len(judge(few, [finding(BOTNET), finding(scope("", {"path": "/list", "ja4": "tool"}))], Standing(), {})) == 1
