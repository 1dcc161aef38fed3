"""The sandbox: base and candidate side by side, each in an Envoy of its own, both asked the same.

Talks to scratch Envoys. Of two N−1 binaries each is tried alone as well: a fleet is never of one version.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from seawall.agent.binary import Binary
from seawall.agent.scratch import Scratch, scratch
from seawall.agent.settings import AgentSettings
from seawall.agent.taster import START, Taster
from seawall.agent.trial import Costs, Trial, ask_all
from seawall.envoy.probes import probes
from seawall.fleet.bundle import Limits
from seawall.kit.units import Seconds
from seawall.rollout.answers import compare
from seawall.rollout.corpus import Request, Sample, corpus, samples
from seawall.xds.snapshot import Snapshot

_OVERTIME = Seconds(60.0)
_MOST_TARGETS = 8
_MOST_FINDINGS = 50
_STEP = 32
_PAUSE = 0.02
_SLOWER = 1.5
_SLOWER_BY = 0.001
"""A candidate may take so many times what its base takes, or so many seconds more, for latency and CPU of a request."""
_ENOUGH = 100
_CONFIRMATIONS = 3
_SHORTEST_LOOK = Seconds(1.0)
"""So often, and for so long each time, a cost is measured anew before it counts."""


class SandboxReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox found. `findings` are sentences: first the failures, then what the change explains."""

    is_passed: bool
    reason: str = ""
    figures: dict[str, float] = {}
    findings: tuple[str, ...] = ()


class Sandbox:
    """Compares two snapshots in real Envoys. `others`: binaries that some edges still run."""

    def __init__(self, folder: Path, binary: Binary, others: Sequence[Binary] = ()) -> None:
        self._folder = folder
        self._binary = binary
        self._others = others

    async def compare(
        self,
        base: Snapshot,
        candidate: Snapshot,
        *,
        limits: Limits,
        seconds: Seconds,
        touched: Collection[str] = (),
        sampled: Sequence[Sample] = (),
    ) -> SandboxReport:
        """Ask both for at least so long. Never raises; `touched` are the hosts that the change names."""
        try:
            async with asyncio.timeout(2 * START + (1 + _CONFIRMATIONS) * seconds + _OVERTIME):
                report = await self._compare(base, candidate, limits, seconds, touched, sampled)
        except TimeoutError:
            return SandboxReport(is_passed=False, reason="the sandbox did not come to an end in time: an Envoy hangs.")
        except Exception as exc:  # whatever it is, the candidate is not proven good
            return SandboxReport(is_passed=False, reason=f"the sandbox could not work: {exc!r}.")
        for other in self._others if report.is_passed else ():
            settings = AgentSettings(edge="sandbox", state_dir="", run_dir="")
            taste = await Taster(settings, self._folder, other).taste(candidate, limits, Seconds(min(seconds, 5.0)))
            if not taste.is_good:
                reason = f"Envoy {other.version}, which edges still run: {taste.reason}"
                return msgspec.structs.replace(report, is_passed=False, reason=reason)
        return report

    async def _compare(
        self,
        base: Snapshot,
        candidate: Snapshot,
        limits: Limits,
        seconds: Seconds,
        touched: Collection[str],
        sampled: Sequence[Sample],
    ) -> SandboxReport:
        self._folder.mkdir(parents=True, exist_ok=True)
        requests = await asyncio.to_thread(_requests, base, candidate, sampled)
        async with AsyncExitStack() as stack:
            old = await stack.enter_async_context(scratch(self._binary, self._folder, base, limits, "base"))
            new = await stack.enter_async_context(scratch(self._binary, self._folder, candidate, limits, "candidate"))
            if fault := await old.ready(START):
                return SandboxReport(is_passed=False, reason=f"the base does not run, nothing can be compared: {fault}")
            if fault := await new.ready(START):
                return SandboxReport(is_passed=False, reason=fault, findings=(fault,))
            run = Run(Trial(old), Trial(new), touched)
            stack.callback(run.close)
            await run.live(requests, seconds)
            await run.confirm(requests, seconds)
            return await run.report()


class Run:
    """Two trials under the same requests."""

    def __init__(self, old: Trial, new: Trial, touched: Collection[str]) -> None:
        self._old = old
        self._new = new
        self._touched = touched
        self._failures: dict[str, None] = {}
        self._notes: dict[str, None] = {}

    def close(self) -> None:
        self._old.close()
        self._new.close()

    async def live(self, requests: Sequence[Request], seconds: Seconds) -> None:
        until = time.monotonic() + seconds
        await self._round(requests)
        self._old.begin()
        self._new.begin()
        while time.monotonic() < until and not self._dead():
            for start in range(0, len(requests), _STEP):
                if time.monotonic() > until or self._dead():
                    break
                await self._round(requests[start : start + _STEP])
                await asyncio.sleep(_PAUSE)
            # With nothing to ask there is still a time to live.
            await asyncio.sleep(_PAUSE)

    async def confirm(self, requests: Sequence[Request], seconds: Seconds) -> None:
        """Measure what costs more once more, and again: a host that is busy elsewhere is slow now and then, a dear candidate
        always."""
        for _ in range(_CONFIRMATIONS):
            if self._dead() or not costs(self._old.costs(), self._new.costs()):
                return
            await self.live(requests, max(seconds, _SHORTEST_LOOK))

    def _dead(self) -> bool:
        return bool(self._old.scratch.death or self._new.scratch.death)

    async def _round(self, requests: Sequence[Request]) -> None:
        for request, (before, after) in await ask_all((self._old, self._new), requests):
            for difference in compare(request, before, after, self._touched):
                found = self._failures if difference.kind == "failure" else self._notes
                if len(found) < _MOST_FINDINGS:
                    found[difference.sentence] = None

    async def report(self) -> SandboxReport:
        await self._new.scratch.settle() if self._failures else None
        before, after = self._old.costs(), self._new.costs()
        faults = [
            *([f"Envoy died: {self._death(self._new)}"] if self._new.scratch.death else []),
            *([f"the base died, nothing can be compared: {self._death(self._old)}"] if self._old.scratch.death else []),
            *await _filters(self._old.scratch, self._new.scratch),
            *costs(before, after),
            *self._failures,
        ]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        figures = {f"candidate_{name}": value for name, value in after.figures().items()}
        figures |= {f"base_{name}": value for name, value in before.figures().items()}
        return SandboxReport(
            is_passed=not faults,
            reason=faults[0] + more if faults else "",
            figures=figures,
            findings=(*faults, *self._notes),
        )

    def _death(self, trial: Trial) -> str:
        return f"{trial.scratch.death}. It was asked: {trial.suspects}."


def _requests(base: Snapshot, candidate: Snapshot, sampled: Sequence[Sample]) -> tuple[Request, ...]:
    """Ask for what either of the two serves, where both have the listener."""
    old, new = probes(base), probes(candidate)
    both = {target.listener for target in old.targets} & {target.listener for target in new.targets}
    asked = {(one.target, one.wire): one for one in (*old.requests, *new.requests) if one.target.listener in both}
    targets = tuple(dict.fromkeys(one for one in (*old.targets, *new.targets) if one.listener in both))
    known = dict.fromkeys((*targets, *(one.target for one in asked.values())))
    return (*asked.values(), *samples(known, sampled), *corpus(targets[:_MOST_TARGETS]))


async def _filters(old: Scratch, new: Scratch) -> list[str]:
    before, after = await old.filter_errors(), await new.filter_errors()
    return [
        f"a filter fails while its answers look well: {name} is {value:g}, {before.get(name, 0):g} in the base."
        for name, value in after.items()
        if value > before.get(name, 0) * 1.1 + 1 or (value and name not in before)
    ]


def costs(before: Costs, after: Costs) -> list[str]:
    """Say what the candidate takes beyond its base."""
    found = []
    if after.is_leaking and after.slope > 2 * before.slope:
        found.append(f"memory grows by {after.slope:.1f} MiB/s, {max(before.slope, 0):.1f} in the base.")
    for what, old, new in (
        ("half of the requests take at least", before.latency, after.latency),
        ("the CPU of a request is", before.cpu_per_request, after.cpu_per_request),
    ):
        if after.requests >= _ENOUGH and new > old * _SLOWER and new > old + _SLOWER_BY:
            found.append(f"{what} {new * 1000:.1f} ms, {old * 1000:.1f} ms in the base.")
    return found
