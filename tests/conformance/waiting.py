"""Waiting: ask again until it is right, or too late.

Talks to the clock. A check returns what is wrong, as sentences; none means that all is right.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

Problems = list[str]
Check = Callable[[], Awaitable[Problems]]


class StepFailed(Exception):
    """A step did not come true in time."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds. Upper bounds: who is right at once waits for nothing.

    Upstream allows far more (a Gateway 180, traffic 30): it waits for clouds.
    """

    status: float = 15.0
    traffic: float = 20.0
    request: float = 10.0
    start: float = 20.0
    poll: float = 0.03
    after_miss: float = 0.1


async def until(check: Check, limits: Limits, *, within: float | None = None) -> None:
    """Wait until nothing is wrong. Raises StepFailed with what was wrong last."""
    loop = asyncio.get_running_loop()
    within = limits.status if within is None else within
    end = loop.time() + within
    while problems := await check():
        if loop.time() >= end:
            raise StepFailed([f"not within {within:g} s: {problem}" for problem in problems])
        await asyncio.sleep(limits.poll)


async def in_a_row(attempt: Check, needed: int, limits: Limits, *, within: float | None = None) -> None:
    """Try until `needed` attempts in a row have no problems. Raises StepFailed with those of the last miss."""
    loop = asyncio.get_running_loop()
    within = limits.traffic if within is None else within
    end = loop.time() + within
    count, misses = 0, 0
    while count < needed:
        problems = await attempt()
        if not problems:
            count += 1
            continue
        count, misses = 0, misses + 1
        if loop.time() >= end:
            raise StepFailed([f"after {misses} misses in {within:g} s: {problem}" for problem in problems])
        await asyncio.sleep(limits.after_miss)
