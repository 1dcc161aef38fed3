"""The taster: a sacrificial Envoy lives with a candidate for a while before the Envoy that serves gets it.

Talks to a scratch Envoy. It never raises and is bounded in time: an Envoy that hangs, or a taster that cannot work, is a
candidate that is not good.

    starts ─▶ takes all ─▶ listeners bound ─▶ each route and the corpus answered ─▶ … again until time is up ─▶ good
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
import structlog

from seawall.agent.binary import Binary
from seawall.agent.scratch import Scratch, scratch
from seawall.agent.settings import AgentSettings
from seawall.agent.trial import Trial, ask_all
from seawall.envoy.probes import Probes, probes
from seawall.fleet.bundle import Limits
from seawall.kit.units import Seconds
from seawall.rollout.answers import Answer
from seawall.rollout.corpus import Request, Sample, corpus, samples
from seawall.xds.resource import LISTENER, Ref, ResourceName
from seawall.xds.snapshot import Snapshot

log = structlog.get_logger(__name__)

START = Seconds(20.0)
_OVERTIME = Seconds(20.0)
_MOST_TARGETS = 8
_PAUSE = 0.05
_STEP = 32
_FEWEST = 256
_SLOW = 0.25
_SLUGGISH = f"half of the requests took longer than {_SLOW:g} s, from a backend that answers at once."
_DEAR = 0.020
"""A request to a backend that answers at once takes 1 ms, and 0.3 ms of CPU; a candidate with so much is broken."""


class TasteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the taster found; `reason` is a sentence where the candidate is not good."""

    is_good: bool
    reason: str = ""
    figures: dict[str, float] = {}


class Taster:
    """Makes one scratch Envoy for each candidate, in folders below `folder`."""

    def __init__(self, settings: AgentSettings, folder: Path, binary: Binary) -> None:
        self._settings = settings
        self._folder = folder
        self._binary = binary

    async def taste(
        self,
        snapshot: Snapshot,
        limits: Limits,
        seconds: Seconds,
        *,
        base: Snapshot | None = None,
        sampled: Sequence[Sample] = (),
    ) -> TasteReport:
        """Live with a snapshot for so long. What stands word for word in `base`, which serves, is no fault of the candidate."""
        if not limits.max_heap:
            limits = msgspec.structs.replace(limits, max_heap=self._settings.max_heap)
        started = time.monotonic()
        try:
            async with asyncio.timeout(START + seconds + _OVERTIME):
                self._folder.mkdir(parents=True, exist_ok=True)
                found = await asyncio.to_thread(probes, snapshot)
                requests = _requests(found, sampled)
                async with scratch(self._binary, self._folder, snapshot, limits) as one:
                    report = await self._taste(one, requests, seconds, _unchanged(snapshot, base))
                    report = _with(report, found)
        except TimeoutError:
            report = TasteReport(is_good=False, reason="the taster did not come to an end in time: Envoy hangs.")
        except Exception as exc:  # whatever it is, the agent lives on, and the candidate is not proven good
            report = TasteReport(is_good=False, reason=f"the taster could not work: {exc!r}.")
        took = round(time.monotonic() - started, 2)
        log.info("bundle_tasted", is_good=report.is_good, reason=report.reason, took=took)
        return msgspec.structs.replace(report, figures={**report.figures, "seconds": took})

    async def _taste(
        self, one: Scratch, requests: Sequence[Request], seconds: Seconds, unchanged: Collection[Ref]
    ) -> TasteReport:
        begun = time.monotonic()
        if fault := await one.ready(START, unchanged):
            return TasteReport(is_good=False, reason=fault)
        figures = {"ready_seconds": round(time.monotonic() - begun, 2)}
        trial = Trial(one)
        until = time.monotonic() + seconds
        try:
            fault = await _first(trial, requests)
            trial.begin()
            while not fault and time.monotonic() < until:
                fault = await _live(trial, requests, until)
            fault = fault or await _filters(one, unchanged) or _costs(trial)
        finally:
            trial.close()
        if not fault and not await one.is_answering():
            fault = f"Envoy does not answer any more. {one.death}".strip()
        return TasteReport(
            is_good=not fault,
            reason=fault,
            figures={**figures, "requests": float(trial.asked), **trial.costs().figures()},
        )


def _requests(found: Probes, sampled: Sequence[Sample]) -> tuple[Request, ...]:
    # Few routes are asked often: what fails once in a hundred times shall fail here.
    often = -(-_FEWEST // len(found.requests)) if found.requests else 0
    return (*found.requests * often, *samples(found.targets, sampled), *corpus(found.targets[:_MOST_TARGETS]))


def _with(report: TasteReport, found: Probes) -> TasteReport:
    counts = {"routes": found.routes, "unguessed": found.unguessed, "unprobed_mtls": found.closed}
    return msgspec.structs.replace(report, figures={**report.figures, **{name: float(n) for name, n in counts.items()}})


def _unchanged(snapshot: Snapshot, base: Snapshot | None) -> frozenset[Ref]:
    """Name what the base says too, word for word."""
    if base is None:
        return frozenset()
    changed = {one.ref for one in snapshot.difference(base).put}
    return frozenset(one.ref for one in snapshot.all() if one.ref not in changed)


async def _first(trial: Trial, requests: Sequence[Request]) -> str:
    """Ask everything once, in steps: what is broken shows early."""
    for start in range(0, len(requests), _STEP):
        if fault := await _round(trial, requests[start : start + _STEP]):
            return fault
    return ""


async def _live(trial: Trial, requests: Sequence[Request], until: float) -> str:
    """Ask a part of the requests, then rest: a taster must not take what the main Envoy needs."""
    if not requests:
        await asyncio.sleep(max(min(_PAUSE, until - time.monotonic()), 0))
        return f"Envoy died: {trial.scratch.death}" if trial.scratch.death else ""
    for start in range(0, len(requests), _STEP):
        if time.monotonic() > until:
            return ""
        if fault := await _round(trial, requests[start : start + _STEP]):
            return fault
        await asyncio.sleep(_PAUSE)
    return ""


async def _round(trial: Trial, requests: Sequence[Request]) -> str:
    answers = await ask_all((trial,), requests)
    if any(answer.error for _, (answer,) in answers):
        await trial.scratch.settle()
    if trial.scratch.death:
        return f"Envoy died: {trial.scratch.death}. It was asked: {trial.suspects}."
    bad = [(request, answer) for request, (answer,) in answers if not _is_well(request, answer)]
    if not bad:
        return _SLUGGISH if trial.is_slow(_SLOW) else ""
    request, answer = bad[0]
    expected = f", where the configuration says {request.expects}" if request.expects != "any" else ""
    more = f" ({len(bad)} of {len(answers)} requests)" if len(bad) > 1 else ""
    return f"{request.name}: {answer.error or answer.status}{expected}{more}."


def _is_well(request: Request, answer: Answer) -> bool:
    if request.kind in {"malformed", "hostile"}:
        # What is odd may be turned away or cut off, but not left hanging, unless it is only half a request.
        return request.kind == "malformed" or not answer.error.startswith("no answer within")
    if answer.error:
        return False
    return request.expects == "any" or answer.status < 500 or (request.expects == "direct" and answer.status >= 500)


async def _filters(one: Scratch, unchanged: Collection[Ref]) -> str:
    if all(Ref(LISTENER, ResourceName(name)) in unchanged for name in one.ports):
        # Filters stand in listeners. Whatever fails there fails in the Envoy that serves, too.
        return ""
    errors = await one.filter_errors()
    if not errors:
        return ""
    name, value = max(errors.items(), key=lambda item: item[1])
    return f"a filter fails while its answers look well: {name} is {value:g}."


def _costs(trial: Trial) -> str:
    costs = trial.costs()
    if costs.is_leaking:
        return f"memory grew by {costs.growth:.0f} MiB, {costs.slope:.1f} MiB/s, over {costs.requests} requests."
    if costs.requests >= 100 and costs.cpu_per_request > _DEAR:
        return f"a request takes {costs.cpu_per_request * 1000:.0f} ms of CPU."
    return ""
