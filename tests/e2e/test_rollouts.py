"""Staged rollouts with real processes: a control plane, three edges on hosts of their own, clients that forgive nothing."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.running import seawall
from tests.support import rolling
from tests.support.fleet import Ask, Counted, Fleet
from tests.support.rolling import PLACES, SharedFleet, added, native, reached, settled, view

pytestmark = pytest.mark.e2e
Json = dict[str, Any]
FAST, SLOW = 0.001, 0.02
"""Paces: a change that goes through all stages in seconds; one that is still in its canary when somebody speaks."""


async def _prepare(fleet: Fleet) -> None:
    """Bring the world up: it has baked, so that there is a last-known-good, and clients are content."""
    await fleet.load(rolling.mix())
    await settled(fleet)


@pytest.fixture(scope="module")
def ships() -> Iterator[SharedFleet]:
    opened = SharedFleet(lambda: Fleet(rolling.files(FAST / 100), places=PLACES), _prepare)
    yield opened
    opened.end()


async def begin(fleet: Fleet, pace: float = FAST, **spec: Any) -> float:
    """Wait until nothing is under way; set the pace; count clients' requests from nought; return the time."""
    await settled(fleet)
    fleet.write("perimeter", rolling.perimeter(pace, **spec))
    await calm(fleet)
    return time.time()


async def hurry(fleet: Fleet, rollout: str) -> None:
    """Skip what can be skipped, as somebody does who has seen enough, until it runs everywhere."""

    async def is_over() -> bool:
        current = (await view(fleet))["rollout"]
        if current is None or current["rollout"] != rollout:
            return True
        if current["stage"] not in ("guards", "sandbox"):
            await fleet.command("promote", rollout=rollout, reason="seen enough")
        return False

    await fleet.until(is_over, f"{rollout} is over", 60)


async def calm(fleet: Fleet) -> None:
    """Wait until clients are served, all of them."""

    async def is_content() -> bool:
        await fleet.recount()
        await asyncio.sleep(0.3)
        counted = await fleet.counted()
        return counted.sent > 5 and not counted.failed

    await fleet.until(is_content, "clients are content")
    await fleet.recount()


async def say(fleet: Fleet, *words: str, fine: bool = True) -> Json:
    """Run `seawall rollout …` on the control plane's host; return its JSON."""
    done = await asyncio.to_thread(
        seawall, "rollout", *words, "--run-dir", str(fleet.run_dir), "--output", "json", COLUMNS="200"
    )
    assert (done.returncode == 0) == fine, (done.returncode, done.stdout, done.stderr)
    found: Json = json.loads(done.stdout)
    return found


async def on_host(fleet: Fleet, edge: str, *words: str) -> Json:
    """Run `seawall edge …` beside an edge; return its JSON."""
    done = await asyncio.to_thread(seawall, "edge", *words, "--run-dir", str(fleet.root / edge), "--output", "json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: Json = json.loads(done.stdout)
    return found


async def is_live(fleet: Fleet, host: str) -> bool:
    answers = [await fleet.ask(place.edge, Ask(host=host)) for place in PLACES]
    return all(answer["status"] == 200 for answer in answers)


async def steps(fleet: Fleet, rollout: str) -> Counter[tuple[str, str]]:
    """Count the steps of a rollout: none may be lost or repeated."""
    story = await fleet.get(f"/v1/rollouts/{rollout}")
    return Counter((one["stage"], one["decision"]) for one in story["decisions"] if one["decision"] != "note")


def nobody_failed(counted: Counted) -> None:
    assert counted.sent
    assert counted.failed == {}


def test_a_good_change_takes_every_stage_and_is_last_known_good_at_the_end(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        since = await begin(fleet)
        base = (await view(fleet))["running"]
        fleet.write("new-1", *added(1))
        begun = await fleet.decided("begin", since=since)

        status = await say(fleet, "status", begun.rollout, "--until-done")

        assert status["outcome"] == "completed"
        stages = [one["stage"] for one in status["decisions"] if one["decision"] == "advance"]
        assert stages == ["sandbox", "canary", "cell", "all", "bake"]
        assert await is_live(fleet, "new-1.example")
        found = await settled(fleet)
        assert found["goods"][0] == found["running"] != base
        nobody_failed(await fleet.counted())

    ships.run(story)


def test_a_crash_in_the_canary_is_decided_within_ten_seconds_and_over_within_fifteen(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        since = await begin(fleet, SLOW)
        base = (await view(fleet))["running"]
        fleet.write("bad", *native("bad", rolling.CRASH_ON_RARE))

        decision = await fleet.decided("roll_back", "refuse", since=since, within=60)
        await calm_again(fleet)

        counted = await fleet.counted()
        decided, over = decision.at - counted.first_failed_at, counted.last_failed_at - counted.first_failed_at
        assert decision.stage == "canary"
        assert decided <= 10
        assert over <= 15
        assert counted.failures <= 50
        found = await view(fleet)
        assert set(found["bundles"]) == {base}
        replayed = await say(fleet, "replay", decision.rollout)
        assert replayed["isSame"]
        assert replayed["decisions"][-1]["decision"] == "roll_back"
        fleet.remove("bad")

    ships.run(story)


async def calm_again(fleet: Fleet) -> None:
    """Wait until no more requests fail; what was counted stays."""

    async def has_ended() -> bool:
        before = (await fleet.counted()).failures
        await asyncio.sleep(1.0)
        return (await fleet.counted()).failures == before

    await fleet.until(has_ended, "no more requests fail")


def test_what_is_aborted_is_on_no_edge(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        await begin(fleet, SLOW)
        base = (await view(fleet))["running"]
        fleet.write("new-2", *added(2))
        current = await reached(fleet, "canary")

        await say(fleet, "abort", current["rollout"], "--reason", "not today")

        found = await settled(fleet)
        assert found["running"] == base
        assert found["finished"][0]["outcome"] == "aborted"
        assert not await is_live(fleet, "new-2.example")
        nobody_failed(await fleet.counted())

    ships.run(story)


def test_what_a_guard_holds_goes_when_somebody_says_so(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        since = await begin(fleet)
        capacity = {"requestsPerSecondPerEdge": 10, "peakRequestsPerSecond": 1000}
        narrow = rolling.perimeter(FAST, capacity=capacity)
        fleet.write_all({"perimeter": [narrow], "new-3": added(3)})
        held = await fleet.decided("hold", since=since)
        assert "G20" in held.reason
        assert "seawall rollout promote" in held.reason

        await say(fleet, "promote", held.rollout, "--reason", "the peak is months away")

        await hurry(fleet, held.rollout)
        assert await is_live(fleet, "new-3.example")

    ships.run(story)


def test_of_two_changes_at_once_both_are_live_in_the_end(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        since = await begin(fleet, SLOW)
        fleet.write("new-4", *added(4))
        current = await reached(fleet, "canary")
        fleet.write("new-5", *added(5))

        queued = await fleet.decided("queue", since=since)

        assert "one rollout at a time" in queued.reason
        await hurry(fleet, current["rollout"])
        await reached(fleet, "sandbox", "canary", "cell")
        await hurry(fleet, queued.rollout)
        assert await is_live(fleet, "new-4.example")
        assert await is_live(fleet, "new-5.example")
        nobody_failed(await fleet.counted())

    ships.run(story)


def test_an_edge_takes_no_orders_from_a_stranger(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        since = await begin(fleet, SLOW)
        base = (await view(fleet))["running"]
        trusted = (fleet.root / "eu-1-a.kept" / "trusted.keys").read_text().split()[-1]
        for place in PLACES:
            await on_host(fleet, place.edge, "trust", "ab" * 32)
        fleet.write("new-6", *added(6))

        decision = await fleet.decided("roll_back", since=since, within=60)

        assert "signature" in decision.reason
        assert not await is_live(fleet, "new-6.example")
        for place in PLACES:
            assert (await on_host(fleet, place.edge, "status"))["running"]["bundle"] == base
            await on_host(fleet, place.edge, "trust", trusted)
        nobody_failed(await fleet.counted())
        fleet.remove("new-6")
        for host in fleet.hosts.values():
            await host.order("kill", what="agent")
            await host.order("start")

    ships.run(story)


def test_a_control_plane_that_is_killed_in_the_middle_goes_on_where_it_stopped(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        await begin(fleet, SLOW)
        fleet.write("new-7", *added(7))
        current = await reached(fleet, "canary")

        await fleet.kill_control()
        await fleet.start_control()

        await hurry(fleet, current["rollout"])
        taken = await steps(fleet, current["rollout"])
        assert taken["bake", "complete"] == 1
        assert {step: times for step, times in taken.items() if step[1] != "hold" and times > 1} == {}
        assert await is_live(fleet, "new-7.example")
        nobody_failed(await fleet.counted())

    ships.run(story)


def test_an_agent_that_is_killed_in_the_canary_comes_back_and_clients_notice_nothing(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        await begin(fleet, SLOW)
        fleet.write("new-8", *added(8))
        current = await reached(fleet, "canary")
        canary = next(one for one in current["stages"] if one["stage"] == "canary")["names"][0]

        await fleet.hosts[canary].order("kill", what="agent")
        await fleet.hosts[canary].order("start")

        await fleet.serving()
        await hurry(fleet, current["rollout"])
        assert (await view(fleet))["finished"][0]["outcome"] == "completed"
        assert await is_live(fleet, "new-8.example")
        nobody_failed(await fleet.counted())

    ships.run(story)


def test_the_red_button_brings_every_edge_back_and_keeps_it_there(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        await changed_at_once(fleet, 9)
        good = (await view(fleet))["goods"][0]

        pressed = time.monotonic()
        await say(fleet, "back", "--reason", "something is wrong")
        await fleet.until(lambda: all_run(fleet, good), "all edges run what is proven", 30)

        assert time.monotonic() - pressed < 10
        assert not await is_live(fleet, "new-9.example")
        fleet.write("new-10", *added(10))
        found = await fleet.until(lambda: waiting(fleet), "what comes now waits")
        assert found["pin"]["bundle"] == good
        nobody_failed(await fleet.counted())
        await say(fleet, "unpin")

    ships.run(story)


async def changed_at_once(fleet: Fleet, number: int) -> str:
    """Bring a change everywhere; return the version before it."""
    await begin(fleet, SLOW)
    base: str = (await view(fleet))["running"]
    fleet.write(f"new-{number}", *added(number))
    current = await reached(fleet, "canary")
    await hurry(fleet, current["rollout"])
    assert await is_live(fleet, f"new-{number}.example")
    await fleet.serving()
    return base


async def all_run(fleet: Fleet, bundle: str) -> bool:
    edges = await fleet.get("/v1/edges")
    return len(edges) == len(PLACES) and all(one["bundle"] == bundle and one["isWell"] for one in edges)


async def waiting(fleet: Fleet) -> Json | None:
    found = await view(fleet)
    return found if found["waiting"] else None


def test_an_edge_goes_back_by_itself_with_no_control_plane(ships: SharedFleet) -> None:
    async def story(fleet: Fleet) -> None:
        base = await changed_at_once(fleet, 11)
        await fleet.kill_control()

        pressed = time.monotonic()
        done = await on_host(fleet, "us-1-a", "back", base[:12])
        while (await fleet.ask("us-1-a", Ask(host="new-11.example")))["status"] != 404:
            assert time.monotonic() - pressed < 10

        took = time.monotonic() - pressed
        assert done["pinned"] == base
        assert took < 5
        nobody_failed(await fleet.counted())
        await on_host(fleet, "us-1-a", "unpin")
        await fleet.start_control()
        await fleet.serving()

    ships.run(story)
