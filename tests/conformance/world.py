"""World: what a run needs, opened and closed: certificates, echo servers, the gateway under test.

Talks to all of them. Two runs on one host (and in one network namespace) take turns: the addresses of the plan are fixed.
"""

import contextlib
import fcntl
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.conformance.case_run import World
from tests.conformance.certificates import Vault
from tests.conformance.data import suite
from tests.conformance.gateway_under_test import seawall_up
from tests.conformance.waiting import Limits
from tests.support.echo import echo_servers

_OTHER_RUN_WITHIN = 600.0


@contextlib.asynccontextmanager
async def open_world(limits: Limits | None = None) -> AsyncIterator[World]:
    """Start everything; stop it at the end."""
    limits = limits or Limits()
    data = suite()
    vault = Vault(data.generated)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_our_turn())
        echo = await stack.enter_async_context(echo_servers(data.pods, vault.read))
        gateway = await stack.enter_async_context(seawall_up(limits.start))
        yield World(suite=data, vault=vault, echo=echo, gateway=gateway, limits=limits)


@contextlib.contextmanager
def _our_turn() -> Iterator[None]:
    """Wait until no other run uses the addresses. Raises TimeoutError if one does for too long."""
    network = Path("/proc/self/ns/net").stat().st_ino
    path = Path(tempfile.gettempdir()) / f"seawall-conformance-{network}.lock"
    # Left in place: removing it would let two runs hold locks on two files of the same name.
    with path.open("a") as lock:
        end = time.monotonic() + _OTHER_RUN_WITHIN
        while not _is_taken(lock.fileno()):
            if time.monotonic() > end:
                raise TimeoutError(f"another run of the conformance suite has held {path} for {_OTHER_RUN_WITHIN:g} s")
            time.sleep(0.2)
        yield


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
