"""Proposals: what a change touches, measured in the last hour's requests; and requests that are made once more before it goes."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from seawall.app.offline import Offline
from seawall.app.proposals import Proposals, Surroundings
from seawall.app.rehearsal import Rehearsal
from seawall.app.shelf import Shelf
from seawall.envoy.listeners import EdgeDefaults
from seawall.gateway.resources.perimeter import PerimeterSpec, Switch
from seawall.kit.units import Instant, Seconds
from seawall.rollout.guards.question import Drill, Proven
from seawall.traffic.entry import Head
from tests.app.flow import snapshot
from tests.support.candidates import candidate, lua
from tests.support.control import KEY

SPEC = PerimeterSpec()
AT = Instant(1_700_000_000.0)


def test_a_change_says_what_share_of_the_requests_it_touches() -> None:
    asked: list[Collection[str]] = []

    def share(hosts: Collection[str]) -> float:
        asked.append(hosts)
        return 0.12

    proposals = Proposals(Shelf(KEY, software="test"), lambda ref: (), share=share)
    base, first = proposals.propose(snapshot("a.example"), None, SPEC, AT)
    _, second = proposals.propose(snapshot("a.example", "b.example"), base, SPEC, AT)

    assert first.blast.share == second.blast.share == 0.12
    assert asked[-1] == {"b.example"}


HIDDEN = """
function envoy_on_request(handle)
  if handle:headers():get(":path"):find("/hidden", 1, true) then handle:respond({[":status"] = "500"}, "") end
end
"""


@pytest.mark.parametrize("is_asked", [True, False])
def test_what_only_clients_ask_for_is_asked_once_more_in_the_sandbox(tmp_path: Path, is_asked: bool) -> None:
    seen = [Head(method="GET", host="h1.example:80", target="/hidden?x=1", agent="curl/8")] * 3 if is_asked else []

    async def main() -> tuple[bool, str]:
        proposals = Proposals(Shelf(KEY, software="test"), lambda ref: ())
        base, _ = proposals.propose(candidate(), None, SPEC, AT)
        item, report = proposals.propose(candidate(lua(HIDDEN)), base, SPEC, AT)
        return await Rehearsal(tmp_path, seen=lambda: seen)(base, item, report, Seconds(0.5))

    is_passed, reason = asyncio.run(main())

    # No probe and no request of the corpus goes there: without the sample the change would pass.
    assert is_passed is not is_asked, reason
    assert ("/hidden?x=1 (sampled): 200 → 500" in reason) is is_asked


def test_a_spoilt_way_back_and_the_drills_of_a_switch_reach_their_guards() -> None:
    spoilt = Proven(bundle="b" * 32, content="c", content_now="", is_baked=True)
    switch = Switch(name="lua-off", key="lua.off", value=True, is_on=True, until="2099-01-01T00:00:00Z")
    drills = tuple(Drill(switch="lua-off", is_on=is_on, at=AT) for is_on in (True, False))

    def words(around: Surroundings) -> dict[str, str]:
        proposals = Proposals(Shelf(KEY, software="test"), lambda ref: (), lambda: around)
        _, report = proposals.propose(candidate(), None, PerimeterSpec(switches=(switch,)), AT)
        return {one.guard: one.verdict for one in report.guards if one.guard in ("G8", "G14")}

    assert words(Surroundings()) == {"G8": "pass", "G14": "warn"}
    assert words(Surroundings(proven=(spoilt,), drills=drills)) == {"G8": "refuse", "G14": "pass"}


def test_manifests_that_are_only_looked_at_are_measured_in_requests_too() -> None:
    shop = Path(__file__).parents[2] / "examples/shop"
    asked: list[Collection[str]] = []

    def share(hosts: Collection[str]) -> float:
        asked.append(hosts)
        return 0.12

    proposals = Proposals(Shelf(KEY, software="test"), lambda ref: (), share=share)
    report = proposals.compare(None, Offline(shop), SPEC, AT)

    assert report.blast.share == 0.12
    assert asked


def test_manifests_that_are_only_looked_at_are_compiled_as_those_that_run_and_what_they_drain_is_counted() -> None:
    shop, door = Path(__file__).parents[2] / "examples/shop", EdgeDefaults(access_log="/requests.log")
    here = Offline(shop, door=door)
    proposals = Proposals(Shelf(KEY, software="test"), lambda ref: (), connections=lambda socket: 7)
    base, _ = proposals.propose(here.builder.snapshot, None, SPEC, AT)

    again = proposals.compare(base, Offline(shop, certificates=here.certificates, door=door), SPEC, AT)
    other = proposals.compare(base, Offline(shop, certificates=here.certificates), SPEC, AT)

    assert (again.counts, again.blast.drained) == ({}, ())
    assert other.blast.drained
    assert {count for _, count in other.blast.drained} == {7}
