"""Case run: one case from nothing: its objects, its steps in order, and everything removed at the end.

Talks to the gateway under test and the echo servers.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from tests.conformance import statuses, waiting
from tests.conformance.certificates import Vault
from tests.conformance.claimed import holds
from tests.conformance.crowd import Crowd
from tests.conformance.data import Case, Json, Suite
from tests.conformance.gateway_under_test import CONTROLLER, Gateway, put_all
from tests.conformance.manifests import Key, key_of_step, merged, objects_of
from tests.conformance.traffic import attempt, call_of
from tests.conformance.waiting import Limits, Problems, StepFailed
from tests.support.echo import EchoServers

_SKIPS_READINESS = "gateway-api/skip-this-for-readiness"
_SECOND_LOOK = 1.0


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step. `left_out` says why it does not apply."""

    step: Json
    seconds: float
    problems: tuple[str, ...] = ()
    left_out: str = ""


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    case: Case
    steps: tuple[StepResult, ...]
    seconds: float

    @property
    def failed(self) -> StepResult | None:
        """The step that did not come true, if one did not: no other follows it."""
        return next((result for result in self.steps if result.problems), None)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What all cases share."""

    suite: Suite
    vault: Vault
    echo: EchoServers
    gateway: Gateway
    limits: Limits = Limits()


Report = Callable[[StepResult], None]


async def run_case(case: Case, world: World, report: Report = lambda result: None) -> CaseResult:
    """Run a case and clean up after it, whatever happens."""
    began = time.monotonic()
    run = CaseRun(case, world)
    run.load()
    results: list[StepResult] = []
    try:
        for step in case.steps:
            results.append(await run.do(step))
            report(results[-1])
            if results[-1].problems:
                break
    finally:
        await run.clean_up()
    return CaseResult(case=case, steps=tuple(results), seconds=time.monotonic() - began)


class CaseRun:
    """The objects of a case as they are now, and how each type of step is done."""

    def __init__(self, case: Case, world: World) -> None:
        self._case = case
        self._world = world
        self._limits = world.limits
        self._objects: dict[Key, Json] = {}
        self._generations: dict[Key, int] = {}

    def load(self) -> None:
        """Apply all objects of the case."""
        self._objects = objects_of(self._case, self._world.suite, self._world.vault, CONTROLLER)
        put_all(self._world.gateway, self._objects.values())

    async def do(self, step: Json) -> StepResult:
        """Do one step and say what became of it."""
        began = time.monotonic()
        if reason := _left_out(step):
            return StepResult(step=step, seconds=0.0, left_out=reason)
        try:
            await self._doer(step["type"])(step)
        except StepFailed as failure:
            return StepResult(step=step, seconds=time.monotonic() - began, problems=tuple(failure.problems))
        return StepResult(step=step, seconds=time.monotonic() - began)

    async def clean_up(self) -> None:
        """Remove everything and wait until the gateway knows none of it. Raises StepFailed if that takes too long."""
        for key in self._objects:
            self._world.gateway.remove(key)
        ours = set(self._objects)

        async def left() -> Problems:
            return [f"{'/'.join(key)} is still there after the case" for key in await self._world.gateway.keys() & ours]

        await waiting.until(left, self._limits)

    def _doer(self, kind: str) -> Callable[[Json], Awaitable[None]]:
        return {
            "namespaces_ready": self._namespaces_ready,
            "edit": self._edit,
            "sleep": self._sleep,
            "generation": self._generation,
            "request": self._request,
            "mirror": self._mirror,
            "distribution": self._distribution,
        }.get(kind, self._look)

    async def _look(self, step: Json) -> None:
        """Wait until one object's status is what the step wants."""
        key = key_of_step(step.get("object") or step["gateway"])
        looked: list[Json | None] = []

        async def wrong() -> Problems:
            looked[:] = [await self._world.gateway.object(key)]
            if half := _half_written(step, looked[0]):
                raise StepFailed(half)
            return [f"{'/'.join(key)}: {problem}" for problem in statuses.problems(step, looked[0], CONTROLLER)]

        await waiting.until(wrong, self._limits)
        if step.get("no_accepted_parents") and not ((looked[0] or {}).get("status") or {}).get("parents"):
            # None yet, or none at all? Only a second look can tell.
            await asyncio.sleep(_SECOND_LOOK)
            await waiting.until(wrong, self._limits)

    async def _namespaces_ready(self, step: Json) -> None:
        gateways = [
            key
            for key, obj in self._objects.items()
            if key[0] == "Gateway"
            and key[1] in step["namespaces"]
            and obj["metadata"].get("annotations", {}).get(_SKIPS_READINESS) != "true"
        ]

        async def wrong() -> Problems:
            return [
                f"{'/'.join(key)}: {problem}"
                for key in gateways
                for problem in statuses.ready(await self._world.gateway.object(key))
            ]

        await waiting.until(wrong, self._limits)

    async def _edit(self, step: Json) -> None:
        key = key_of_step(step["object"])
        before = await self._world.gateway.object(key)
        if before is not None:
            self._generations[key] = before["metadata"]["generation"]
        if step["op"] == "delete":
            self._world.gateway.remove(key)
            del self._objects[key]
            return
        changed: Json = (
            merged({}, step["manifest"], self._world.vault)
            if step["op"] == "create"
            else merged(self._objects[key], step["patch"], self._world.vault)
        )
        self._objects[key] = changed
        self._world.gateway.put(changed)

    async def _sleep(self, step: Json) -> None:
        await asyncio.sleep(step["seconds"])

    async def _generation(self, step: Json) -> None:
        key = key_of_step(step["object"])
        before = self._generations[key]

        async def wrong() -> Problems:
            obj = await self._world.gateway.object(key)
            now = obj["metadata"]["generation"] if obj else None
            is_right = now is not None and (now != before) == step["changed"]
            return [] if is_right else [f"{'/'.join(key)}: generation {now}, it was {before} before the edit"]

        await waiting.until(wrong, self._limits)

    async def _request(self, step: Json) -> None:
        address = await self._address(step)

        async def one() -> Problems:
            # As many answers as the step wants count as one attempt: all of them must be right.
            for _ in range(step.get("repeat", 1)):
                try:
                    async with asyncio.timeout(self._limits.request):
                        problems = await attempt(call_of(step, address, self._world.vault))
                except TimeoutError:
                    problems = [f"no answer within {self._limits.request:g} s"]
                if problems:
                    return problems
            return []

        needed = step.get("successes", _default_successes(step))
        if step["expect"]["outcome"] == "error":
            if problems := await one():
                raise StepFailed(problems)
            return
        await waiting.in_a_row(one, needed, self._limits)

    async def _mirror(self, step: Json) -> None:
        await self._crowd(step, await self._address(step)).mirror(self._world.echo)

    async def _distribution(self, step: Json) -> None:
        await self._crowd(step, await self._address(step)).distribution()

    def _crowd(self, step: Json, address: str) -> Crowd:
        return Crowd(step, address, self._world.vault, self._limits)

    async def _address(self, step: Json) -> str:
        """Wait for the Gateway's address."""
        key = key_of_step(step["gateway"])
        found: list[str] = []

        async def missing() -> Problems:
            address = statuses.address_of(await self._world.gateway.object(key))
            found[:] = [address] if address else []
            return [] if address else [f"{'/'.join(key)} has no address"]

        await waiting.until(missing, self._limits)
        return found[0]


def _half_written(step: Json, obj: Json | None) -> Problems:
    """Say which conditions of a Gateway lag behind. They must be written at once: the suite waits for no later ones."""
    if obj is None or obj["kind"] != "Gateway" or step["type"] != "status" or not step.get("conditions"):
        return []
    return statuses.outdated(obj, (obj.get("status") or {}).get("conditions") or [])


def _left_out(step: Json) -> str:
    if not holds(step.get("when")):
        return f"holds only when {step['when']}"
    if step.get("mode") == "kubernetes":
        return "looks at objects in a Kubernetes cluster"
    return ""


def _default_successes(step: Json) -> int:
    if step.get("repeat"):
        return 1
    return 1 if step["protocol"] in ("udp", "dns", "tcp", "tls") else 3
