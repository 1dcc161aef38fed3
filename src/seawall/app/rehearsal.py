"""Rehearsal: hands a candidate to the sandbox, and says what came of it in a sentence.

Next rooms: `app.sandbox` compares two, `agent.taster` lives with one where there is nothing to compare with.
"""

import asyncio
from pathlib import Path

import structlog

from seawall.agent.binary import Binary, find_binary
from seawall.agent.settings import AgentSettings
from seawall.agent.taster import Taster
from seawall.app.sandbox import Sandbox
from seawall.app.shelf import Item
from seawall.kit.errors import ConfigError
from seawall.kit.units import Seconds
from seawall.rollout.change import ChangeReport

log = structlog.get_logger(__name__)

_HOSTS = {"host", "route"}
_SILENT = {"endpoints", "secret"}
"""What changes nothing that a client of a stand-in backend could see."""


class Rehearsal:
    """One sandbox at a time: two Envoys are enough beside a control plane."""

    def __init__(self, folder: Path, envoy: str = "") -> None:
        self._folder = folder
        self._envoy = envoy
        self._binary: Binary | None = None
        self._turn = asyncio.Lock()

    async def __call__(
        self, base: Item | None, candidate: Item, report: ChangeReport, length: Seconds
    ) -> tuple[bool, str]:
        async with self._turn:
            try:
                self._binary = self._binary or await find_binary(self._envoy)
            except ConfigError as exc:
                return False, f"there is no Envoy on the control plane's host to try it in: {exc}"
            limits = candidate.bundle.limits
            if base is None:
                settings = AgentSettings(edge="sandbox", state_dir="", run_dir="")
                taster = Taster(settings, self._folder, self._binary)
                taste = await taster.taste(candidate.snapshot, limits, length)
                return taste.is_good, taste.reason
            sandbox = Sandbox(self._folder, self._binary)
            found = await sandbox.compare(
                base.snapshot, candidate.snapshot, limits=limits, seconds=length, touched=touched(report)
            )
            log.info("sandbox_finished", is_passed=found.is_passed, reason=found.reason, **found.figures)
            return found.is_passed, found.reason


def touched(report: ChangeReport) -> frozenset[str]:
    """Name the hosts whose answers may change; `*` is all of them."""
    if report.is_cut or any(one.subject not in _HOSTS | _SILENT for one in report.differences):
        return frozenset("*")
    return frozenset(one.name.rsplit(":", 1)[0] for one in report.differences if one.subject in _HOSTS)
