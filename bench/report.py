"""Report: what a benchmark found, as a table for people, JSON for programs, and a section of docs/benchmarks.md."""

import datetime
import re
from pathlib import Path

import msgspec


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text under heads; `note` says how to read them."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark says.

    `verdicts` hold each goal against what was measured, missed ones included; `figures` are the numbers themselves.
    """

    bench: str
    question: str
    tables: tuple[Table, ...]
    verdicts: tuple[str, ...] = ()
    figures: dict[str, float] = {}
    took: float = 0.0


def goal(name: str, measured: float, limit: float, unit: str, *, at_least: bool = False) -> str:
    """Hold a number against its goal, in a sentence that does not flatter."""
    is_met = measured >= limit if at_least else measured <= limit
    sign = "≥" if at_least else "≤"
    return f"{'met' if is_met else 'MISSED'}: {name}: {measured:.3g} {unit}, goal {sign} {limit:g} {unit}".rstrip()


def as_text(result: Result) -> str:
    """Lay out for a terminal."""
    lines = [f"── {result.bench}: {result.question}"]
    for table in result.tables:
        rows = [table.heads, *table.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.heads))]
        lines += ["", table.title]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines += [f"  ({table.note})"] if table.note else []
    lines += ["", *(f"  {verdict}" for verdict in result.verdicts), f"  took {result.took:.0f} s", ""]
    return "\n".join(lines)


def as_markdown(result: Result, machine: str, command: str) -> str:
    """Lay out for the page of figures."""
    lines = [f"`{command}` on {datetime.datetime.now(datetime.UTC).date()}, {result.took:.0f} s, on {machine}.", ""]
    for table in result.tables:
        lines += [f"**{table.title}**", "", _row(table.heads), _row(tuple("---" for _ in table.heads))]
        lines += [_row(row) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    lines += [f"- {verdict}" for verdict in result.verdicts]
    return "\n".join(lines).rstrip() + "\n"


def write(page: Path, bench: str, section: str) -> bool:
    """Put a section between its markers in a page; False if the page has no place for it."""
    begin, end = f"<!-- bench:{bench} -->", f"<!-- /bench:{bench} -->"
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    changed, count = pattern.subn(lambda _: f"{begin}\n{section}{end}", text)
    if count:
        page.write_text(changed, encoding="utf-8")
    return count > 0


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
