"""`seawall status`: how a running instance is."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from seawall.cli.check import print_problem
from seawall.cli.client import Client
from seawall.cli.options import Name, Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, print_json

_CLEAR = "\x1b[H\x1b[2J"
_BAD_WHEN_TRUE = {"Conflicted", "OverlappingTLSConfig"}
_INTERVAL = 1.0


def status(
    name: Name = "default",
    run_dir: RunDir = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, once a second, until Ctrl-C.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show conditions, attached routes, edges and the versions that they have acknowledged.

    Exit code 1: an object has an error, an edge is not well, or a guard refuses the newest configuration.
    """
    client = Client(name, run_dir)
    while True:
        found = {**client.get("/v1/status"), "edges": client.get("/v1/edges"), "objects": client.get("/v1/objects")}
        if output is Format.JSON:
            print_json(found)
        else:
            if watch:
                typer.echo(_CLEAR, nl=False)
            show(Printer(), found)
        if not watch:
            raise typer.Exit(Exit.OK if found["isWell"] else Exit.PROBLEMS)
        try:
            time.sleep(_INTERVAL)
        except KeyboardInterrupt:
            raise typer.Exit(Exit.OK) from None


def show(printer: Printer, found: dict[str, Any]) -> None:
    """Print all of it, problems last: that is where the eye stays."""
    printer.line(f"{found['name']}: {found['path']}, version {found['version'][:12]}, process {found['pid']}")
    for kind, members in _by_kind(found["objects"]).items():
        printer.line()
        printer.line(printer.paint(kind, Style.STRONG))
        printer.table(("NAME", "STATE", "DETAIL"), [_object_row(printer, one) for one in members])
    printer.line()
    printer.line(printer.paint("Edges", Style.STRONG))
    printer.table(("NAME", "STATE", "RUNS", "SINCE A CHANGE"), [_edge_row(printer, one) for one in found["edges"]])
    if not found["edges"]:
        printer.line("  none is connected")
    problems = [*found["fileProblems"], *(problem for one in found["objects"] for problem in one["problems"])]
    if problems:
        printer.line()
        for problem in problems:
            print_problem(printer, problem)
    if found["held"]:
        printer.line()
        printer.line(printer.paint("The newest configuration does not go out:", Style.ERROR))
        for one in found["held"]:
            printer.line(f"  {one['guard']} {one['verdict']}: {one['message']}")


def _by_kind(objects: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sort out what has a status to show, in the order in which a request meets them."""
    order = (
        "GatewayClass",
        "Gateway",
        "ListenerSet",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "UDPRoute",
        "BackendTLSPolicy",
    )
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in order}
    for one in objects:
        if conditions_of(one["status"]):
            kinds.setdefault(one["kind"], []).append(one)
    return {kind: members for kind, members in kinds.items() if members}


def conditions_of(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every condition of a status, wherever it stands."""
    found = list(status.get("conditions", ()))
    for group in ("parents", "listeners", "ancestors"):
        for member in status.get(group, ()):
            found += member.get("conditions", ())
    return found


def _object_row(printer: Printer, one: dict[str, Any]) -> tuple[str, str, str]:
    meta = one["metadata"]
    name = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
    bad = [c for c in conditions_of(one["status"]) if (c["status"] == "True") == (c["type"] in _BAD_WHEN_TRUE)]
    if bad:
        words = dict.fromkeys(f"{c['type']}={c['status']} ({c['reason']})" for c in bad)
        return name, printer.paint("problem", Style.ERROR), ", ".join(words)
    return name, printer.paint("ok", Style.GOOD), _detail(one["status"])


def _detail(status: dict[str, Any]) -> str:
    listeners = [f"{one['name']}: {one['attachedRoutes']}" for one in status.get("listeners", ())]
    if listeners:
        addresses = ", ".join(one["value"] for one in status.get("addresses", ()))
        return f"{addresses}; routes {', '.join(listeners)}"
    return ", ".join(str(one["parentRef"]["name"]) for one in status.get("parents", ()))


def _edge_row(printer: Printer, one: dict[str, Any]) -> tuple[str, str, str, str]:
    state = printer.paint("well", Style.GOOD) if one["isWell"] else printer.paint(one["state"], Style.ERROR)
    is_current = one["applied"] == one["wanted"]
    runs = f"{one['applied'][:12] or 'nothing yet'}{' (newest)' if is_current else ''}"
    return one["edge"], state, runs, f"{one['took'] * 1000:.0f} ms" if one["took"] else ""
