"""The agent and its Envoy obey verdicts: at once, in step, and though nobody is left to tell them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.agent.test_agent_killed import envoy_of, start_agent
from tests.support.control import Control
from tests.support.control import serving as serving_control
from tests.support.edge import Edge, free_port, running_agent, running_edge, settings, until, within
from tests.support.judged import HOST, snapshot

from seawall.envoy import verdicts
from seawall.fleet import holding
from seawall.fleet.holding import UNKNOWN
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Applied, Held, Hello, Verdicts
from seawall.kit.units import Instant

ELSEWHERE = "127.0.0.9"


def entry(**fields: Any) -> Entry:
    plain = {"id": "v1", "generation": 1, "expires": Instant(time.time() + 600), "kind": "deny"}
    return Entry(**{**plain, **fields})


async def status(port: int, client: str = "127.0.0.1") -> int:
    transport = httpx.AsyncHTTPTransport(local_address=client)
    async with httpx.AsyncClient(transport=transport) as http:
        return (await http.get(f"http://127.0.0.1:{port}/", headers={"host": HOST}, timeout=5)).status_code


async def is_answered(port: int, wanted: int, client: str = "127.0.0.1") -> None:
    async with asyncio.timeout(10):
        while await _status_or_none(port, client) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def _status_or_none(port: int, client: str) -> int | None:
    try:
        return await status(port, client)
    except httpx.HTTPError:
        return None


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Edge, int]]:
    port = free_port()
    async with running_edge(folder) as edge:
        edge.control.publish(snapshot(port, 1))
        await is_answered(port, 200)
        yield edge, port


def held(edge: Edge, number: int) -> Held | None:
    return next((one for one in edge.control.all(Held) if one.number == number), None)


def many(count: int, number: int = 0) -> tuple[Entry, ...]:
    """Verdicts on networks that nobody is in, and one on this client's other address."""
    ends = Instant(time.time() + 600)
    networks = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count - 1))
    others = tuple(entry(id=f"n{n}", expires=ends, match={"address": one}) for n, one in enumerate(networks))
    return (*others, entry(id=f"me{number}", match={"address": ELSEWHERE}))


def test_a_verdict_is_enforced_and_taken_back_without_a_bundle(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            await until(lambda: edge.applied)
            before = edge.applied

            edge.control.send(Verdicts(number=1, whole=True, put=(entry(match={"address": "127.0.0.9"}),)))

            await until(lambda: held(edge, 1))
            said = held(edge, 1)
            assert said is not None and (said.entries, said.refused) == (1, {}) and said.took < 1
            await is_answered(port, 403, "127.0.0.9")
            assert await status(port) == 200
            edge.control.send(Verdicts(number=2, gone=("v1",)))
            await is_answered(port, 200, "127.0.0.9")
            assert edge.applied == before and edge.rejections == ()

    asyncio.run(within(story()))


def test_a_hole_is_told_and_the_whole_mends_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            edge.control.send(Verdicts(number=7, put=(entry(match={"address": ELSEWHERE}),)))
            await until(lambda: held(edge, UNKNOWN))
            assert await status(port, ELSEWHERE) == 200

            edge.control.send(Verdicts(number=7, whole=True, put=(entry(match={"address": ELSEWHERE}),)))
            await is_answered(port, 403, ELSEWHERE)
            edge.control.send(Verdicts(number=9, gone=("v1",)))
            await until(lambda: edge.control.all(Held)[-1].number == UNKNOWN)
            assert await status(port, ELSEWHERE) == 403

            edge.control.send(Verdicts(number=1, whole=True))
            await is_answered(port, 200, ELSEWHERE)
            await until(lambda: held(edge, 1))

    asyncio.run(within(story()))


def test_what_cannot_be_held_is_told_by_id_and_the_rest_holds(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            good, bad = entry(match={"address": ELSEWHERE}), entry(id="bad", match={"account": "x"})

            edge.control.send(Verdicts(number=1, whole=True, put=(bad, good)))

            await until(lambda: held(edge, 1))
            said = held(edge, 1)
            assert said is not None and set(said.refused) == {"bad"} and "account" in said.refused["bad"]
            await is_answered(port, 403, ELSEWHERE)

    asyncio.run(within(story()))


def test_each_filter_chain_has_a_copy_and_what_does_not_fit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "MOST_COPIES", 10)

    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            edge.control.publish(snapshot(port, 1, free_port()))
            await until(lambda: len(edge.control.all(Applied)) > 1)

            edge.control.send(Verdicts(number=1, whole=True, put=(*many(6)[:-1], entry(id="tag", kind="tag"))))

            await until(lambda: held(edge, 1))
            said = held(edge, 1)
            assert said is not None and set(said.refused) == {"tag"} and "filter chain" in said.refused["tag"]

    asyncio.run(within(story()))


def test_too_many_are_refused_and_the_old_ones_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MOST", 10)

    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            edge.control.send(Verdicts(number=1, whole=True, put=many(2)))
            await is_answered(port, 403, ELSEWHERE)

            edge.control.send(Verdicts(number=2, whole=True, put=(*many(11)[:-1], entry(id="x", match={"agent": "x"}))))

            await until(lambda: held(edge, 2))
            said = held(edge, 2)
            assert said is not None and said.entries == 2 and "too many" in said.refused[""]
            assert await status(port, ELSEWHERE) == 403

    asyncio.run(within(story()))


def test_what_is_no_message_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            edge.control.send(Verdicts(number=1, whole=True, put=many(2)))
            await is_answered(port, 403, ELSEWHERE)
            greetings = len(edge.control.all(Hello))

            edge.control.send(Verdicts(number=2, put=(entry(id="x", kind="explode", match={}),)))

            await until(lambda: len(edge.control.all(Hello)) > greetings)
            assert await status(port, ELSEWHERE) == 403

    asyncio.run(within(story()))


def test_ten_thousand_are_enforced_soon_and_one_more_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            took = {}
            for number, count in enumerate((1, 1_000, 10_000), start=1):
                edge.control.send(Verdicts(number=number * 10, whole=True, put=many(count, number)))
                await is_answered(port, 403, ELSEWHERE)
                await until(partial(held, edge, number * 10))
                said = held(edge, number * 10)
                assert said is not None and said.entries == count
                took[count] = said.took
            edge.control.send(Verdicts(number=31, put=(entry(id="one", match={"address": "127.0.0.10"}),)))
            await is_answered(port, 403, "127.0.0.10")
            await until(lambda: held(edge, 31))
            said = held(edge, 31)
            assert said is not None
            with capsys.disabled():
                print(f" message to enforced: {took}, one more: {said.took}")  # noqa: T201
            # What is promised is measured in `bench verdicts`; here only that a whole host's noise is no reason.
            assert took[10_000] < 5 and said.took < 0.5

    asyncio.run(within(story()))


def test_the_next_agent_and_the_next_envoy_hold_what_was_told(tmp_path: Path) -> None:
    async def story() -> None:
        control, port = Control(), free_port()
        async with serving_control(control, tmp_path):
            async with running_agent(settings(tmp_path)) as agent:
                control.publish(snapshot(port, 1))
                await is_answered(port, 200)
                control.send(Verdicts(number=1, whole=True, put=(entry(match={"address": ELSEWHERE}),)))
                await is_answered(port, 403, ELSEWHERE)
                os.kill(agent.envoy_pid, signal.SIGKILL)
                await is_answered(port, 200)
                await is_answered(port, 403, ELSEWHERE)
            async with running_agent(settings(tmp_path)):
                await is_answered(port, 200)
                await is_answered(port, 403, ELSEWHERE)

    asyncio.run(within(story()))


def test_a_damaged_file_of_verdicts_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "verdicts.msgpack").write_bytes(b"\xff\x00 nonsense")
        async with serving(tmp_path) as (edge, port):
            edge.control.send(Verdicts(number=1, whole=True, put=(entry(match={"address": ELSEWHERE}),)))
            await is_answered(port, 403, ELSEWHERE)

    asyncio.run(within(story()))


@pytest.mark.e2e
def test_with_agent_and_control_plane_killed_a_verdict_ends_on_time(tmp_path: Path) -> None:
    async def story() -> None:
        control, port = Control(), free_port()
        async with serving_control(control, tmp_path):
            agent = start_agent(settings(tmp_path))
            control.publish(snapshot(port, 1))
            await is_answered(port, 200)
            until_ = time.time() + 4
            control.send(Verdicts(number=1, whole=True, put=(entry(expires=until_, match={"address": ELSEWHERE}),)))
            await is_answered(port, 403, ELSEWHERE)
            agent.kill()
            await asyncio.to_thread(agent.wait)
        envoy = envoy_of(tmp_path)
        try:
            assert await status(port, ELSEWHERE) == 403
            await is_answered(port, 200, ELSEWHERE)
            assert until_ - 0.01 <= time.time() < until_ + 0.5
            assert await status(port) == 200
        finally:
            envoy.kill()

    asyncio.run(within(story()))
