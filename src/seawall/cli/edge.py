"""`seawall edge`: look after one edge on its own host, with no control plane: what runs, and the way back."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.options import Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, fail, print_json

if TYPE_CHECKING:
    from seawall.cli.client import Client

commands = typer.Typer(
    name="edge",
    help="Look after the edge on this host, also with no control plane: state, the way back, trusted keys.",
    no_args_is_help=True,
)
EdgeName = Annotated[
    str,
    typer.Option(
        "--name", "--edge", help="Name of the edge; by default the only one on this host.", show_default=False
    ),
]


@commands.command("status")
def status(name: EdgeName = "", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """Show what this edge runs, what it was told to run, and what it can go back to."""
    state = _client(name, run_dir).get("/v1/edge")
    if output is Format.JSON:
        print_json(state)
    else:
        _print(state)
    if not state["ready"] or state["fallback"]:
        raise typer.Exit(Exit.PROBLEMS)


@commands.command("back")
def back(
    bundle: Annotated[
        str,
        typer.Argument(help="First digits of a kept bundle's name; by default the newest last-known-good one."),
    ] = "",
    name: EdgeName = "",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Go back to a kept bundle now, and stay with it until `seawall edge unpin`, whatever the control plane says."""
    done = _client(name, run_dir).post("/v1/back", {"bundle": bundle})
    if output is Format.JSON:
        print_json(done)
    else:
        Printer().line(f"This edge runs the bundle {done['pinned'][:12]} and refuses every other one.")
        Printer().line("  → Obey the control plane again: seawall edge unpin")


@commands.command("unpin")
def unpin(name: EdgeName = "", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """Obey the control plane again."""
    done = _client(name, run_dir).post("/v1/unpin", {})
    if output is Format.JSON:
        print_json(done)
    elif done["unpinned"]:
        Printer().line(f"The bundle {done['unpinned'][:12]} is no longer pinned: the control plane is obeyed again.")
    else:
        Printer().line("No bundle was pinned: the control plane is obeyed.")


@commands.command("trust")
def trust(
    key: Annotated[str, typer.Argument(help="The control plane's public key: 64 hexadecimal digits.")],
    name: EdgeName = "",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Obey the control plane that signs with this key, and no other."""
    done = _client(name, run_dir).post("/v1/trust", {"key": key})
    if output is Format.JSON:
        print_json(done)
    else:
        Printer().line(f"This edge obeys what is signed by {done['trusted'][0]}, and nothing else.")


def _print(state: dict[str, Any]) -> None:
    printer = Printer()
    is_well = state["ready"] and not state["fallback"]
    health = printer.paint(state["state"], Style.GOOD if is_well else Style.ERROR)
    way_up = "connected" if state["connected"] else "no control plane"
    printer.line(f"{printer.paint(state['edge'], Style.STRONG)}  {health}  {way_up}  {_deaths(state['deaths'])}")
    printer.line(f"  runs    {_named(state['running'])}")
    if state["wanted"] and state["wanted"]["bundle"] != state["running"]["bundle"]:
        tasting = "  (being tasted)" if state["tasting"] else ""
        printer.line(f"  wanted  {_named(state['wanted'])}{tasting}")
    if state["pinned"]:
        printer.line(f"  {printer.paint('pinned', Style.WARNING)}  {state['pinned'][:12]}  seawall edge unpin lets go")
    for label, text in (("unready", state["unready"]), ("fallback", state["fallback"])):
        if text:
            printer.line(f"  {printer.paint(label, Style.ERROR)}: {text}")
    for label, text in (("refused", state["refusal"]), ("problem", state["problem"])):
        if text:
            printer.line(f"  {printer.paint(label, Style.WARNING)}: {text}")
    if state["kept"]:
        rows = [_row(printer, one) for one in state["kept"]]
        printer.line()
        printer.table(("KEPT", "SINCE", "GOOD", "RESOURCES", "REASON"), rows)


def _row(printer: Printer, one: dict[str, Any]) -> tuple[str, ...]:
    since = datetime.datetime.fromtimestamp(one["kept_since"], datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    name = one["bundle"][:12]
    shown = printer.paint(name, Style.STRONG) if one["running"] else name
    return shown, since, "yes" if one["good"] else "no", str(one["resources"]), one["reason"] or "-"


def _named(what: dict[str, Any]) -> str:
    if what["bundle"]:
        return str(what["bundle"][:12])
    return f"version {what['version'][:12]}, unnamed" if what["version"] else "nothing yet"


def _deaths(number: int) -> str:
    return "" if not number else f"Envoy has died {number} times" if number > 1 else "Envoy has died once"


def _client(name: str, run_dir: Path | None) -> "Client":
    from seawall.cli.client import Client  # noqa: PLC0415 - loaded when needed

    absent = "start it with `seawall agent`, or say which one is meant with --name or --run-dir"
    return Client(name or "edge", socket_file=_socket(name, run_dir), absent=absent)


def _socket(name: str, run_dir: Path | None) -> Path:
    """Find the socket of the edge that is meant; of an edge that is not there, where it would be."""
    from seawall.agent.local import LOCAL_SOCKET  # noqa: PLC0415 - loaded when needed
    from seawall.app.rundir import default_run_dir  # noqa: PLC0415 - loaded when needed

    if run_dir is not None:
        places = [run_dir, run_dir / "edge"]
    elif name:
        # An agent of its own, and one within `seawall up`.
        places = [default_run_dir(f"edge-{name}"), default_run_dir(name) / "edge"]
    else:
        parent = default_run_dir("x").parent
        places = sorted({*parent.glob("*"), *parent.glob("*/edge")})
    found = [place / LOCAL_SOCKET for place in places if (place / LOCAL_SOCKET).exists()]
    if len(found) > 1:
        fail(
            "several edges run on this host: " + ", ".join(str(one.parent) for one in found) + ".", "Say which: --name."
        )
    return found[0] if found else (places[0] if places else parent) / LOCAL_SOCKET
