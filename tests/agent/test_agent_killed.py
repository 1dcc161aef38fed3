"""An agent that is killed: what becomes of its Envoy, and what the next agent makes of it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.support.control import Control
from tests.support.control import serving as serving_control
from tests.support.edge import answer, answers, free_port, listener, running_agent, settings, until, within

from seawall.agent.settings import AgentSettings
from seawall.kit.units import Instant
from seawall.xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e

PROGRAM = """
import asyncio, sys, msgspec
from seawall.agent.agent import Agent
from seawall.agent.settings import AgentSettings
asyncio.run(Agent(msgspec.json.decode(sys.argv[1], type=AgentSettings)).run())
"""

PATIENT = """
import asyncio, pathlib, sys, msgspec
from seawall.agent.agent import Agent
from seawall.agent.settings import AgentSettings

class Patient:
    async def taste(self, snapshot, limits, seconds, base=None):
        pathlib.Path(sys.argv[2], "tasting").touch()
        await asyncio.sleep(seconds)

async def main():
    agent = Agent(msgspec.json.decode(sys.argv[1], type=AgentSettings), lambda *_: Patient())
    asyncio.get_running_loop().add_signal_handler(15, agent.stop)
    await agent.run()

asyncio.run(main())
"""


def start_agent(configured: AgentSettings, program: str = PROGRAM) -> "subprocess.Popen[bytes]":
    folder = str(Path(configured.run_dir).parent)
    return subprocess.Popen(
        [sys.executable, "-c", program, msgspec.json.encode(configured).decode(), folder],
        stdout=subprocess.DEVNULL,
    )


def envoy_of(folder: Path) -> psutil.Process:
    note = msgspec.json.decode((folder / "run/envoy.pid").read_bytes(), type=dict[str, int | str])
    return psutil.Process(int(note["pid"]))


def is_dead(envoy: psutil.Process) -> bool:
    """Gone, or waiting for its new parent, the first process of this host, to take note of its end."""
    return not envoy.is_running() or envoy.status() == psutil.STATUS_ZOMBIE


async def serving(folder: Path, port: int, control: Control) -> psutil.Process:
    snapshot = Snapshot.of([listener(port, "one")])
    control.publish(snapshot)
    await answers(port, "one")
    await until(lambda: control.edges.list(Instant(0.0))[0].applied == snapshot.version)
    return envoy_of(folder)


def test_a_killed_agent_costs_no_request_and_the_next_adopts(tmp_path: Path) -> None:
    port = free_port()

    async def ask_without_end(failures: list[str]) -> None:
        while True:
            text = await answer(port)
            if not text:
                failures.append(text)

    async def main() -> None:
        control, failures = Control(), list[str]()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path)) as agent:
                envoy = await serving(tmp_path, port, control)
                async with asyncio.TaskGroup() as group:
                    asking = group.create_task(ask_without_end(failures))
                    agent.kill()
                    await asyncio.to_thread(agent.wait)
                    async with running_agent(settings(tmp_path)) as second:
                        await until(lambda: second.envoy_pid == envoy.pid)
                        control.publish(Snapshot.of([listener(port, "two")]))
                        await answers(port, "two")
                        asking.cancel()
                        assert not failures
        assert is_dead(envoy)

    asyncio.run(within(main()))


def test_a_bound_envoy_dies_with_its_agent(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        control = Control()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path, is_bound=True)) as agent:
                envoy = await serving(tmp_path, port, control)
                agent.kill()
        gone, _ = psutil.wait_procs([envoy], timeout=5)
        assert gone

    asyncio.run(within(main()))


def test_when_both_are_killed_the_disk_serves(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        control = Control()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path)) as agent:
                envoy = await serving(tmp_path, port, control)
                agent.kill()
            envoy.kill()
            psutil.wait_procs([envoy], timeout=5)
        async with running_agent(settings(tmp_path)) as second:
            await answers(port, "one")
            # On a state that is not proven yet, dying together counts as a death.
            assert second.deaths == 1

    asyncio.run(within(main()))


def test_a_terminal_interrupt_reaches_the_agent_and_not_envoy(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        control = Control()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path)) as agent:
                envoy = await serving(tmp_path, port, control)
                assert os.getpgid(envoy.pid) != os.getpgid(agent.pid)

                agent.send_signal(signal.SIGINT)
                await asyncio.to_thread(agent.wait)
                assert is_dead(envoy)

    asyncio.run(within(main()))
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["envoy.log"]


def test_an_agent_killed_while_tasting_has_given_envoy_nothing(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        control = Control()
        async with serving_control(control, tmp_path):
            with start_agent(settings(tmp_path), PATIENT) as agent:
                envoy = await serving(tmp_path, port, control)
                control.publish(Snapshot.of([listener(port, "untasted")]), taste=60.0)
                await until((tmp_path / "tasting").exists)
                agent.kill()
                await asyncio.to_thread(agent.wait)
                assert await answer(port) == "one"
            with start_agent(settings(tmp_path), PATIENT) as second:
                (tmp_path / "tasting").unlink()
                await until((tmp_path / "tasting").exists)
                assert envoy_of(tmp_path) == envoy
                assert await answer(port) == "one"
                second.terminate()
        assert is_dead(envoy)

    asyncio.run(within(main()))
