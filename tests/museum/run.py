"""Run: replays outages on one fleet, one after the other, and prints what came of them."""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from tests.museum import world
from tests.museum.outage import Outage, Promise, broken
from tests.museum.scene import Finding, Scene
from tests.support.fleet import Fleet

FOLDERS = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/scenario.py")))
_HEAD = ("outage", "injected", "stopped by", "guard", "requests failed", "decided", "recovered")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of one outage, and what came of it."""

    outage: Outage
    promise: Promise
    finding: Finding

    @property
    def broken(self) -> list[str]:
        return broken(self.promise, self.finding)


def outage(folder: str) -> Outage:
    """Load the scenario of a folder."""
    found: Outage = importlib.import_module(f"tests.museum.{folder}.scenario").OUTAGE
    return found


def fleet() -> Fleet:
    return Fleet(world.files(), places=world.PLACES)


async def replay(scene: Scene, one: Outage) -> list[Row]:
    """Replay an outage on a fleet that serves the world, and leave the fleet so."""
    findings = await one.replay(scene)
    return [
        Row(outage=one, promise=promise, finding=finding)
        for promise, finding in zip(one.promises, findings, strict=True)
    ]


async def visit(outages: Iterable[Outage], tell: Callable[[Outage, list[Row], str], None]) -> list[Row]:
    """Replay outages one after the other and tell what came of each. After one that went wrong the fleet is a new one."""
    rows: list[Row] = []
    waiting = list(outages)
    while waiting:
        with contextlib.suppress(AssertionError):
            async with fleet() as running:
                scene = Scene(running)
                await scene.settle()
                while waiting:
                    one, began = waiting.pop(0), time.monotonic()
                    try:
                        found = await replay(scene, one)
                    except AssertionError as error:
                        tell(one, [], f"{error}\nThe logs are in {running.root}.")
                        raise
                    rows += found
                    tell(one, found, f"({time.monotonic() - began:.0f} s)")
    return rows


def table(rows: Sequence[Row]) -> str:
    """Write rows for people."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(cell[column]) for cell in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip() for cell in cells]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    finding = row.finding
    return (
        f"{row.outage.number} {row.outage.name} {row.outage.date}",
        row.promise.injected,
        finding.stage,
        finding.guard + (" (NOT AS PROMISED)" if row.broken else ""),
        f"{finding.failures} of {finding.sent}",
        f"{finding.decided:.1f} s",
        f"{finding.recovered:.1f} s" if finding.failures else "–",
    )
