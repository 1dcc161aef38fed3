"""Firewall: has this host's kernel drop whom a verdict says to drop, in a table of our own.

Talks to `nft`. It may not be there, and we may not be allowed to: then Envoy refuses what the kernel does not drop, and `problem`
says so. The table goes when the agent does, unless its Envoy stays; what a killed agent has left ends by itself, and its successor
writes the table anew.
"""

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from seawall.fleet.nftables import Dropped, Limits, dropped, passed, removal, script, table_name
from seawall.fleet.verdicts import Entry
from seawall.kit.units import Instant

log = structlog.get_logger(__name__)

_PATIENCE = 10.0
_NET_ADMIN = 12
_SBIN = "/usr/sbin:/sbin"
_INSTEAD = "What the kernel should drop is refused by Envoy instead."
_NO_PROXY = "There is no SYN proxy; all else is in force."
_Content = tuple[tuple[int, ...], tuple[Dropped, ...], tuple[Dropped, ...]]


class Firewall:
    """The table of one edge. It is not there before it is needed."""

    def __init__(self, edge: str, limits: Limits | None = None) -> None:
        self.problem = ""
        self.dropped = 0
        self._name = table_name(edge)
        self._limits = limits or Limits()
        self._is_there = False
        self._content: _Content | None = None

    async def sync(self, entries: Sequence[Entry], ports: Iterable[int], now: Instant) -> None:
        """Make the kernel drop what it is to drop now."""
        drops = dropped(entries, now)
        passes = passed(entries, now) if drops else ()
        content = (tuple(sorted(set(ports))), drops, passes)
        if content == self._content:
            return
        self._content = content
        if not drops and not self._limits.are_any:
            if self._is_there:
                await self.remove()
            return
        problem = missing() or await _run(script(self._name, content[0], drops, passes, self._limits, now))
        is_done = not problem
        if not is_done and self._limits.syn_proxy and not missing():
            # Not every kernel has one; that is no reason to drop nobody.
            less = msgspec.structs.replace(self._limits, syn_proxy=False)
            is_done = not await _run(script(self._name, content[0], drops, passes, less, now))
        self._is_there = self._is_there or is_done
        self.dropped = len(drops) if is_done else 0
        self._complain(f"{problem} {_NO_PROXY if is_done else _INSTEAD}" if problem else "")

    async def remove(self) -> None:
        """Leave nothing in the kernel; nor what an agent that was killed has left."""
        self._content, self.dropped = None, 0
        if not missing():
            await _run(removal(self._name))
        self._is_there = False
        self.problem = ""

    def _complain(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("kernel_does_not_drop", reason=problem)
        self.problem = problem


def missing() -> str:
    """Say what keeps us from having a table; empty if nothing does."""
    if _nft() is None:
        return "nft is not installed on this host."
    if not _may_administer():
        return "This process may not change the kernel's tables (CAP_NET_ADMIN)."
    return ""


def _nft() -> str | None:
    return shutil.which("nft") or shutil.which("nft", path=_SBIN)


def _may_administer() -> bool:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        effective = next(line for line in lines if line.startswith("CapEff:"))
        return bool(int(effective.split()[1], 16) >> _NET_ADMIN & 1)
    except (OSError, StopIteration, ValueError):
        return False


async def _run(commands: str) -> str:
    """Hand over commands, all or none of which are carried out; return what is wrong, if anything."""
    program = _nft()
    if program is None:
        return "nft is not installed on this host."
    try:
        process = await asyncio.create_subprocess_exec(
            *(program, "-f", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as exc:
        return f"nft cannot be run: {exc.strerror}."
    try:
        async with asyncio.timeout(_PATIENCE):
            _, said = await process.communicate(commands.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"nft did not answer in {_PATIENCE:g} s."
    if process.returncode == 0:
        return ""
    first = said.decode(errors="replace").strip().splitlines()[:1]
    return f"nft says: {first[0][:200] if first else process.returncode}."
