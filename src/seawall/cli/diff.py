"""`seawall diff`: what a change means, how risky it is, whom it can hurt, and what the guards say of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.client import Client
from seawall.cli.options import Name, Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, fail, plain, print_json
from seawall.cli.progress import RISKS, short

_VERDICTS = {"pass": Style.GOOD, "warn": Style.WARNING, "hold": Style.WARNING, "refuse": Style.ERROR}
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "reordered": "↕"}
_MOST = 40


def diff(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Manifests to compare with what runs; by default those that the instance reads.", show_default=False
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="PATH", help="Compare with these manifests; no instance is asked.", show_default=False
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Print every difference, not the first forty.")] = False,
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Show what changes in meaning, the computed risk with its reason, the blast radius and the guards' results.

    Exit code 1: a guard would hold or refuse the change.
    """
    if against is not None:
        if path is None:
            fail("--against compares two folders, and only one is named.", "Write: seawall diff NEW --against OLD")
        from seawall.app.proposals import compare_folders  # noqa: PLC0415 - loaded when needed

        report = plain(compare_folders(against, path))
    elif path is not None:
        report = Client(name, run_dir).post("/v1/diff", {"path": str(path.absolute())})
    else:
        report = Client(name, run_dir).get("/v1/diff")
    if output is Format.JSON:
        print_json(report)
    else:
        show(Printer(), report, most=None if show_all else _MOST)
    raise typer.Exit(Exit.PROBLEMS if report["counts"] and is_stopped(report) else Exit.OK)


def is_stopped(report: dict[str, Any]) -> bool:
    """Say whether a guard that nobody has lifted holds or refuses."""
    return any(one["verdict"] in ("hold", "refuse") and not one["override"] for one in report["guards"])


def show(printer: Printer, report: dict[str, Any], *, most: int | None = _MOST) -> None:
    """Print a report for people: the verdicts last, that is where the eye stays."""
    if not report["counts"]:
        printer.line("Nothing changes.")
        return
    risk = report["risk"]
    printer.line(f"{short(report['base'])} → {short(report['candidate'])}, risk {printer.paint(risk, RISKS[risk])}")
    for why in report["why"]:
        printer.line(f"  because {why}")
    counted = ", ".join(f"{number} × {what}" for what, number in sorted(report["counts"].items()))
    printer.line(f"  {counted}")
    _show_blast(printer, report["blast"])
    printer.line()
    shown = report["differences"] if most is None else report["differences"][:most]
    printer.table(
        ("", "RISK", "WHAT", "DETAIL"),
        [
            (
                _SIGNS[one["action"]],
                printer.paint(one["risk"], RISKS[one["risk"]]),
                f"{one['subject']} {one['name']}",
                one["detail"],
            )
            for one in shown
        ],
    )
    more = len(report["differences"]) - len(shown)
    if more or report["is_cut"]:
        printer.line(f"  … and {more} more; --all shows them" if more else "  … and more than can be listed")
    show_guards(printer, report["guards"])


def _show_blast(printer: Printer, blast: dict[str, Any]) -> None:
    share = "" if blast["share"] is None else f", {blast['share']:.1%} of the last hour's requests"
    printer.line(f"  touches {blast['hosts']} of {blast['hosts_total']} hosts{share}")
    if blast["tenants"]:
        printer.line(f"  of {', '.join(blast['tenants'][:8])}{' …' if len(blast['tenants']) > 8 else ''}")
    for line in drains(blast["drained"]):
        printer.line(f"  {line}")


def drains(drained: list[tuple[str, int]]) -> list[str]:
    """Say for each socket how many connections end: of single filter chains Envoy counts none, so there it is a bound."""
    chains: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for name, connections in drained:
        socket, _, chain = name.partition(" ")
        counts[socket] = connections
        chains.setdefault(socket, []).extend([chain] if chain else [])
    found = []
    for socket, count in counts.items():
        counted = "its connections" if count < 0 else f"{count} connection{'s' * (count != 1)}"
        if not chains[socket]:
            found.append(f"drains {counted} on {socket}")
        else:
            bound = "connections" if count < 0 else f"at most {counted}"
            found.append(f"drains {bound} on {socket}, those of {', '.join(chains[socket])}")
    return found


def show_guards(printer: Printer, guards: list[dict[str, Any]]) -> None:
    """Print every guard that has something to say, and how many have not."""
    speaking = [one for one in guards if one["verdict"] != "pass"]
    printer.line()
    printer.line(f"{len(guards) - len(speaking)} of {len(guards)} guards pass.")
    for one in speaking:
        verdict = printer.paint(one["verdict"], _VERDICTS[one["verdict"]])
        lifted = f" (overridden by {one['override']})" if one["override"] else ""
        printer.line(f"{one['guard']} {verdict}{lifted}: {one['message']}")
        if one["remedy"]:
            printer.line(f"  → {one['remedy']}")
