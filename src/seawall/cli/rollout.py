"""`seawall rollout …`: watch changes go out, and say what should become of them."""

import getpass
import re
import time
from typing import Annotated, Any

import typer

from seawall.cli.client import Client
from seawall.cli.options import Name, Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, fail, print_json

commands = typer.Typer(
    name="rollout",
    help="Watch changes go out; promote, pause, abort, go back.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; kept in the history.", show_default=False)]
MustReason = Annotated[str, typer.Option("--reason", "-m", help="Why; kept in the history.")]
Who = Annotated[
    str, typer.Option("--as", metavar="NAME", help="Who says so; by default your user name.", show_default=False)
]
Which = Annotated[
    str, typer.Argument(metavar="[ROLLOUT]", help="Which rollout; by default the current one.", show_default=False)
]
One = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its name, as `status` shows it.")]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it holds: 30m, 2h, 1d.")]

_CLEAR = "\x1b[H\x1b[2J"
_INTERVAL = 1.0
_PATIENCE = 60.0
"""So long a watcher puts up with a control plane that does not answer: another one takes over in seconds."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BAD = ("rolled_back", "refused")


@commands.command("status")
def status(
    rollout: Which = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, once a second, until Ctrl-C.")] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="Wait until the rollout is over; exit code 1 if it did not complete.")
    ] = False,
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Show where the rollout stands: stages, edges, gates, what it waits for, what stands in the way, the last ones.

    Exit code 1: it is held, or the last one was refused or rolled back, or the history cannot be written.
    """
    client = Client(name, run_dir)
    found = client.get("/v1/rollouts")
    wanted = rollout or _first(found["view"])
    try:
        while True:
            over = _outcome(client, found["view"], wanted) if rollout or until_done else ""
            if watch or not until_done or over:
                _show(client, found, wanted if rollout else "", output, is_fresh=watch)
            if until_done and (over or not wanted):
                raise typer.Exit(Exit.OK if over in ("completed", "") else Exit.PROBLEMS)
            if not watch and not until_done:
                raise typer.Exit(Exit.PROBLEMS if over in _BAD or _is_bad(found, rollout) else Exit.OK)
            time.sleep(_INTERVAL)
            found = _again(client)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None


@commands.command("show")
def show(one: One, name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """Tell one rollout's story: every decision, why, and the numbers behind it."""
    story = Client(name, run_dir).get(f"/v1/rollouts/{_quoted(one)}")
    if output is Format.JSON:
        print_json(story)
    else:
        from seawall.cli import progress  # noqa: PLC0415 - loaded when needed

        progress.show_story(Printer(), story)


@commands.command("promote")
def promote(
    rollout: Which = "",
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Skip what is left of this stage's wait; let one go that a guard holds; try one again that was rolled back.

    Never skips the sandbox, the taster, or the first 30 s of the canary.
    """
    _say(Client(name, run_dir), output, verb="promote", who=who, reason=reason, rollout=rollout)


@commands.command("pause")
def pause(
    rollout: Which = "",
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Go no further for now. What trips a gate is rolled back all the same."""
    _say(Client(name, run_dir), output, verb="pause", who=who, reason=reason, rollout=rollout)


@commands.command("resume")
def resume(
    rollout: Which = "",
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Go on after a pause."""
    _say(Client(name, run_dir), output, verb="resume", who=who, reason=reason, rollout=rollout)


@commands.command("abort")
def abort(
    rollout: Which = "",
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """End the rollout; every edge returns to the version before."""
    _say(Client(name, run_dir), output, verb="abort", who=who, reason=reason, rollout=rollout)


@commands.command("back")
def back(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]",
            help="A kept version; by default the newest last-known-good one before what runs.",
            show_default=False,
        ),
    ] = "",
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """The big red button: every edge goes back at once and stays there until `unpin`. Nothing is compiled."""
    _say(Client(name, run_dir), output, verb="back", who=who, reason=reason, bundle=bundle)


@commands.command("unpin")
def unpin(
    reason: Reason = "", who: Who = "", name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT
) -> None:
    """Let changes go out again after `back`."""
    _say(Client(name, run_dir), output, verb="unpin", who=who, reason=reason)


@commands.command("approve")
def approve(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="As `seawall rollout status` names it.")],
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Say yes to what another person has asked for."""
    _say(Client(name, run_dir), output, verb="approve", who=who, reason=reason, request=request)


@commands.command("override")
def override(  # noqa: PLR0917 - typer calls it by name
    guard: Annotated[str, typer.Argument(metavar="GUARD", help="G1 … G20.")],
    reason: MustReason,
    duration: For = "1h",
    bundle: Annotated[
        str, typer.Option("--version", help="Only for this version; by default for any.", show_default=False)
    ] = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Lift a guard for a while: an event in the history, with your name under it."""
    client = Client(name, run_dir)
    _say(client, output, verb="override", who=who, reason=reason, guard=guard, bundle=bundle, seconds=seconds(duration))


@commands.command("freeze")
def freeze(
    reason: MustReason,
    duration: Annotated[
        str,
        typer.Option(
            "--for", metavar="DURATION", help="How long it holds; by default until `thaw`.", show_default=False
        ),
    ] = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Promote nothing for a while: an open incident, a big day. Rollbacks still happen."""
    length = seconds(duration) if duration else 0.0
    _say(Client(name, run_dir), output, verb="freeze", who=who, reason=reason, seconds=length)


@commands.command("thaw")
def thaw(
    reason: Reason = "", who: Who = "", name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT
) -> None:
    """End a freeze."""
    _say(Client(name, run_dir), output, verb="thaw", who=who, reason=reason)


@commands.command("emergency")
def emergency(  # noqa: PLR0917 - typer calls it by name
    reason: MustReason,
    rollout: Which = "",
    duration: For = "1h",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Shorten this rollout's clocks. The taster and 30 s of canary remain; a second person must approve."""
    client = Client(name, run_dir)
    _say(client, output, verb="emergency", who=who, reason=reason, rollout=rollout, seconds=seconds(duration))


@commands.command("versions")
def versions(name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """List the kept versions, newest first: which are proven, and how many edges are told to run each."""
    client = Client(name, run_dir)
    found = client.get("/v1/bundles")
    if output is Format.JSON:
        print_json(found)
        return
    from seawall.cli import progress  # noqa: PLC0415 - loaded when needed

    told = client.get("/v1/rollouts")["view"]["bundles"]
    printer = Printer()
    rows = [
        (
            progress.short(one["name"]),
            one["createdAt"],
            printer.paint("last-known-good", Style.GOOD) if one["isGood"] else "",
            progress.many(told[one["name"]]) if one["name"] in told else "",
            printer.paint("pinned", Style.WARNING) if one["isPinned"] else "",
            str(one["resources"]),
            f"{one['bytes'] / 1024:,.0f} KiB",
        )
        for one in found
    ]
    if rows:
        printer.table(("VERSION", "MADE", "PROVEN", "ON", "", "RESOURCES", "SIZE"), rows)
    else:
        printer.line("No version is kept yet.")


@commands.command("replay")
def replay(one: One, name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """Handle a rollout's recorded events once more: are the decisions the same? Exit code 1 if they are not."""
    found = Client(name, run_dir).get(f"/v1/rollouts/{_quoted(one)}/replay")
    if output is Format.JSON:
        print_json(found)
    else:
        from seawall.cli import progress  # noqa: PLC0415 - loaded when needed

        printer = Printer()
        for each in found["decisions"]:
            progress.show_decision(printer, each, is_full=True)
        same = "the same decisions" if found["isSame"] else f"OTHER decisions: {found['difference']}"
        printer.line(f"{found['events']} events lead to {same}.")
    raise typer.Exit(Exit.OK if found["isSame"] else Exit.PROBLEMS)


def seconds(text: str) -> float:
    """Read `90s`, `30m`, `2h`, `1d`, `1h30m`."""
    parts = re.findall(r"(\d+)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        fail(f"{text!r} is no duration.", "Write it as 90s, 30m, 2h or 1d.")
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))


def _say(client: Client, output: Format, **command: Any) -> None:
    """Give a command and print what came of it; exit code 1 if it was not accepted."""
    command["who"] = command["who"] or _user()
    found = client.post("/v1/rollouts", command)
    if output is Format.JSON:
        print_json(found)
    else:
        printer = Printer()
        for line in found["answers"]:
            printer.line(line)
    raise typer.Exit(Exit.OK if found["isAccepted"] else Exit.PROBLEMS)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _quoted(name: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - loaded when needed

    if not name or "/" in name:
        fail(f"{name!r} is no name of a rollout.", "See them: seawall rollout status.")
    return quote(name, safe="")


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _first(view: dict[str, Any]) -> str:
    """Name the rollout that is meant where none is named: what is under way, else what waits."""
    return str(view["rollout"]["rollout"] if view["rollout"] is not None else view["waiting"])


def _outcome(client: Client, view: dict[str, Any], wanted: str) -> str:
    """Say how a rollout has ended; empty while it has not. Raises ConfigError if nobody knows it."""
    if not wanted or wanted in (view["waiting"], (view["rollout"] or {}).get("rollout")):
        return ""
    for one in view["finished"]:
        if one["rollout"] == wanted:
            return str(one["outcome"])
    return str(client.get(f"/v1/rollouts/{_quoted(wanted)}")["outcome"])


def _is_bad(found: dict[str, Any], rollout: str) -> bool:
    view = found["view"]
    if found["history"]["problem"] or (view["pin"] is not None and view["waiting"]):
        return True
    if view["rollout"] is not None:
        return bool(view["rollout"]["is_held"]) and rollout in ("", view["rollout"]["rollout"])
    return not rollout and bool(view["finished"]) and view["finished"][0]["outcome"] in _BAD


def _show(client: Client, found: dict[str, Any], wanted: str, output: Format, *, is_fresh: bool) -> None:
    """Show the whole, or, of a rollout that is not the current one, its story."""
    from seawall.cli import progress  # noqa: PLC0415 - loaded when needed

    is_current = wanted in ("", found["view"]["waiting"], (found["view"]["rollout"] or {}).get("rollout"))
    story = None if is_current else client.get(f"/v1/rollouts/{_quoted(wanted)}")
    if output is Format.JSON:
        print_json(found if story is None else story)
        return
    if is_fresh:
        typer.echo(_CLEAR, nl=False)
    printer = Printer()
    if story is None:
        progress.show(printer, found)
    else:
        progress.show_story(printer, story)
    printer.flush()


def _again(client: Client) -> dict[str, Any]:
    """Ask once more, with patience: who was just upgraded or has died is back, or replaced, soon."""
    from seawall.kit.errors import UnavailableError  # noqa: PLC0415 - loaded when needed

    end = time.monotonic() + _PATIENCE
    while True:
        try:
            found: dict[str, Any] = client.get("/v1/rollouts")
        except UnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(_INTERVAL)
        else:
            return found
