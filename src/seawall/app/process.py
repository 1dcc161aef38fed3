"""Process: what every long-running command of ours is: an event loop, two signals, a log.

SIGINT or SIGTERM stops gently; the second one stops at once.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from seawall.app.collector import tended
from seawall.kit.errors import ConfigError, SeawallError, UnavailableError

Main = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
_FORCED = 130


def run(main: Main, *, on_second_signal: Callable[[], None] = lambda: None) -> None:
    """Run `main` in a new event loop until it returns; it is given the event that says that it should.

    Raises what `main` raises; of several errors at once, the one that somebody can act on.
    """

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if stop.is_set():
                on_second_signal()
                os._exit(_FORCED)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)
        async with tended():
            await main(stop)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(with_signals())
    except BaseExceptionGroup as group:
        raise _actionable(group) from group


def set_up_log(*, level: str) -> None:
    """Log to stderr: for people on a terminal, as JSON lines otherwise."""
    is_json = not sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer()
    )
    tracebacks = [structlog.processors.format_exc_info] if is_json else []
    structlog.configure(
        processors=[*shared, *tracebacks, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop


def _actionable(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick the error to show: the operator's first, then what may pass, then the first one."""
    leaves = list(_leaves(group))
    for family in (ConfigError, UnavailableError, SeawallError):
        for leaf in leaves:
            if isinstance(leaf, family):
                return leaf
    return leaves[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for inner in group.exceptions
        for leaf in (_leaves(inner) if isinstance(inner, BaseExceptionGroup) else [inner])
    ]
