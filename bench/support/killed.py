"""Killed: the control plane, or an agent, is killed while a flood is being refused. Who is served then, and when do verdicts end?

`seawall serve` and `seawall agent` as processes of their own; the flood is A2's. A verdict carries its end: Envoy refuses until
then though nobody is there, and not for longer.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal

import httpx
import msgspec
import yaml
from tests.support.origins import origin
from tests.support.seawall import free_port

from bench.support import instances
from bench.support.instances import Instance
from bench.support.people import HOST, crowd
from bench.support.player import Player, Shot, thinned
from bench.support.programs import Failure
from bench.support.scenarios import scenario
from bench.support.score import REFUSED
from bench.support.shop import answer, manifests

Json = dict[str, Any]
Victim = Literal["control plane", "agent"]
VICTIMS: dict[str, Victim] = {"F1": "control plane", "F1b": "agent"}
WARM_UP = 30
_BEFORE = 10
"""Seconds of the flood before the kill: it is refused by then."""
_SLACK = 2.0


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `held` is how long the flood was refused after the kill, `left` what its verdicts had left then."""

    victim: Victim
    refused_before: float
    refused_after: float
    held: float
    left: float
    good: int
    failed: int
    late: float
    """Seconds for which a verdict outlived its end; 0: none did."""


async def kill(victim: Victim, seed: int, seconds: int) -> Aftermath:
    """Play A2, kill, and look on for so many seconds."""
    async with origin(answer) as behind:
        port = free_port()
        with on_its_own(manifests(port, behind.port)) as (root, plane, edge):
            await asyncio.to_thread(edge.wait_for_200, port, HOST)
            envoys = edge.envoys
            try:
                found = await _play(victim, (plane, edge), root, Random(seed), Player(port), seconds)
            finally:
                if victim == "agent":
                    # Nobody is left who would end them: they are ours all the same.
                    for pid in envoys:
                        _signal(pid, signal.SIGTERM)
        # The edge is gone, and so are its connections: let the origin see that.
        await asyncio.sleep(0.5)
        return found


@contextmanager
def on_its_own(files: dict[str, list[Json]]) -> Iterator[tuple[Path, Instance, Instance]]:
    """Run a control plane and an agent, each a process of its own, in a folder that goes with them."""
    root = Path(tempfile.mkdtemp(prefix="seawall-bench-"))
    folder = root / "manifests"
    folder.mkdir()
    for name, documents in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    try:
        with (
            instances.serve(folder, root / "cp", free_port()) as plane,
            instances.agent(f"unix:{root / 'cp/edges.sock'}", root / "edge", root / "state") as edge,
        ):
            yield root, plane, edge
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def _play(
    victim: Victim, both: Sequence[Instance], root: Path, rng: Random, player: Player, seconds: int
) -> Aftermath:
    people, flood = crowd(rng), scenario("A2").begin(rng)
    async with asyncio.TaskGroup() as group:
        for second in range(WARM_UP):
            await player.second(group, thinned(rng, people(rng, second).requests))
        player.begin()
        for second in range(_BEFORE):
            asked = people(rng, second).requests + flood(rng, second).requests
            await player.second(group, thinned(rng, asked))
        before = player.begin()
        left = await _left(root / "cp/control.sock")
        _signal(both[0 if victim == "control plane" else 1].pid, signal.SIGKILL)
        killed = time.monotonic()
        for second in range(seconds):
            asked = people(rng, second).requests + flood(rng, second).requests
            await player.second(group, thinned(rng, asked))
    assert time.monotonic() > killed
    return _aftermath(victim, before, player.shots, left, seconds)


async def _left(control: Path) -> float:
    """Say how long the verdicts that refuse have left."""
    transport = httpx.AsyncHTTPTransport(uds=str(control))
    async with httpx.AsyncClient(transport=transport, base_url="http://seawall") as client:
        found: Json = (await client.get("/v1/attacks")).json()
    acting = [float(one["secondsLeft"]) for one in found["verdicts"] if one["kind"] in ("deny", "tarpit", "limit")]
    if not acting:
        raise Failure(f"the flood was not refused before the kill: {found}")
    return max(acting)


def _aftermath(victim: Victim, before: list[Shot], after: list[Shot], left: float, seconds: int) -> Aftermath:
    def share(shots: list[Shot], is_so: Callable[[Shot], bool]) -> float:
        chosen = [one for one in shots if one.is_bad and is_so(one)]
        return sum(one.status in REFUSED for one in chosen) / max(len(chosen), 1)

    refused = [one.at for one in after if one.is_bad and one.status in REFUSED]
    held, end = max(refused, default=0.0), min(left, float(seconds))
    good = [one for one in after if not one.is_bad]
    # An agent that is killed leaves a control plane which renews; nobody renews where that one is gone.
    late = max(0.0, held - left - _SLACK) if victim == "control plane" else 0.0
    return Aftermath(
        victim=victim,
        refused_before=share(before, lambda one: one.at > _BEFORE / 2),
        refused_after=share(after, lambda one: one.at < end - _SLACK),
        held=held,
        left=left,
        good=len(good),
        failed=sum(one.status == 0 or one.status >= 500 or one.status in REFUSED for one in good),
        late=late,
    )


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
