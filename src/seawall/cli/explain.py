"""`seawall explain`: what would happen to a request, and why."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.options import Name, Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, fail, plain, print_json

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="[PATH] METHOD URL",
        help="A folder of manifests (without one: the running instance), then the request.",
        show_default=False,
    ),
]
_MOST_MISSES = 12


def explain(  # noqa: PLR0917 - typer calls it by name
    words: Words,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="NAME: VALUE", help="A header. Repeatable.", show_default=False),
    ] = None,
    sni: Annotated[
        str | None,
        typer.Option(help="Server name in the TLS handshake; by default the URL's host.", show_default=False),
    ] = None,
    client: Annotated[str, typer.Option("--from", metavar="IP", help="The client's address.", show_default=False)] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Show all routes that do not match, not just the nearest.")
    ] = False,
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Say which listener, virtual host, route, filters and backend a request would meet, and why others do not match.

    Exit code 1: the edge itself would answer with an error, or not at all.
    """
    if len(words) not in (2, 3):
        fail(f"expected METHOD and URL, or PATH, METHOD and URL, and got {len(words)} words.")
    method, url = words[-2:]
    question = {"method": method, "url": url, "headers": header or [], "sni": sni, "from": client}
    if len(words) == 3:
        found = _offline(Path(words[0]), question)
    else:
        from seawall.cli.client import Client  # noqa: PLC0415 - loaded when needed

        found = Client(name, run_dir).post("/v1/explain", question)
    if output is Format.JSON:
        print_json(found)
    else:
        _print(found, every)
    outcome = found["outcome"]
    is_failure = outcome["kind"] == "refuse" or (outcome["status"] or 0) >= 400
    raise typer.Exit(Exit.PROBLEMS if is_failure else Exit.OK)


def _offline(path: Path, question: dict[str, Any]) -> dict[str, Any]:
    from seawall.app.offline import Offline  # noqa: PLC0415 - loaded when needed
    from seawall.gateway.matching import parse_request  # noqa: PLC0415 - loaded when needed

    request = parse_request(
        question["method"], question["url"], tuple(question["headers"]), question["sni"], question["from"]
    )
    return dict(plain(Offline(path).explain(request)))


def _print(found: dict[str, Any], every: bool) -> None:
    printer = Printer()
    printer.line(printer.paint(found["request"], Style.STRONG))
    for note in found["notes"]:
        printer.line(f"  note: {note}")
    for label, value in _way(found):
        printer.line(f"  {label:<10} {value}")
    _print_routes(printer, found["considered"], every)
    for text in found["filters"]:
        printer.line(f"  {'filter':<10} {text}")
    _print_outcome(printer, found["outcome"])


def _way(found: dict[str, Any]) -> list[tuple[str, str]]:
    way: list[tuple[str, str]] = []
    if found["listener"]:
        way.append(("listener", f"{found['address']} ({found['listener']})"))
    if found["sni"]:
        way.append(("sni", f"{found['sni']} → {found['chain'] or 'none'}"))
    if found["hostname"]:
        others = f", before {', '.join(found['other_hostnames'])}" if found["other_hostnames"] else ""
        way.append(("host", f"{found['hostname']}{others}"))
    return way


def _print_routes(printer: Printer, considered: list[dict[str, Any]], every: bool) -> None:
    winner = next((one for one in considered if one["verdict"] == "wins"), None)
    if winner is not None:
        place = printer.paint(f"  {winner['place'] or winner['path']}", Style.FAINT)
        printer.line(f"  {'route':<10} {printer.paint(winner['match'], Style.GOOD)}  {winner['route']}{place}")
    # The nearest misses first: those that fail in the fewest points.
    others = sorted((one for one in considered if one["verdict"] != "wins"), key=lambda one: len(one["why"]))
    shown = others if every else others[:_MOST_MISSES]
    for one in shown:
        place = printer.paint(f"  {one['place']}", Style.FAINT) if one["place"] else ""
        printer.line(f"    {'shadowed' if one['verdict'] == 'shadowed' else 'no':<8} {one['match']}{place}")
        for why in one["why"]:
            printer.line(f"             {printer.paint(why, Style.FAINT)}")
    if len(shown) < len(others):
        printer.line(f"    … and {len(others) - len(shown)} more; --all shows them")


def _print_outcome(printer: Printer, outcome: dict[str, Any]) -> None:
    kind, status = outcome["kind"], outcome["status"]
    if kind == "forward":
        verdict = printer.paint("forwarded", Style.GOOD)
    elif kind == "refuse":
        verdict = printer.paint("no answer", Style.ERROR)
    else:
        verdict = printer.paint(str(status), Style.ERROR if status >= 400 else Style.GOOD)
    target = outcome["location"] or (outcome["sent"] if kind == "forward" else "")
    reason = f": {outcome['reason']}" if outcome["reason"] else ""
    printer.line(f"  {'outcome':<10} {verdict}{f' to {target}' if target else ''}{reason}")
    for backend in outcome["backends"]:
        endpoints = ", ".join(backend["endpoints"]) or backend["note"]
        printer.line(f"  {'backend':<10} {backend['share']:g} % {backend['cluster'] or 'nobody'}: {endpoints}")
        for text in backend["filters"]:
            printer.line(f"  {'':<10} {text}")
