"""Rehearsal: hands a candidate to the sandbox, and says what came of it in a sentence.

Next rooms: `app.sandbox` compares two, `agent.taster` lives with one where there is nothing to compare with.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from seawall.agent.binary import Binary, find_binary
from seawall.agent.settings import AgentSettings
from seawall.agent.taster import Taster
from seawall.app.proposals import touched
from seawall.app.sandbox import Sandbox
from seawall.app.shelf import Item
from seawall.kit.errors import ConfigError
from seawall.kit.units import Seconds
from seawall.rollout.change import ChangeReport
from seawall.rollout.corpus import Sample
from seawall.traffic.entry import Head

log = structlog.get_logger(__name__)


class Rehearsal:
    """One sandbox at a time: two Envoys are enough beside a control plane."""

    def __init__(self, folder: Path, envoy: str = "", seen: Callable[[], Iterable[Head]] = tuple) -> None:
        """`seen` tells requests that clients made lately: they are made once more, of both."""
        self._folder = folder
        self._seen = seen
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
                base.snapshot,
                candidate.snapshot,
                limits=limits,
                seconds=length,
                touched=touched(report),
                sampled=_samples(self._seen()),
            )
            log.info("sandbox_finished", is_passed=found.is_passed, reason=found.reason, **found.figures)
            return found.is_passed, found.reason


def _samples(seen: Iterable[Head]) -> tuple[Sample, ...]:
    """Take the port off: the sandbox has others. A request twice tells no more than once."""
    found = dict.fromkeys((one.method, one.host.rpartition(":")[0] or one.host, one.target) for one in seen)
    return tuple(
        Sample(method="HEAD" if method == "HEAD" else "GET", host=host, path=path) for method, host, path in found
    )
