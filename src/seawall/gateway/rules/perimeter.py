"""Rules for our own Perimeter: what its fields say together.

Pure. Each is ours, so none quotes the API.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from seawall.gateway.resources.perimeter import (
    FreezeWindow,
    Journey,
    PerimeterSpec,
    RolloutPolicy,
    Switch,
    bytes_of,
    instant,
    seconds,
)
from seawall.gateway.resources.scalars import HEADER_NAME
from seawall.gateway.rules.rule import Finding, Findings
from seawall.gateway.rules.unique import no_repeats
from seawall.kit.units import Instant

_SMALLEST_HEAP: Final = 64 << 20
"""An idle Envoy takes nearly as much."""
_HEADER_NAME: Final = re.compile(HEADER_NAME)
_NO_TIME: Final = "Write it as 2026-01-31T12:00:00Z."


def perimeter(spec: PerimeterSpec, findings: Findings) -> None:
    _fleet(spec, findings)
    _rollout(spec.rollout, findings)
    for index, window in enumerate(spec.freeze):
        _freeze(window, f"$.spec.freeze[{index}]", findings)
    _switches(spec.switches, findings)
    no_repeats(spec.approvals.verbs, "$.spec.approvals.verbs", "command", findings)
    _bytes(spec.guards.size_limit, "$.spec.guards.sizeLimit", findings)
    _memory(spec, findings)
    _capacity(spec, findings)


# ── the fleet ────────────────────────────────────────────────────────────────────────────────────────────────────


def _fleet(spec: PerimeterSpec, findings: Findings) -> None:
    no_repeats([region.name for region in spec.regions], "$.spec.regions", "region", findings, "name")
    cells = [
        (f"$.spec.regions[{i}].cells[{j}]", cell)
        for i, region in enumerate(spec.regions)
        for j, cell in enumerate(region.cells)
    ]
    first: dict[str, str] = {}
    for at, cell in cells:
        if cell.name in first:
            message = f"The cell {cell.name!r} is named a second time, after {first[cell.name]}."
            hint = "Rename one: an edge says where it stands with the name of its cell, in any region."
            findings.append(Finding(path=f"{at}.name", message=message, hint=hint))
        first.setdefault(cell.name, at)
    canaries = [(at, cell.name) for at, cell in cells if cell.is_canary]
    for at, name in canaries[1:]:
        message = f"The cell {name!r} cannot be the canary as well: {canaries[0][1]!r} is."
        findings.append(Finding(path=f"{at}.canary", message=message, hint="Keep `canary: true` on one cell only."))
    if spec.rollout.strategy == "staged" and not spec.regions:
        message = "A staged rollout needs to know the regions and cells of the fleet, and there are none."
        hint = "Add regions with their cells, or use the strategy immediate."
        findings.append(Finding(path="$.spec.rollout.strategy", message=message, hint=hint))


def _memory(spec: PerimeterSpec, findings: Findings) -> None:
    heap = spec.memory.max_heap
    if heap is not None and bytes_of(heap) < _SMALLEST_HEAP:
        message = f"maxHeap is {heap}, but Envoy alone needs 64Mi."
        findings.append(
            Finding(path="$.spec.memory.maxHeap", message=message, hint="Use 64Mi or more, or leave it out.")
        )


def _capacity(spec: PerimeterSpec, findings: Findings) -> None:
    if spec.capacity is None:
        return
    for field, value in (
        ("requestsPerSecondPerEdge", spec.capacity.requests_per_second_per_edge),
        ("peakRequestsPerSecond", spec.capacity.peak_requests_per_second),
    ):
        if value is not None and not (math.isfinite(value) and value <= 1e12):
            message = f"{field} is {value:g}: nothing carries so many requests a second."
            findings.append(Finding(path=f"$.spec.capacity.{field}", message=message, hint="Use what was measured."))


# ── rollouts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _rollout(policy: RolloutPolicy, findings: Findings) -> None:
    for field, duration in (("silence", policy.gates.silence), ("slow", policy.gates.slow)):
        if seconds(duration) <= 0:
            message = f"{field} is {duration}: it must be longer than nothing."
            findings.append(Finding(path=f"$.spec.rollout.gates.{field}", message=message, hint="Use 1s or more."))
    no_repeats([one.name for one in policy.journeys], "$.spec.rollout.journeys", "journey", findings, "name")
    for index, journey in enumerate(policy.journeys):
        _journey(journey, f"$.spec.rollout.journeys[{index}]", findings)


def _journey(journey: Journey, at: str, findings: Findings) -> None:
    problem = _url_problem(journey.url)
    if problem:
        message = f"{journey.url[:80]!r} {problem}."
        findings.append(Finding(path=f"{at}.url", message=message, hint="Write it as https://shop.example.com/cart."))
    _headers(journey.headers, f"{at}.headers", findings)


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL: its port is no number up to 65535, or its address is none"
    if not parts.hostname:
        return "has no host"
    if parts.username is not None:
        return "has a user's name in it"
    return "has port 0" if port == 0 else ""


def _headers(headers: Iterable[str], at: str, findings: Findings) -> None:
    for name in headers:
        if not _HEADER_NAME.match(name):
            message = f"{name[:80]!r} is not a header name: letters, digits and !#$%&'*+-.^_`|~."
            findings.append(Finding(path=f"{at}[{json.dumps(name)}]", message=message, hint="Correct it."))


def _freeze(window: FreezeWindow, at: str, findings: Findings) -> None:
    begins = _time(window.begins, f"{at}.from", findings)
    until = _time(window.until, f"{at}.until", findings)
    if begins is not None and until is not None and until <= begins:
        message = f"The freeze ends at {window.until}, which is not after it begins at {window.begins}."
        findings.append(Finding(path=f"{at}.until", message=message, hint="Swap the two, or correct one."))


# ── switches ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _switches(switches: tuple[Switch, ...], findings: Findings) -> None:
    no_repeats([switch.name for switch in switches], "$.spec.switches", "switch", findings, "name")
    on: dict[str, str] = {}
    for index, switch in enumerate(switches):
        at = f"$.spec.switches[{index}]"
        for field, value in (("until", switch.until), ("drilledAt", switch.drilled_at)):
            if value is not None:
                _time(value, f"{at}.{field}", findings)
        if isinstance(switch.value, float) and not math.isfinite(switch.value):
            findings.append(Finding(path=f"{at}.value", message=f"{switch.value} is no number.", hint="Correct it."))
        if not switch.is_on:
            continue
        if switch.until is None:
            message = f"The switch {switch.name!r} is on and nothing says when it goes off."
            hint = "Add until: a switch that nobody has to think of stays on for ever."
            findings.append(Finding(path=at, message=message, hint=hint))
        if switch.key in on:
            message = f"The switches {on[switch.key]!r} and {switch.name!r} are both on and set the same key."
            findings.append(Finding(path=f"{at}.key", message=message, hint="Turn one of the two off."))
        on.setdefault(switch.key, switch.name)


def _time(text: str, at: str, findings: Findings) -> Instant | None:
    try:
        return instant(text)
    except ValueError:
        findings.append(Finding(path=at, message=f"{text!r} is no time.", hint=_NO_TIME))
        return None


def _bytes(text: str, at: str, findings: Findings) -> None:
    if bytes_of(text) <= 0:
        message = f"{text} is nothing: every change would be too large."
        findings.append(Finding(path=at, message=message, hint="Use 64Mi, or leave it out."))
