"""`seawall check`: everything that is wrong with a folder of manifests, at once."""

from itertools import groupby
from typing import Any

import typer

from seawall.cli.options import Manifests, Output
from seawall.cli.output import Exit, Format, Printer, Style, print_json


def check(
    path: Manifests,
    output: Output = Format.TEXT,
) -> None:
    """Check manifests without running anything. Exit code 1: there are errors."""
    from seawall.app.offline import Offline  # noqa: PLC0415 - loaded when needed

    loaded = Offline(path)
    report = loaded.report()
    if output is Format.JSON:
        print_json(report)
    else:
        print_problems(Printer(), report["problems"])
        _print_count(report)
    raise typer.Exit(Exit.PROBLEMS if report["errors"] else Exit.OK)


def print_problems(printer: Printer, problems: list[dict[str, Any]]) -> None:
    """Print problems as compilers do, grouped by file."""
    for number, (_, group) in enumerate(groupby(problems, key=lambda one: one["file"])):
        if number:
            printer.line()
        for one in group:
            print_problem(printer, one)


def print_problem(printer: Printer, one: dict[str, Any]) -> None:
    severity = printer.paint(f"{one['severity']}:", Style.ERROR if one["severity"] == "error" else Style.WARNING)
    place = printer.paint(f"{one['place']}:", Style.STRONG) if one["place"] else ""
    about = f"{one['object']}: " if one["object"] else ""
    printer.line(f"{place} {severity} {about}{one['message']}".lstrip())
    if one["hint"]:
        printer.line(f"    → {one['hint']}")


def _print_count(report: dict[str, Any]) -> None:
    printer = Printer()
    errors, warnings = report["errors"], report["warnings"]
    if report["problems"]:
        printer.line()
    found = ", ".join(_several(n, noun) for n, noun in ((errors, "error"), (warnings, "warning")) if n)
    text = found or printer.paint("no problems", Style.GOOD)
    printer.line(f"{_several(report['objects'], 'object')} in {_several(report['files'], 'file')}: {text}")


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
