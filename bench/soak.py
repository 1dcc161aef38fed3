"""Soak: attacks that change, for as long as one likes, at a real edge: does anything grow?

`seawall serve`, `seawall agent` and its Envoy, people all the while, and another flood every twenty seconds, for ten of them. The
memory of the three, and what lies on the disk and in memory's file system, are looked at twice a second.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from random import Random

import msgspec
from tests.support.origins import Asked, origin
from tests.support.seawall import free_port

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.instances import Instance
from bench.support.killed import on_its_own
from bench.support.people import HOST, Play, crowd
from bench.support.player import Player, thinned
from bench.support.programs import cost
from bench.support.scenarios import scenario
from bench.support.shop import answer, manifests

QUESTION = "does memory or the disk grow while attacks come and go?"
ATTACKS = ("A1", "A2", "A3", "A6", "A17", "A23", "B1", "A48")
EVERY, LASTS = 20, 10
"""Seconds: how often a flood begins, and how long it lasts."""
LEARNING = 10
SETTLED = 0.5
"""The first half of the time is not judged: caches, pools and windows of ten minutes fill up."""
FLAT = {"control plane": 24.0, "agent": 24.0, "Envoy": 24.0, "disk": 60.0}
"""MiB an hour that count as flat: below what a week of it would be noticed by."""
_NEEDED = 10.0
"""Minutes, below which a slope says more of how something fills up than of what it would be in an hour."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """MiB at a moment; seconds since the beginning."""

    at: float
    plane: float
    agent: float
    envoy: float
    disk: float


async def run(options: Options) -> Result:
    """Run for so many minutes."""
    lasts = 20.0 if options.quick else options.minutes * 60
    async with origin(answer) as behind:
        port = free_port()
        with on_its_own(manifests(port, behind.port, learning=LEARNING)) as (root, plane, edge):
            await asyncio.to_thread(edge.wait_for_200, port, HOST)
            player, looks = Player(port), list[Look]()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_watch(root, plane, edge, looks), name="watch")
                served = await _play(player, options.seed, lasts, looks, behind.asked)
                watching.cancel()
        # The edge is gone, and so are its connections: let the origin see that.
        await asyncio.sleep(0.5)
        return _result(looks, lasts, served)


async def _play(
    player: Player, seed: int, lasts: float, looks: Sequence[Look], asked: list[Asked]
) -> tuple[int, Counter[int], int]:
    """Send people, and one flood after the other; return how often people asked, how those that failed ended, and the floods."""
    rng, began = Random(seed), time.monotonic()
    people, names = crowd(rng), cycle(ATTACKS)
    play: Play | None = None
    good = floods = second = 0
    ends, before = Counter[int](), Counter[int]()
    async with asyncio.TaskGroup() as group:
        while time.monotonic() - began < lasts:
            phase = second % EVERY
            if phase == EVERY - LASTS and second > LEARNING:
                name = next(names)
                play, floods = scenario(name).begin(rng), floods + 1
                last = looks[-1] if looks else None
                grown = (
                    f"control plane {last.plane:.0f} MiB, agent {last.agent:.0f}, Envoy {last.envoy:.0f}, disk {last.disk:.0f}"
                    if last
                    else ""
                )
                say(f"{second:>5} s {name:<4} {grown}; good ones that failed since the last: {dict(ends - before)}")
                before = ends.copy()
            elif not phase:
                play = None
            requests = people(rng, second).requests + (play(rng, second).requests if play else [])
            await player.second(group, thinned(rng, requests))
            shots = player.begin()
            good += sum(not one.is_bad for one in shots)
            ends.update(one.status for one in shots if not one.is_bad and one.status in (0, 403, 429))
            # What the origin remembers is ours, and would be all that grows here.
            asked.clear()
            second += 1
    return good, ends, floods


async def _watch(root: Path, plane: Instance, edge: Instance, looks: list[Look]) -> None:
    began = time.monotonic()
    while True:
        disk = await asyncio.to_thread(_size, root)
        at = time.monotonic() - began
        plane_now, agent_now, envoy_now = cost([plane.pid]), cost([edge.pid]), cost(edge.envoys)
        looks.append(Look(at=at, plane=plane_now.mib, agent=agent_now.mib, envoy=envoy_now.mib, disk=disk / (1 << 20)))
        await asyncio.sleep(0.5)


def _size(folder: Path) -> int:
    """Return what lies in a folder, and behind its links to memory's file system."""
    total = 0
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in files:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def slope(looks: Sequence[Look], field: str) -> float:
    """Return how many MiB an hour something grows by: the line that fits best."""
    times = [one.at / 3600 for one in looks]
    values = [float(getattr(one, field)) for one in looks]
    if len(looks) < 2:
        return 0.0
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((one - middle) ** 2 for one in times)
    return sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread


def _result(looks: list[Look], lasts: float, served: tuple[int, Counter[int], int]) -> Result:
    late = [one for one in looks if one.at >= SETTLED * lasts] or looks
    rows, verdicts, figures = [], [], dict[str, float]()
    for name, field in (("control plane", "plane"), ("agent", "agent"), ("Envoy", "envoy"), ("disk", "disk")):
        values, grows = [float(getattr(one, field)) for one in looks], slope(late, field)
        is_flat = grows <= FLAT[name]
        rows.append(
            (
                name,
                f"{values[0]:.0f}",
                f"{getattr(late[0], field):.0f}",
                f"{values[-1]:.0f}",
                f"{max(values):.0f}",
                f"{grows:+.1f}",
                "flat" if is_flat else "not flat",
            )
        )
        verdicts.append(goal(f"soak: {name} grows by", grows, FLAT[name], "MiB/h"))
        figures[f"{name}, MiB an hour"] = grows
    good, ends, floods = served
    refused = f"{ends[403]} were denied, {ends[429]} limited, {ends[0]} not answered"
    short = f" Of fewer than {_NEEDED:g} minutes a slope says little." if lasts < 60 * _NEEDED else ""
    table = Table(
        title=f"{lasts / 60:g} minutes, {floods} floods",
        heads=("what", "first MiB", "half way", "last", "most", "MiB an hour", "so"),
        rows=tuple(rows),
        note=f"The slope is of the second half.{short} Of {good} requests of people {refused}.",
    )
    return Result(bench="soak", question=QUESTION, tables=(table,), verdicts=tuple(verdicts), figures=figures)
