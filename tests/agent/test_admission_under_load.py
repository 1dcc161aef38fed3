"""Admission with the real Envoy, killed under load with nobody to ask: a part of the clients is let in, then more, then all; and a
full heap holds the door."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.support.control import Control, serving
from tests.support.edge import free_port, listener, running_agent, settings, until, within

from seawall.agent.agent import Agent
from seawall.envoy.bootstrap import SMALLEST_HEAP
from seawall.fleet.wire import Journey, Recovery, Watch
from seawall.xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e

STEP = 2.0


class Load:
    """Clients who ask again and again, whatever they get; `seen` counts answers by the share that was let in then."""

    def __init__(self, agent: Agent, port: int) -> None:
        self.seen: dict[float, Counter[int]] = {}
        self._agent = agent
        self._url = f"http://127.0.0.1:{port}/"

    async def ask(self) -> None:
        async with httpx.AsyncClient() as http:
            while True:
                share = self._agent.admission.ramp.share
                with contextlib.suppress(httpx.HTTPError):
                    answer = await http.get(self._url, timeout=2.0)
                    if share == self._agent.admission.ramp.share:
                        self.seen.setdefault(share, Counter())[answer.status_code] += 1
                await asyncio.sleep(0.004)

    def let_in(self, share: float) -> float:
        """Say what part got an answer while so many should."""
        answers = self.seen.get(share, Counter())
        return answers[200] / max(1, answers.total())


@contextlib.asynccontextmanager
async def loaded(folder: Path, recovery: Recovery, **changes: object) -> AsyncIterator[tuple[Agent, Load, int]]:
    """Run an edge under load whose control plane has told it of its recovery, and is gone."""
    control, port = Control(), free_port()
    async with running_agent(settings(folder, **changes)) as agent:
        async with serving(control, folder):
            snapshot = Snapshot.of([listener(port, "one")])
            control.publish(snapshot)
            await until(lambda: (one := control.edges.get("e1")) is not None and one.applied == snapshot.version)
            journey = Journey(name="j", url=f"http://a.example:{port}/")
            control.send(Watch(tally_interval=0.1, recovery=recovery, journeys=(journey,), journey_interval=0.1))
            await until(lambda: agent.admission.ramp.recovery == recovery)
        load = Load(agent, port)
        asking = [asyncio.get_running_loop().create_task(load.ask(), name=f"client-{n}") for n in range(2)]
        try:
            await until(lambda: agent.admission.ramp.was_busy)
            yield agent, load, port
        finally:
            for one in asking:
                one.cancel()


def kill(agent: Agent) -> None:
    os.kill(agent.envoy_pid, signal.SIGKILL)


def test_an_envoy_killed_under_load_opens_in_steps_with_no_control_plane(tmp_path: Path) -> None:
    async def main() -> None:
        wanted = Recovery(ramp="restart", step=STEP, memory=2.0, busy=5.0)
        async with loaded(tmp_path, wanted) as (agent, load, _):
            load.seen.clear()
            kill(agent)
            await until(lambda: not agent.admission.is_open)
            assert "30 %" in agent.admission.problem
            await until(lambda: agent.admission.is_open, 20.0)
            await until(lambda: load.seen.get(1.0, Counter())[200] > 50)

            assert set(load.seen) == {0.3, 0.6, 1.0}
            assert 0.1 < load.let_in(0.3) < 0.5 < load.let_in(0.6) < 0.85, load.seen
            # No journey was held against the configuration for having been turned away; one may have met the killed Envoy itself.
            assert agent.journeys.failed <= 1

    asyncio.run(within(main()))


def test_a_heap_that_is_full_holds_the_door(tmp_path: Path) -> None:
    async def main() -> None:
        # Whatever an idle Envoy holds is more than a thousandth: crowded until somebody says otherwise.
        full = Recovery(ramp="restart", step=STEP / 4, memory=0.101, busy=5.0)
        async with loaded(tmp_path, full, max_heap=SMALLEST_HEAP) as (agent, load, _):
            kill(agent)
            await until(lambda: load.seen.get(0.3, Counter()).total() > 300, 20.0)
            assert agent.admission.ramp.share == 0.3

            agent.admission.watch(Recovery(ramp="restart", step=STEP / 4, memory=2.0, busy=5.0))
            await until(lambda: agent.admission.is_open, 20.0)

    asyncio.run(within(main()))


def test_what_a_perimeter_says_of_recovery_outlives_the_agent(tmp_path: Path) -> None:
    async def main() -> None:
        wanted = Recovery(ramp="restart", step=STEP, busy=5.0)
        async with loaded(tmp_path, wanted):
            pass
        async with running_agent(settings(tmp_path)) as agent:
            await until(lambda: agent.envoy_pid)
            assert agent.admission.ramp.recovery == wanted

    asyncio.run(within(main()))
