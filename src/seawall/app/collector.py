"""Collector: when Python's garbage collector runs in a process that keeps much and must not pause.

Tens of thousands of routes live as long as we do, and nearly all that we drop dies by reference count. The automatic
collector would look through all of it again and again, finding nothing (measured: half of the time that 20,000 routes take
to load, and pauses of 0.1 s and more in the middle of a change). So it is off, and this looks instead: every second at
what is new since the last look, which then counts as kept; and once an hour at everything, for cycles that died late.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

LOOK = 1.0
"""Seconds between two looks at what is new. Short, so that each has little to look at: 1,000 routes take it 0.1 s."""
LOOKS_UNTIL_ALL = 3600
"""So many looks until one at everything: an hour."""
MANY = 50_000
"""So much new at once is not looked at but kept: manifests were loaded, and a look would pause what comes next."""


@contextlib.asynccontextmanager
async def tended() -> AsyncIterator[None]:
    """Take over from the automatic collector while the block runs."""
    gc.disable()
    try:
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(_look(), name="collector")
            try:
                yield
            finally:
                looking.cancel()
    finally:
        gc.unfreeze()
        gc.enable()


async def _look() -> None:
    looks = 0
    while True:
        await asyncio.sleep(LOOK)
        looks += 1
        collect(everything=looks % LOOKS_UNTIL_ALL == 0)


def collect(*, everything: bool) -> int:
    """Collect what is new, or everything; what is left counts as kept. Return how many objects were in dead cycles."""
    if everything:
        gc.unfreeze()
    found = gc.collect() if everything or gc.get_count()[0] < MANY else 0
    gc.freeze()
    return found
