"""Attack reports: when an excess is over, what it was and what was done, as Markdown and as a page with a plot and no script.

Counts each second by route for a while; writes into a folder of bounded size. `app.protection` feeds it, beside the event loop.
"""

import html
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from seawall.app.statuses import rfc3339
from seawall.detect.events import ActionToDo, Record
from seawall.detect.guard import Guard
from seawall.detect.ladder import LADDER
from seawall.detect.sight import Slot
from seawall.detect.verdict import Verdict
from seawall.kit.units import Instant

log = structlog.get_logger(__name__)

MOST: Final = 50
"""Reports that are kept; the oldest give way."""
_SECONDS: Final = 1800
_BEFORE: Final = 60.0
_MOST_VERDICTS: Final = 50
_WIDTH, _HEIGHT = 800, 200
_ODD: Final = re.compile(r"[^A-Za-z0-9.-]+")


class _Second(msgspec.Struct, frozen=True, kw_only=True):
    at: Instant
    asked: dict[str, float]
    refused: dict[str, float]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A second of a route."""

    at: Instant
    asked: float
    refused: float


class AttackReport(msgspec.Struct, frozen=True, kw_only=True):
    """An excess that is over. `passed` is how many requests the edges let through while it lasted."""

    name: str
    route: str
    began: Instant
    ended: Instant
    said: str
    points: tuple[Point, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def peak(self) -> float:
        return max((one.asked for one in self.points), default=0.0)

    @property
    def passed(self) -> float:
        return sum(one.asked - one.refused for one in self.points if one.at >= self.began)

    @property
    def refused(self) -> float:
        return sum(one.refused for one in self.points if one.at >= self.began)


class AttackReports:
    """Follows seconds and what is said of them; writes a report for each excess that ends. Without a folder, none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seconds: deque[_Second] = deque(maxlen=_SECONDS)
        self._began: dict[str, Instant] = {}

    def note(self, slot: Slot) -> None:
        """Count a second."""
        refused: dict[str, float] = {}
        columns = (slot.rows.column("route"), slot.rows.column("refused"), slot.rows.each_weight)
        for route, by, weight in zip(*columns, strict=True):
            if by:
                refused[route] = refused.get(route, 0.0) + weight
        self._seconds.append(_Second(at=slot.at, asked=dict(slot.totals), refused=refused))

    def follow(self, actions: Iterable[ActionToDo], guard: Guard) -> None:
        """Take in what is said: remember beginnings, write at ends."""
        for one in actions:
            if not isinstance(one, Record):
                continue
            if one.what == "excess-began":
                self._began.setdefault(one.subject, one.at)
            elif one.what == "excess-ended":
                self._write(self._report(one, self._began.pop(one.subject, one.at), guard))

    def names(self) -> list[str]:
        """Name the reports, the newest first."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted((one.stem for one in self._folder.glob("*.md")), reverse=True)

    @property
    def folder(self) -> Path | None:
        return self._folder

    def _report(self, ended: Record, began: Instant, guard: Guard) -> AttackReport:
        route, book = ended.subject, guard.ledger.book
        met = [*(one.verdict for one in book.ended.values()), *book.verdicts.values()]
        during = [one for one in met if began - _BEFORE <= one.created <= ended.at and one.scope.route in ("", route)]
        points = [
            Point(at=one.at, asked=_of(one.asked, route), refused=_of(one.refused, route))
            for one in self._seconds
            if began - _BEFORE <= one.at <= ended.at
        ]
        day = rfc3339(began).replace(":", "").replace(" ", "-")
        return AttackReport(
            name=_ODD.sub("-", f"{day}-{route or 'all'}")[:120].strip("-"),
            route=route,
            began=began,
            ended=ended.at,
            said=ended.said,
            points=tuple(points),
            verdicts=tuple(during[:_MOST_VERDICTS]),
        )

    def _write(self, report: AttackReport) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for suffix, text in (("html", page(report)), ("md", markdown(report))):
                fresh = self._folder / f"{report.name}.fresh"
                fresh.write_text(text, encoding="utf-8")
                fresh.replace(self._folder / f"{report.name}.{suffix}")
            for name in self.names()[MOST:]:
                for suffix in ("html", "md"):
                    (self._folder / f"{name}.{suffix}").unlink(missing_ok=True)
        except OSError as exc:
            log.warning("attack_report_not_written", reason=str(exc))


def markdown(report: AttackReport) -> str:
    """Write it for people and tickets. What clients sent stands in code marks only."""
    lines = [f"# Attack on {_code(report.route or 'all routes')}", "", *(f"- {one}" for one in _facts(report)), ""]
    for one in report.verdicts:
        lines += [f"## {one.id}: {LADDER[one.rung].title}, {one.mode}", "", f"Whose: {_code(str(one.scope))}", ""]
        lines += [f"- {_code(each)}" for each in _reasons(one)] + [""]
    return "\n".join(lines)


def page(report: AttackReport) -> str:
    """Write it as a page that needs nothing else."""
    escape = html.escape
    verdicts = "".join(
        f"<h2>{escape(one.id)}: {escape(LADDER[one.rung].title)}, {one.mode}</h2><p><code>{escape(str(one.scope))}</code></p>"
        f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in _reasons(one))}</ul>"
        for one in report.verdicts
    )
    title = escape(f"Attack on {report.route or 'all routes'}")
    facts = "".join(f"<li>{escape(one)}</li>" for one in _facts(report))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px sans-serif;max-width:50rem;margin:2rem auto}svg{width:100%}</style>"
        f"<h1>{title}</h1><ul>{facts}</ul>{_plot(report)}{verdicts}</html>\n"
    )


def _facts(report: AttackReport) -> list[str]:
    return [
        f"From {rfc3339(report.began)} to {rfc3339(report.ended)}, {report.ended - report.began:.0f} s.",
        f"At most {report.peak:.0f} requests a second; {report.refused:.0f} refused by the edges, {report.passed:.0f} let through.",
        f"{len(report.verdicts)} verdicts.",
    ]


def _reasons(one: Verdict) -> list[str]:
    return [
        f"{one.reason}.",
        *(f"Evidence: {each}." for each in one.evidence),
        *(f"Guard {each.guard} ({each.title}): {each.outcome}: {each.said}." for each in one.guards),
        f"Hit {one.measured.hits:.0f} requests; {one.measured.left_rps:.1f} requests/s still leaked at the end.",
    ]


def _plot(report: AttackReport) -> str:
    """Draw requests and refusals over time."""
    if len(report.points) < 2 or not report.peak:
        return ""
    first, last = report.points[0].at, report.points[-1].at

    def line(values: Iterable[tuple[Instant, float]], color: str) -> str:
        points = " ".join(
            f"{(at - first) / (last - first) * _WIDTH:.1f},{_HEIGHT - value / report.peak * _HEIGHT:.1f}"
            for at, value in values
        )
        return f'<polyline fill="none" stroke="{color}" points="{points}"/>'

    return (
        f'<svg role="img" viewBox="-2 -2 {_WIDTH + 4} {_HEIGHT + 24}"><title>Requests a second</title>'
        + line(((one.at, one.asked) for one in report.points), "#1f4e8c")
        + line(((one.at, one.refused) for one in report.points), "#b3261e")
        + f'<text x="0" y="{_HEIGHT + 18}">blue: requests a second, {report.peak:.0f} at most; red: refused</text></svg>'
    )


def _of(counts: dict[str, float], route: str) -> float:
    return counts.get(route, 0.0) if route else sum(counts.values())


def _code(text: str) -> str:
    return f"`{''.join(one if one.isprintable() and one != '`' else '·' for one in text)}`"
