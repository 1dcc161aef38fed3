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
_NEWS = 0.03
_FEW = 100
_ENOUGH = 8
_LEAK_RATE = 1.0
_LEAK = 6.0
"""A process that grew so many MiB since its first round, by so many MiB a second, is leaking. Good ones grow by 0.05 MiB/s."""


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
            "measured_requests": float(self.requests),
            "p50_ms": round(self.latency * 1000, 3),
        }


class Trial:
    """Asks one scratch Envoy and remembers what it cost."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.asked = 0
        self._before = 0
        self._took_before = 0
        self._unanswered = 0
        self._asker = Asker(scratch.ports, PATIENCE)
        self._ready = self._since = max(len(scratch.usages) - 1, 0)
        self._took: list[float] = []
        self._last: dict[str, None] = {}

    @property
    def suspects(self) -> str:
        """Name what was asked when it died."""
        return "; ".join(list(self._last)[:AT_ONCE])

    async def ask(self, request: Request) -> Answer:
        self._last[request.name] = None
        answer = await self._asker.ask(request)
        self.asked += 1
        if answer.error and not self.scratch.death:
            # The news of a death takes a moment.
            await asyncio.sleep(_NEWS)
        if not self.scratch.death or not answer.error:
            self._last.pop(request.name, None)
        if not answer.error:
            self._unanswered = 0
            if request.kind in {"probe", "sample", "normal"}:
                self._took.append(answer.took)
        elif request.kind != "malformed" and answer.error.startswith("no answer within"):
            self._unanswered += 1
        return answer

    @property
    def is_over(self) -> bool:
        """It has died, or hangs: nothing more is to be learned."""
        return bool(self.scratch.death) or self._unanswered >= AT_ONCE

    def is_slow(self, seconds: float) -> bool:
        """Half of what was asked took so long."""
        return len(self._took) >= _ENOUGH and statistics.median(self._took) > seconds

    def begin(self) -> None:
        """Count costs from now on: the first round fills caches and makes statistics."""
        self._since = max(len(self.scratch.usages) - 1, 0)
        self._before = self.asked
        self._took_before = len(self._took)

    def costs(self) -> Costs:
        is_warm = self.asked - self._before >= _FEW
        # One round took all the time: better the first round than nothing.
        since, before, took_before = (self._since, self._before, self._took_before) if is_warm else (self._ready, 0, 0)
        usages = self.scratch.usages[since:]
        took = self._took[took_before:]
        latency = statistics.median(took) if took else 0.0
        if len(usages) < 2:
            return Costs(memory=self.scratch.usage().memory, requests=self.asked - before, latency=latency)
        first, last = usages[0], usages[-1]
        growth = last.memory - first.memory if is_warm else 0.0
        return Costs(
            memory=last.memory,
            # The first round fills caches and makes statistics: growth that says nothing.
            growth=growth,
            slope=growth / max(last.at - first.at, 1.0),
            cpu=last.cpu - first.cpu,
            requests=self.asked - before,
            latency=latency,
        )

    def close(self) -> None:
        self._asker.close()


async def ask_all(trials: Sequence[Trial], requests: Sequence[Request]) -> list[tuple[Request, tuple[Answer, ...]]]:
    """Ask every trial every request, a few at a time; stops where one of them has died or hangs."""
    found: list[tuple[Request, tuple[Answer, ...]]] = []
    numbers = count()

    async def ask() -> None:
        while (number := next(numbers)) < len(requests) and not any(trial.is_over for trial in trials):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(trial.ask(requests[number]), name=f"trial-{number}") for trial in trials]
            found.append((requests[number], tuple(task.result() for task in tasks)))

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(ask(), name=f"trial-asker-{number}")
    return found
