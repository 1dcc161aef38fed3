"""Crowd: steps that send many requests and count who answered, `distribution` and `mirror`.

Talks to the gateway through `traffic`, and asks the echo servers what they have seen.
"""

import asyncio
import contextlib
import json
import math
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.conformance.answers import echoed
from tests.conformance.certificates import Vault
from tests.conformance.clients import datagrams, lines
from tests.conformance.data import Json
from tests.conformance.traffic import TROUBLE, Call, attempt, call_of, grpc_answer, http_answer
from tests.conformance.waiting import Limits, Problems, StepFailed, in_a_row, until
from tests.support.echo import EchoServers

_QUIET = 0.3
"""Seconds without another copy until a count of mirrored requests is taken as final."""


class Crowd:
    """Sends the requests of one step to one address."""

    def __init__(self, step: Json, address: str, vault: Vault, limits: Limits) -> None:
        self._step = step
        self._address = address
        self._vault = vault
        self._limits = limits

    async def distribution(self) -> None:
        """Send many, until one try has the wanted shares. Raises StepFailed if none has."""
        problems: Problems = []
        for _ in range(self._step["attempts"]):
            try:
                counts = await self._count()
            except TROUBLE as exc:
                problems = [f"a request failed: {exc!r}"]
                await asyncio.sleep(self._limits.after_miss)
                continue
            problems = shares_problems(counts, self._step["weights"], self._step["tolerance"])
            if not problems:
                return
            if self._step.get("fail_fast") and _forbidden(counts, self._step["weights"]):
                break
        raise StepFailed([f"after {self._step['attempts']} tries: {problem}" for problem in problems])

    async def mirror(self, echo: EchoServers) -> None:
        """Send requests and wait for their copies. Raises StepFailed if they do not come."""
        if any("percent" in mirrored for mirrored in self._step["mirrored_to"]):
            await self._mirror_shares(echo)
            return

        async def unseen() -> Problems:
            # Anew each time: the first requests may have met what was configured before, which answers alike and copies nothing.
            fresh = str(uuid.uuid4())
            path = self._call(fresh).request["path"]
            await in_a_row(lambda: attempt(self._call(fresh)), self._step.get("successes", 3), self._limits)
            with contextlib.suppress(StepFailed):
                await until(lambda: self._not_copied(echo, path), self._limits, within=1.0)
            return await self._not_copied(echo, path)

        await until(unseen, self._limits, within=self._step["log_within_seconds"])

    async def _not_copied(self, echo: EchoServers, path: str) -> Problems:
        return [
            f"{mirrored['name']} has seen no copy of {path}"
            for mirrored in self._step["mirrored_to"]
            if not echo.seen(mirrored["namespace"], mirrored["name"])[path]
        ]

    async def _mirror_shares(self, echo: EchoServers) -> None:
        problems: Problems = []
        for _ in range(self._step["attempts"]):
            fresh = str(uuid.uuid4())
            path = self._call(fresh).request["path"]

            async def one(fresh: str = fresh) -> None:
                await in_a_row(lambda: attempt(self._call(fresh)), self._step.get("successes", 1), self._limits)

            await self._send_all(one)
            problems = []
            for mirrored in self._step["mirrored_to"]:
                copies = await _settled(lambda m=mirrored, p=path: echo.seen(m["namespace"], m["name"])[p])  # type: ignore[misc]  # mypy cannot infer a lambda's defaults
                problems += copies_problems(copies, self._step, mirrored)
            if not problems:
                return
        raise StepFailed([f"after {self._step['attempts']} tries: {problem}" for problem in problems])

    async def _count(self) -> Counter[str]:
        """Send all requests once; count by backend, a pod's name without its last two parts."""
        counts: Counter[str] = Counter()

        async def one() -> None:
            async with asyncio.timeout(self._limits.request):
                counts[(await _who_answers(self._call(None, jitter=True))).rsplit("-", 2)[0]] += 1

        await self._send_all(one)
        return counts

    async def _send_all(self, one: Callable[[], Awaitable[None]]) -> None:
        """Do it for each request, some at a time; the first error ends it."""
        waiting = iter(range(self._step["requests"]))

        async def worker() -> None:
            for _ in waiting:
                await one()

        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(self._step["concurrency"]):
                    tasks.create_task(worker(), name=f"client {number}")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _call(self, fresh: str | None, *, jitter: bool = False) -> Call:
        call = call_of(self._step, self._address, self._vault, fresh=fresh)
        if jitter and self._step.get("entropy") and random.random() < 0.5:
            where = "metadata" if self._step["protocol"] == "grpc" else "headers"
            call.request.setdefault(where, {})["x-jitter"] = str(random.random())
        return call


async def _who_answers(call: Call) -> str:
    """Return the name of the pod that answers. Raises ConnectionError if none does."""
    pod: str | None = None
    match call.step["protocol"]:
        case "grpc":
            reply = (await grpc_answer(call)).reply
            pod = reply.pod if reply else None
        case "tcp":
            pod = json.loads((await lines.exchange(call.target, call.request["exchange"]))["TEST"])["pod"]
        case "udp":
            pod = json.loads(await datagrams.exchange(call.target, call.request["payload"].encode()))["pod"]
        case _:
            echo = echoed(await http_answer(call))
            pod = echo["pod"] if echo else None
    if pod is None:
        raise ConnectionError("the answer is not a backend's")
    return pod


def shares_problems(counts: Counter[str], weights: dict[str, float], tolerance: float) -> Problems:
    """Compare how often each backend answered with its weight."""
    total = sum(counts.values())
    wrong = [f"{name} answered and has no weight" for name in counts if name not in weights]
    for name, weight in weights.items():
        share = counts[name] / total
        # 0 means never, however wide the tolerance.
        if abs(share - weight) > tolerance or (weight == 0 and counts[name]):
            wrong.append(f"{name} answered {share:.1%} of {total}, expected {weight:.1%} ± {tolerance:.1%}")
    return wrong


def copies_problems(copies: int, step: Json, mirrored: Json) -> Problems:
    """Compare a count of mirrored requests with the binomial law: n·p ± k·√(n·p·(1−p))."""
    sent, share = step["requests"], mirrored["percent"] / 100
    allowed = step["tolerance_stddevs"] * math.sqrt(sent * share * (1 - share))
    if abs(copies - sent * share) <= allowed:
        return []
    return [f"{mirrored['name']} has seen {copies} copies of {sent}, expected {sent * share:.0f} ± {allowed:.0f}"]


def _forbidden(counts: Counter[str], weights: dict[str, float]) -> bool:
    return any(not weights.get(name) for name in counts)


async def _settled(count: Callable[[], int]) -> int:
    """Wait until a count stands still: mirrored requests arrive after the answer."""
    last = -1
    while (now := count()) != last:
        last = now
        await asyncio.sleep(_QUIET)
    return now
