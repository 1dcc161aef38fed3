"""Two control planes on one PostgreSQL: whichever dies, and when the database does, nothing is lost and nothing repeated."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import rolling
from tests.support.fleet import Ask
from tests.support.postgres import Postgres, running
from tests.support.rolling import PLACES, added
from tests.support.twins import NAMES, Twins, numbers, steps

pytestmark = pytest.mark.e2e
Json = dict[str, Any]
PACE = 0.004
_FIRST = 0.00001


@pytest.fixture
def database() -> Iterator[Postgres]:
    """One for each test: the first version of a fleet needs no proof beside another, so it bakes at once."""
    with running() as server:
        yield server


def url(database: Postgres) -> str:
    return f"postgresql://seawall@/postgres?host={database.root}"


async def reached(twins: Twins, stage: str) -> str:
    """Wait until the rollout under way stands there, or beyond; name it."""
    order = ("guards", "sandbox", "canary", "cell", "region", "quarter", "half", "all", "bake")

    async def is_there() -> str:
        current = (await twins.view())["rollout"]
        return current["rollout"] if current and order.index(current["stage"]) >= order.index(stage) else ""

    found: str = await twins.until(is_there, f"a rollout in {stage}")
    return found


async def over(twins: Twins, rollout: str) -> str:
    """Skip what may be skipped until a rollout is over; return how it ended."""

    async def is_over() -> str:
        leader = await twins.leader()
        found = (await twins.ask(leader, "/v1/rollouts"))["view"]
        ended = next((one["outcome"] for one in found["finished"] if one["rollout"] == rollout), "")
        if not ended and found["rollout"] is not None and found["rollout"]["stage"] not in ("guards", "sandbox"):
            with contextlib.suppress(httpx.HTTPError):
                await twins.command(leader, "promote", rollout=rollout, reason="seen enough")
        await asyncio.sleep(0.2)
        return str(ended)

    found: str = await twins.until(is_over, f"{rollout} is over", 90)
    return found


async def first(twins: Twins) -> None:
    """Let the first version bake, with clients on all edges."""
    await twins.fleet.load(rolling.mix(rate=30))

    async def has_baked() -> bool:
        found = await twins.view()
        return found["rollout"] is None and bool(found["goods"]) and found["goods"][0] == found["running"]

    await twins.until(has_baked, "the first version has baked", 90)
    twins.fleet.write("perimeter", rolling.perimeter(PACE))
    await twins.fleet.recount()


def nothing_lost_or_repeated(twins: Twins, rollout: str) -> None:
    entries = twins.log()
    assert numbers(entries) == list(range(entries[0].number, entries[-1].number + 1))
    taken = Counter(step for step in steps(entries, rollout) if step[1] in ("begin", "advance", "complete"))
    assert taken["guards", "begin"] == taken["bake", "complete"] == 1
    assert {step: times for step, times in taken.items() if times > 1} == {}


async def is_live(twins: Twins, host: str) -> bool:
    answers = [await twins.fleet.ask(place.edge, Ask(host=host)) for place in PLACES]
    return all(answer["status"] == 200 for answer in answers)


def test_killing_the_leader_at_any_stage_neither_loses_nor_repeats_a_step(database: Postgres) -> None:
    async def story() -> None:
        async with Twins(rolling.files(_FIRST), PLACES, url(database)) as twins:
            await first(twins)
            for number, stage in enumerate(("sandbox", "canary", "all")):
                twins.fleet.write(f"new-{number}", *added(number))
                rollout = await reached(twins, stage)
                leader = await twins.leader()
                await twins.kill(leader)

                assert await over(twins, rollout) == "completed"

                assert await twins.leader() != leader
                assert await is_live(twins, f"new-{number}.example")
                nothing_lost_or_repeated(twins, rollout)
                await twins.start(leader)
                await twins.fleet.serving()
            counted = await twins.fleet.counted()
            assert counted.sent
            assert counted.failed == {}

    asyncio.run(story())


def test_while_the_database_is_gone_edges_serve_and_nothing_goes_forward(database: Postgres) -> None:
    async def story() -> None:
        async with Twins(rolling.files(_FIRST), PLACES, url(database)) as twins:
            await first(twins)
            twins.fleet.write("new", *added(7))
            rollout = await reached(twins, "canary")
            stages = (await twins.view())["rollout"]["stages"]
            canary = {name for one in stages if one["stage"] == "canary" for name in one["names"]}
            database.stop(signal.SIGKILL)
            for name in NAMES:
                with contextlib.suppress(httpx.HTTPError):
                    await twins.command(name, "promote", rollout=rollout, reason="try")
            await asyncio.sleep(5)

            assert await on_candidate(twins) <= canary

            database.start()
            assert await over(twins, rollout) == "completed"
            assert await is_live(twins, "new-7.example")
            nothing_lost_or_repeated(twins, rollout)
            counted = await twins.fleet.counted()
            assert counted.failed == {}

    asyncio.run(story())


async def on_candidate(twins: Twins) -> set[str]:
    """Name the edges that serve the new host."""
    served = set()
    for place in PLACES:
        answer = await twins.fleet.ask(place.edge, Ask(host="new-7.example"))
        if answer["status"] == 200:
            served.add(place.edge)
    return served
