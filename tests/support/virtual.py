"""Virtual time: an asyncio loop whose clock jumps to the next timer as soon as nobody has anything to do.

    found = virtual.run(story, luck=random.Random(7))

An hour passes in a second, and the same seed leads to the same order of events. Work for a thread is done in the loop itself;
its answer comes a moment of virtual time later, so that whoever waits for it can die in between.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from random import Random
from typing import Any, TypeVar

_T = TypeVar("_T")
_SLOWEST = 0.03
"""Seconds that a call to a thread takes at most."""


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: adds what it should have waited for to `passed`."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("nobody has anything to do, ever: the story waits for what will not come")
        self.passed += max(0.0, timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """A loop for stories without sockets."""

    def __init__(self, luck: Random) -> None:
        self._virtual = _Selector()
        self._luck = luck
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed

    def run_in_executor(  # type: ignore[override]  # the stubs' is a coroutine's type; this is the documented one
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> "asyncio.Future[_T]":
        del executor
        answer: asyncio.Future[_T] = self.create_future()

        def give(result: _T | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # one of the two is given

        result, error = None, None
        try:
            result = func(*args)
        except Exception as exc:  # whatever it is, it is for whoever waits
            error = exc
        self.call_later(self._luck.uniform(0.0, _SLOWEST), give, result, error)
        return answer


def run(story: Coroutine[Any, Any, _T], luck: Random) -> _T:
    """Let a story happen in virtual time."""
    loop = Loop(luck)
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()
