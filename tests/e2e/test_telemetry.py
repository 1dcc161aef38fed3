"""Telemetry end to end: the real Envoy writes, the real agent reads, a control plane hears; whoever is killed or floods."""

import asyncio
import resource
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from seawall.agent import tail
from seawall.agent.tail import WHOLE, Tail
from seawall.app.traffic import Traffic
from seawall.detect.sight import Slot
from seawall.envoy.access_log import FILE, FOLDER, PATH, access_log
from seawall.envoy.proto import TYPE_PREFIX, decode, encode
from seawall.fleet.wire import Traffic as Message
from seawall.kit.units import Instant
from seawall.xds.resource import Resource
from seawall.xds.snapshot import Snapshot
from tests.agent.test_agent_killed import envoy_of, start_agent
from tests.support import edge as support
from tests.support.burst import burst, request
from tests.support.control import Control
from tests.support.control import serving as serving_control
from tests.support.edge import Edge, answers, free_port, running_agent, running_edge, settings, until, within

pytestmark = pytest.mark.e2e

_LISTENER = "envoy.config.listener.v3.Listener"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def listener(port: int) -> Resource:
    """Answer everything, and write it down."""
    plain = support.listener(port, "one")
    message: Any = decode(_LISTENER, plain.body)
    config = message.filter_chains[0].filters[0].typed_config
    assert config.type_url == TYPE_PREFIX + _HCM
    manager: Any = decode(_HCM, config.value)
    logged: Any = decode(_HCM, encode(_HCM, {"access_log": [access_log(PATH)]}))
    manager.access_log.extend(logged.access_log)
    config.value = manager.SerializeToString(deterministic=True)
    return support.resource(plain.name, message.SerializeToString(deterministic=True))


@asynccontextmanager
async def edge(folder: Path) -> AsyncIterator[tuple[Edge, int]]:
    port = free_port()
    async with running_edge(folder) as made:
        made.control.publish(Snapshot.of([listener(port)]))
        await answers(port, "one")
        await until(lambda: requests(made.control) >= 1)
        made.control.heard.clear()
        yield made, port


def requests(control: Control) -> float:
    """Count what was told."""
    return sum(sum(one.delta.totals.values()) for one in control.all(Message))


def tail_of(made: Edge) -> Tail:
    found = made.agent._tail
    assert isinstance(found, Tail)
    return found


def asked(count: int, path: str = "/item/7") -> list[bytes]:
    return [request("a.example", path) for _ in range(count)]


def test_a_second_reaches_whoever_decides_within_three(tmp_path: Path) -> None:
    async def main() -> None:
        traffic, slots, taken = Traffic(), list[Slot](), 0
        async with edge(tmp_path) as (made, port):
            assert await burst(port, asked(40)) == {200: 40}
            ended = time.time()
            while sum(sum(one.totals.values()) for one in slots) < 40:
                heard = made.control.all(Message)
                for message in heard[taken:]:
                    traffic.heard("e1", message, Instant(time.time()))
                taken = len(heard)
                slots += traffic.slots(Instant(time.time()))
                assert time.time() - ended < 3
                await asyncio.sleep(0.05)
            assert {path for one in slots for path in one.rows.column("path")} == {"/item/*"}

    asyncio.run(within(main()))


def test_no_line_is_lost_or_read_twice_though_files_change_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LONGEST_FILE", 20_000)
    count = 3_000

    async def main() -> int:
        files = 0
        async with edge(tmp_path) as (made, port):
            was = tail.Lines.set_aside

            def counted(self: tail.Lines) -> None:
                nonlocal files
                files += 1
                was(self)

            monkeypatch.setattr(tail.Lines, "set_aside", counted)
            for _ in range(10):
                assert await burst(port, asked(count // 10)) == {200: count // 10}
                await asyncio.sleep(0.2)
            await until(lambda: requests(made.control) >= count)
            await asyncio.sleep(1)
            assert requests(made.control) == count
            assert not tail_of(made).dropped.total()
            assert (tmp_path / "run" / PATH).stat().st_size < 200_000
        return files

    assert asyncio.run(within(main(), 60)) >= 3


def test_of_a_burst_a_share_is_written_and_it_is_taken_for_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LINES", 250)
    count = 12_000

    async def main() -> None:
        async with edge(tmp_path) as (made, port):
            assert await burst(port, asked(count)) == {200: count}
            await until(lambda: requests(made.control) > count * 0.8)
            await asyncio.sleep(1.5)

            told = requests(made.control)
            assert tail_of(made).read < count * 0.7
            # By the share of before, a fifth of a second of lines would be taken for many times as many.
            assert told == pytest.approx(count, rel=0.25)
            page = await made.agent._health.metrics()
            assert "seawall_agent_log_share " in page and "seawall_agent_log_dropped_bytes_total 0" in page
            # A calm edge is seen whole again.
            await until(lambda: tail_of(made).share == WHOLE, 30)

    asyncio.run(within(main(), 90))


def test_a_log_that_somebody_removes_is_made_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with edge(tmp_path) as (made, port):
            folder = (tmp_path / "run" / FOLDER).resolve()
            shutil.rmtree(folder)
            await until((folder / FILE).exists)
            # Envoy opens it when it next writes.
            async with asyncio.timeout(10):
                while not requests(made.control):
                    assert await burst(port, asked(50)) == {200: 50}
                    await asyncio.sleep(0.3)
            assert tail_of(made).dropped["unread"]

    asyncio.run(within(main()))


def test_a_killed_agent_costs_no_request_and_bounded_memory_and_the_next_one_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LONGEST_FILE", 16_000)
    most, port, file = 64 * 1024, free_port(), tmp_path / "run" / PATH

    async def main() -> None:
        control = Control()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path)) as agent:
                control.publish(Snapshot.of([listener(port)]))
                await answers(port, "one")
                await until(lambda: requests(control) >= 1)
                envoy: psutil.Process = envoy_of(tmp_path)
                # What holds at the limit is tried with a smaller one.
                assert 0 < resource.prlimit(envoy.pid, resource.RLIMIT_FSIZE)[0] <= 256 * 1024 * 1024
                resource.prlimit(envoy.pid, resource.RLIMIT_FSIZE, (most, most))
                async with asyncio.TaskGroup() as group:
                    asking = group.create_task(burst(port, asked(3_000)), name="asking")
                    await asyncio.sleep(0.05)
                    agent.kill()
                assert asking.result() == {200: 3_000}
                await asyncio.sleep(0.5)
                assert file.stat().st_size <= most
                # As if the agent had been killed in the midst of beginning a fresh file.
                file.rename(file.with_suffix(".old"))
            control.heard.clear()
            async with running_agent(settings(tmp_path)) as second:
                await until(lambda: second.envoy_pid == envoy.pid)
                await until(lambda: file.exists() and not file.with_suffix(".old").exists())
                assert await burst(port, asked(50)) == {200: 50}
                await until(lambda: requests(control) >= 50)

    asyncio.run(within(main(), 60))
