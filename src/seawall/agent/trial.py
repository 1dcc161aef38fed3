"""Trial: one scratch Envoy is asked, round after round, and its costs are watched: what tasters and sandboxes share.

Talks to the scratch Envoy only. Next rooms: `agent.taster`, `app.sandbox`.
"""

import asyncio
import statistics
from collections.abc import Sequence
from itertools import count

import msgspec

from seawall.agent.asker import Asker
from seawall.agent.scratch import Scratch
from seawall.kit.units import Seconds
from seawall.rollout.answers import Answer
from seawall.rollout.corpus import Request

PATIENCE = Seconds(2.0)
AT_ONCE = 4
_LEAK_RATE = 1.0
_LEAK = 12.0
"""A process that grew so many MiB since its first round, by so many MiB a second, is leaking."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a scratch Envoy took since its first round. MiB, seconds."""

    memory: float = 0.0
    growth: float = 0.0
    slope: float = 0.0
    cpu: float = 0.0
    requests: int = 0
    latency: float = 0.0

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / self.requests if self.requests else 0.0

    @property
    def is_leaking(self) -> bool:
        return self.growth > _LEAK and self.slope > _LEAK_RATE

    def figures(self) -> dict[str, float]:
        return {
            "memory_mib": round(self.memory, 1),
            "memory_slope_mib_per_s": round(self.slope, 3),
            "cpu_seconds": round(self.cpu, 3),
            "cpu_ms_per_request": round(self.cpu_per_request * 1000, 3),
            "requests": float(self.requests),
            "p50_ms": round(self.latency * 1000, 3),
        }


class Trial:
    """Asks one scratch Envoy and remembers what it cost."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.asked = 0
        self._asker = Asker(scratch.ports, PATIENCE)
        self._since = len(scratch.usages)
        self._took: list[float] = []
        self._last: dict[str, None] = {}

    @property
    def suspects(self) -> str:
        """Name what was asked when it died."""
        return "; ".join(list(self._last)[-AT_ONCE:])

    async def ask(self, request: Request) -> Answer:
        self._last[request.name] = None
        answer = await self._asker.ask(request)
        self.asked += 1
        if not answer.error:
            # What is answered killed nobody.
            self._last.pop(request.name, None)
            if request.kind == "probe":
                self._took.append(answer.took)
        return answer

    def begin(self) -> None:
        """Count costs from now on: the first round fills caches and makes statistics."""
        self._since = max(len(self.scratch.usages) - 1, 0)
        self.asked = 0
        self._took.clear()

    def costs(self) -> Costs:
        usages = self.scratch.usages[self._since :]
        latency = statistics.median(self._took) if self._took else 0.0
        if len(usages) < 2:
            return Costs(memory=self.scratch.usage().memory, requests=self.asked, latency=latency)
        first, last = usages[0], usages[-1]
        return Costs(
            memory=last.memory,
            growth=last.memory - first.memory,
            slope=(last.memory - first.memory) / max(last.at - first.at, 0.1),
            cpu=last.cpu - first.cpu,
            requests=self.asked,
            latency=latency,
        )

    def close(self) -> None:
        self._asker.close()


async def ask_all(trials: Sequence[Trial], requests: Sequence[Request]) -> list[tuple[Request, tuple[Answer, ...]]]:
    """Ask every trial every request, a few at a time; stops where one of them has died."""
    found: list[tuple[Request, tuple[Answer, ...]]] = []
    numbers = count()

    async def ask() -> None:
        while (number := next(numbers)) < len(requests) and not any(trial.scratch.death for trial in trials):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(trial.ask(requests[number]), name=f"trial-{number}") for trial in trials]
            found.append((requests[number], tuple(task.result() for task in tasks)))

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(ask(), name=f"trial-asker-{number}")
    return found
