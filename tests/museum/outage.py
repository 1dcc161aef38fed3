"""Outage: what a scenario promises, and what came of it."""

from collections.abc import Awaitable, Callable

import msgspec

from tests.museum.scene import Finding, Scene


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One bad thing, and what must become of it: which stage and which guard stop it, how many requests may fail."""

    injected: str
    stage: str
    guard: str
    failed: int = 0


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of the museum. `replay` injects one thing after the other and returns a finding for each promise."""

    number: int
    name: str
    date: str
    promises: tuple[Promise, ...]
    replay: Callable[[Scene], Awaitable[list[Finding]]]


def broken(promise: Promise, finding: Finding) -> list[str]:
    """Say where a finding is not as promised."""
    said = []
    if finding.stage != promise.stage:
        said.append(f"the stage {finding.stage} stopped it, not {promise.stage}: {finding.said}")
    if finding.guard != promise.guard:
        said.append(f"{finding.guard} stopped it, not {promise.guard}: {finding.said}")
    if finding.failures > promise.failed:
        said.append(f"{finding.failures} requests failed, {promise.failed} may: {finding.failed}")
    if not finding.sent:
        said.append("no request was sent")
    return said
