"""`seawall attacks`, `top`, `why`, `verdict` and `protection`: see an attack, act by hand, undo, and ask for the reason."""

import getpass
from typing import Annotated, Any

import typer

from seawall.cli.client import Client
from seawall.cli.options import Name, Output, RunDir
from seawall.cli.output import Exit, Format, Printer, Style, print_json

verdicts = typer.Typer(
    name="verdict", help="Act by hand: deny, limit or allow somebody, and take it back.", no_args_is_help=True
)
switch = typer.Typer(
    name="protection", help="Whether verdicts act: the one switch that undoes everything.", no_args_is_help=True
)
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.", show_default=False)]
Who = Annotated[str, typer.Option("--as", help="Who says so; by default your login.", show_default=False)]
Match = Annotated[
    list[str],
    typer.Argument(
        help="What has to match: FIELD=VALUE, several times: address=192.0.2.0/24 path=/login agent=curl/8."
    ),
]
Route = Annotated[str, typer.Option("--route", help="Only on this route.", show_default=False)]
For = Annotated[float, typer.Option("--for", help="For so many seconds.")]


def attacks(
    ended: Annotated[bool, typer.Option("--ended", help="Name the reports of attacks that are over.")] = False,
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Show attacks: which routes are in excess, what is done about whom, what still leaks."""
    found = Client(name, run_dir).get("/v1/attacks")
    if output is Format.JSON:
        print_json(found["ended"] if ended else found)
        return
    printer = Printer()
    if ended:
        for one in found["ended"]["reports"]:
            printer.line(f"{found['ended']['folder']}/{one}.html (and .md)")
        if not found["ended"]["reports"]:
            printer.line("No attack has ended since reports are kept; they need a state directory.")
        return
    if not found["enforces"]:
        printer.line("Verdicts only say what they would do (observe).")
        printer.line("  → Let them act: a ProtectionPolicy with mode: enforce, or seawall protection enforce")
    for one in found["attacks"]:
        printer.line(
            printer.paint(f"{one['route'] or '(no route)'}: in excess for {one['seconds']:.0f} s, ", Style.ERROR)
            + f"at most {one['peak']:.0f} requests/s"
        )
    if not found["attacks"]:
        printer.line("No route is in excess.")
    _print_verdicts(printer, found["verdicts"])
    if found["more"]:
        printer.line(f"  … and {found['more']} more: --output json")
    for one in found["lately"][-10:]:
        printer.line(f"  {one['at']}  {one['what']:<13} {one['subject'][:60]}: {one['said'][:160]}")
    if found["attacks"]:
        raise typer.Exit(Exit.PROBLEMS)


def top(
    seconds: Annotated[int, typer.Option("--seconds", min=1, max=600, help="Over the last so many seconds.")] = 8,
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Show who asks most, for what, with which client."""
    found = Client(name, run_dir).get(f"/v1/top?seconds={seconds}")
    if output is Format.JSON:
        print_json(found)
        return
    printer = Printer()
    printer.line(
        f"{found['requests']:.1f} requests/s from about {found['clients']:.0f} addresses, over {found['seconds']} s"
    )
    for title, values in (("route", found["routes"]), ("5xx on route", found["errors"]), *found["busy"].items()):
        if values:
            printer.line(f"{title}:")
            for one in values[:5]:
                printer.line(f"  {one['rate']:>10.1f}/s  {_plain(one['value'])}")


def why(
    reference: Annotated[str, typer.Argument(help="The reference on the refused response (x-seawall-ref).")],
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Say why a request was refused: verdict, evidence, guards, author, end."""
    found = Client(name, run_dir).get(f"/v1/why/{reference}")
    if output is Format.JSON:
        print_json(found)
        return
    for sentence in found["sentences"]:
        Printer().line(_plain(sentence))


@verdicts.command("list")
def list_(name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """List the verdicts in force."""
    found = Client(name, run_dir).get("/v1/attacks")["verdicts"]
    if output is Format.JSON:
        print_json(found)
        return
    _print_verdicts(Printer(), found)
    if not found:
        Printer().line("No verdict is in force.")


@verdicts.command("add")
def add(  # noqa: PLR0917 - typer calls it by name
    match: Match,
    do: Annotated[str, typer.Option("--do", help="deny, limit, tarpit, drop or tag.")] = "deny",
    rate: Annotated[float, typer.Option("--rate", help="For a limit: requests a second.")] = 0.0,
    route: Route = "",
    seconds: For = 3600.0,
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Do something about whoever matches, now and on all edges. It acts also while protection only observes."""
    body = {"match": _match(match), "route": route, "kind": do, "rate": rate, "seconds": seconds}
    _order(Client(name, run_dir), {"verb": "add", **body}, who, reason, output)


@verdicts.command("allow")
def allow(  # noqa: PLR0917 - typer calls it by name
    match: Match,
    route: Route = "",
    seconds: For = 86400.0,
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Never touch whoever matches; automatic verdicts about them end."""
    body = {"match": _match(match), "route": route, "seconds": seconds}
    _order(Client(name, run_dir), {"verb": "allow", **body}, who, reason, output)


@verdicts.command("remove")
def remove(
    verdict: Annotated[str, typer.Argument(help="The verdict's name, as `seawall attacks` shows it.")],
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """End a verdict on all edges."""
    _order(Client(name, run_dir), {"verb": "remove", "verdict": verdict}, who, reason, output)


@switch.command("status")
def status(name: Name = "default", run_dir: RunDir = None, output: Output = Format.TEXT) -> None:
    """Show whether verdicts act, what each edge holds, and what of its traffic got lost on the way."""
    found = Client(name, run_dir).get("/v1/protection")
    if output is Format.JSON:
        print_json(found)
        return
    printer = Printer()
    printer.line("Verdicts act." if found["enforces"] else "Verdicts only say what they would do (observe).")
    printer.line(f"{found['verdicts']} in force.")
    for edge, one in found["edges"].items():
        printer.line(f"  {edge}: {one['entries']} verdicts, the last change after {1000 * one['took']:.0f} ms")
        for verdict, reason in list(one["refused"].items())[:5]:
            printer.line(f"    cannot hold {verdict}: {reason}")
    for reason, count in found["lost"].items():
        if count:
            printer.line(f"  not counted, {reason}: {count:.0f}")


@switch.command("observe")
def observe(
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """Undo everything that was decided automatically, on all edges at once; only say what would be done."""
    _order(Client(name, run_dir), {"verb": "observe"}, who, reason, output)


@switch.command("enforce")
def enforce(
    reason: Reason = "",
    who: Who = "",
    name: Name = "default",
    run_dir: RunDir = None,
    output: Output = Format.TEXT,
) -> None:
    """End `observe`: verdicts act as the policy says."""
    _order(Client(name, run_dir), {"verb": "enforce"}, who, reason, output)


def _order(client: Client, body: dict[str, Any], who: str, reason: str, output: Format) -> None:
    done = client.post("/v1/protection", {**body, "who": who or getpass.getuser(), "reason": reason})
    if output is Format.JSON:
        print_json(done)
        return
    for one in done["said"]:
        Printer().line(f"{one['what']}: {_plain(one['subject'])}: {_plain(one['said'])}")


def _match(said: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in said:
        field, equals, value = one.partition("=")
        if not equals:
            raise typer.BadParameter(f"{one!r} is not FIELD=VALUE.")
        found[field] = value
    return found


def _print_verdicts(printer: Printer, found: list[dict[str, Any]]) -> None:
    for one in found:
        rate = f" to {one['rate']:g}/s" if one["kind"] == "limit" else ""
        printer.line(f"{one['id']}  {one['does']}{rate}, {one['mode']}: {_plain(one['scope'])}")
        printer.line(
            f"    by {one['author']}: {_plain(one['reason'])}; {one['hitsPerSecond']:.1f} hits/s, {one['leaks']:.1f}/s leak, "
            f"{one['secondsLeft']:.0f} s left"
        )


def _plain(text: str) -> str:
    """What clients wrote goes to a terminal: letters only, no controls."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)[:300]
