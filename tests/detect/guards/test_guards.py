"""The ten guards, each with what it lets pass and what not. And the order of filters, held fast."""

import msgspec
import pytest
from tests.detect.world import BOTNET, bots, finding, learned, people, question, sight, slot

from seawall.detect.baseline import Baseline
from seawall.detect.finding import Finding
from seawall.detect.guards import (
    budget,
    canary,
    dead_man,
    filter_order,
    flash_crowd,
    impact,
    ipv6,
    own_retry,
    protected,
    shared_address,
)
from seawall.detect.guards.question import Standing
from seawall.detect.guards.registry import GUARDS
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.envoy.filters import CHAIN, GUARD, POLICY

ONE = scope("", {"address": "198.51.0.1"})


def test_there_are_ten_and_each_says_what_it_is_for() -> None:
    assert [one.id for one in GUARDS] == [f"P{number}" for number in range(1, 11)]
    assert all(one.title and one.rule.endswith(".") and one.where for one in GUARDS)


def test_the_order_of_filters_is_what_verdicts_were_built_for() -> None:
    looking = tuple(f"seawall.verdicts.{name}" for name in ("keys", "lasting", "fresh"))
    verdicts = (*looking, "seawall.choose", "seawall.act")
    others = (
        "seawall.guard",
        "seawall.cors",
        "seawall.authn",
        "seawall.authz",
        "seawall.policy",
        "envoy.filters.http.router",
    )
    assert ("seawall.rescope", *verdicts, *others) == CHAIN
    assert GUARD == ("client-limit",) and POLICY == ("quota", "traffic")
    assert f"seawall.{filter_order.PLACE}" in CHAIN


# ── impact ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_impact_passes_what_normal_requests_do_not_have() -> None:
    assert impact.check(question(sight(slot(*bots(9))), BOTNET)).outcome == "pass"


def test_impact_caps_what_many_normal_requests_have() -> None:
    answer = impact.check(question(sight(slot(*bots(9))), scope("shop", {"path": "/"})))

    assert (answer.outcome, answer.rung) == ("cap", 1)
    assert "more than 1.00%" in answer.said


def test_impact_lets_no_deny_pass_while_the_baseline_is_provisional() -> None:
    young = sight(slot(*bots(9)), baseline=learned(100))

    assert impact.check(question(young, BOTNET)).rung == impact.PROVISIONAL_RUNG
    assert impact.check(question(young, BOTNET, 2)).outcome == "pass"
    assert impact.check(question(sight(slot(), baseline=Baseline()), BOTNET)).outcome == "cap"
    assert impact.check(question(young, ONE, needs_baseline=False)).outcome == "pass"


# ── protected set ────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_allowed_is_never_touched_at_any_rung() -> None:
    allowed = Settings(allow=(scope("", {"address": "198.51.0.0/16"}),))
    by_person = Standing(allowed=(scope("", {"address": "198.51.0.1"}),))

    assert protected.check(question(sight(slot(), settings=allowed), ONE, 1)).outcome == "refuse"
    assert protected.check(question(sight(slot()), ONE, 1, standing=by_person)).outcome == "refuse"
    assert protected.check(question(sight(slot(*bots(3))), ONE)).outcome == "pass"


def test_who_is_protected_or_vouched_for_is_not_denied() -> None:
    policy = Settings(protected=(scope("", {"path": "/hooks"}),))
    hooks = scope("shop", {"path": "/hooks", "agent": "pay/1"})
    vouched = sight(slot(*bots(9, token="k")))

    assert protected.check(question(sight(slot(), settings=policy), hooks)).rung == 2
    assert protected.check(question(vouched, BOTNET)).rung == 2
    assert protected.check(question(vouched, BOTNET, 2)).outcome == "pass"


# ── shared address ───────────────────────────────────────────────────────────────────────────────────────────────


def behind(address: str, kinds: int, main: int = 0, **values: str) -> list[dict[str, str]]:
    return [
        *({"address": address, "agent": f"phone{number}", **values} for number in range(kinds)),
        *({"address": address, "agent": "bot/1", "ja4": "tool", "path": "/list"} for _ in range(main)),
    ]


def test_a_shared_address_is_left_alone() -> None:
    parts = [one | {"fetch": "image", "path": "/p"} for one in behind("198.51.0.1", 9)]
    seen = sight(slot(*behind("198.51.0.1", 9), *parts))

    assert shared_address.check(question(seen, ONE)).rung == 1
    assert shared_address.check(question(seen, ONE, 1)).outcome == "pass"
    assert shared_address.check(question(seen, BOTNET)).outcome == "pass"


def test_one_bot_among_many_people_is_named_by_its_tool() -> None:
    answer = shared_address.check(question(sight(slot(*behind("198.51.0.1", 9, 90))), ONE))

    assert answer.outcome == "narrow"
    assert answer.scope == scope("", {"address": "198.51.0.1", "ja4": "tool", "agent": "bot/1"})


def test_a_tool_with_a_new_name_each_time_is_limited_at_most() -> None:
    seen = sight(slot(*behind("198.51.0.1", 50)))

    assert shared_address.check(question(seen, ONE)).rung == 2
    assert shared_address.check(question(seen, ONE, 2)).outcome == "pass"


def test_one_client_of_an_address_is_not_shared() -> None:
    assert shared_address.check(question(sight(slot(*behind("198.51.0.1", 1, 50))), ONE)).outcome == "pass"


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_six(count: int) -> list[dict[str, str]]:
    return [
        {
            "address": f"2001:db8:7:{number:x}::1",
            "net64": f"2001:db8:7:{number:x}::/64",
            "net56": f"2001:db8:7:{number >> 8:x}00::/56",
            "net48": "2001:db8:7::/48",
        }
        for number in range(0, count * 256, 256)
    ]


def test_an_address_of_ipv6_becomes_its_64() -> None:
    seen = sight(slot(*in_six(2)))

    answer = ipv6.check(question(seen, scope("", {"address": "2001:db8:7:0::1", "agent": "x"})))

    assert answer.scope == scope("", {"net64": "2001:db8:7:0::/64", "agent": "x"})
    assert ipv6.check(question(seen, scope("", {"address": "2001:db8:9::1"}))).outcome == "pass"
    assert ipv6.check(question(seen, ONE)).outcome == "pass"


@pytest.mark.parametrize(("children", "outcome"), [(3, "refuse"), (4, "pass")])
def test_a_48_needs_four_children(children: int, outcome: str) -> None:
    seen = sight(slot(*in_six(children)))

    assert ipv6.check(question(seen, scope("", {"net48": "2001:db8:7::/48"}))).outcome == outcome


# ── budget ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_denies_together_have_a_budget_and_the_list_an_end() -> None:
    seen = sight(slot(*bots(9)))

    assert budget.check(question(seen, BOTNET, standing=Standing(denied={"shop": 0.049}))).outcome == "pass"
    assert budget.check(question(seen, BOTNET, standing=Standing(denied={"shop": 0.051}))).rung == 2
    assert budget.check(question(seen, BOTNET, standing=Standing(entries=100_000))).outcome == "refuse"
    assert "soon full" in budget.check(question(seen, BOTNET, standing=Standing(entries=90_000))).said


# ── canary ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_scope_whose_canary_hurt_somebody_is_only_watched() -> None:
    seen = sight(slot(*bots(9)))

    assert canary.check(question(seen, BOTNET, standing=Standing(aborted=frozenset({BOTNET})))).rung == 1
    assert "one edge of 2" in canary.check(question(seen, BOTNET, standing=Standing(edges=("a", "b")))).said
    assert canary.check(question(seen, BOTNET, 1)).outcome == "pass"


# ── flash crowd and own retries ──────────────────────────────────────────────────────────────────────────────────


def twin(kind: str, route: str = "shop") -> Finding:
    return msgspec.structs.replace(finding(Scope(route=route)), twin=kind)


def test_people_are_not_refused_but_bots_beside_them_are() -> None:
    seen = sight(slot(*people(30), *bots(60)))

    assert flash_crowd.check(question(seen, scope("shop", {"agent": "Chrome/156"}))).rung == 1
    assert "beside a crowd" in flash_crowd.check(question(seen, BOTNET, twins=(twin("flash-crowd"),))).said
    assert flash_crowd.check(question(seen, BOTNET, 1)).outcome == "pass"


def test_a_crowd_of_which_only_a_quarter_is_seen_is_still_people() -> None:
    pages = scope("shop", {"path": "/promo"})
    seen = [{"address": f"192.0.2.{n}", "path": "/promo", "fetch": "document"} for n in range(60)]
    parts = [{"address": f"192.0.2.{n}", "path": f"/static/{n % 3}.js", "fetch": "script"} for n in range(0, 60, 3)]
    of_one_hand = [{"address": "192.0.2.1", "path": f"/static/{n}.js", "fetch": "script"} for n in range(60)]

    assert flash_crowd.check(question(sight(slot(*seen, *parts)), pages)).rung == 1
    assert flash_crowd.check(question(sight(slot(*seen)), pages)).outcome == "pass"
    assert flash_crowd.check(question(sight(slot(*seen, *of_one_hand)), pages)).outcome == "pass"


def test_known_clients_of_a_failing_origin_are_not_refused() -> None:
    known = frozenset(f"{one['address']} tool bot/1" for one in bots(60))
    storm = (twin("retry-storm"),)

    ours, strangers = sight(slot(*bots(60)), known=known), sight(slot(*bots(60)))

    assert own_retry.check(question(ours, BOTNET, twins=storm)).rung == 1
    assert own_retry.check(question(strangers, BOTNET, twins=storm)).outcome == "pass"
    assert own_retry.check(question(ours, BOTNET)).outcome == "pass"
    assert own_retry.check(question(ours, BOTNET, twins=(twin("retry-storm", "blog"),))).outcome == "pass"
    assert own_retry.check(question(ours, BOTNET, 1)).outcome == "pass"


# ── dead man and filter order ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ttl", "outcome"), [(60.0, "pass"), (0.0, "refuse"), (90_000.0, "refuse"), (float("inf"), "refuse")]
)
def test_every_verdict_ends_by_itself(ttl: float, outcome: str) -> None:
    assert dead_man.check(question(sight(slot()), BOTNET, ttl=ttl)).outcome == outcome


def test_an_action_without_a_place_in_the_chain_is_refused() -> None:
    asked = question(sight(slot()), BOTNET)

    assert filter_order.check(asked).outcome == "pass"
    assert filter_order.check(msgspec.structs.replace(asked, action="rewrite")).outcome == "refuse"
