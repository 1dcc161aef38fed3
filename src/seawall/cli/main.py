"""The `seawall` command: which commands there are.

A command's file loads quickly; what it needs to do its work, it loads when it runs.
"""

import os
import sys

import typer

from seawall.cli import (
    agent,
    check,
    completion,
    diff,
    edge,
    explain,
    pki,
    protection,
    render,
    rollout,
    serve,
    status,
    up,
    version,
)
from seawall.cli.output import Exit, Printer, Style

_HELP = """Run a network edge from a folder of Gateway API manifests.

Exit codes: 0 all is well; 1 problems were found, and are printed; 2 the command could not run, and says why.
"""

app = typer.Typer(
    name="seawall",
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.up)
app.command("check")(check.check)
app.command("render")(render.render)
app.command("explain")(explain.explain)
app.command("status")(status.status)
app.command("diff")(diff.diff)
app.add_typer(rollout.commands, name="rollout")
app.command("attacks")(protection.attacks)
app.command("top")(protection.top)
app.command("why")(protection.why)
app.add_typer(protection.verdicts, name="verdict")
app.add_typer(protection.switch, name="protection")
app.command("serve")(serve.serve)
app.command("agent")(agent.agent)
app.add_typer(edge.commands, name="edge")
app.add_typer(pki.commands, name="pki")
app.command("completion")(completion.completion)
app.command("version")(version.version)


def main() -> None:
    """Run the command line. Errors that somebody can act on end it with a sentence and a code, not with a traceback."""
    from seawall.kit.errors import ConfigError, UnavailableError  # noqa: PLC0415 - completion need not load it

    # gRPC would comment on every process that we start; those we start do not use it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        app(prog_name="seawall")
    except ConfigError as exc:
        place = f"{exc.place}: " if exc.place is not None else ""
        _fail(f"{place}{exc.message}", exc.hint)
    except UnavailableError as exc:
        _fail(str(exc))
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)


def _fail(message: str, hint: str = "") -> None:
    printer = Printer(sys.stderr)
    printer.line(f"{printer.paint('error:', Style.ERROR)} {message}")
    if hint:
        printer.line(f"  → {hint}")
    sys.exit(Exit.CANNOT)
