"""`seawall pki`: an authority and certificates for those who have none, and the key that signs what edges run."""

import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.options import Output
from seawall.cli.output import Format, print_json

commands = typer.Typer(
    help="Make a certificate authority, short-lived certificates, and keys to sign with.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the authority.", show_default=False)]


class Role(StrEnum):
    """Whom a certificate is for."""

    CONTROL = "control"
    EDGE = "edge"


@commands.command()
def init(folder: Folder, output: Output = Format.TEXT) -> None:
    """Make an authority, and the key that signs what edges run. Neither key belongs on an edge."""
    from seawall.app import pki  # noqa: PLC0415 - loading cryptography takes longer than all of the rest

    _show(pki.create_authority(folder, _now()), output)


@commands.command()
def issue(  # noqa: PLR0917 - typer calls it by name
    folder: Folder,
    role: Annotated[Role, typer.Argument(help="For a control plane or for an edge.", show_default=False)],
    name: Annotated[
        str, typer.Argument(help="Its name; an edge may connect under this name only.", show_default=False)
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name or address under which edges reach this control plane. Repeatable.", show_default=False
        ),
    ] = None,
    days: Annotated[int, typer.Option(help="How long it is valid.", min=1)] = 30,
    renew: Annotated[bool, typer.Option("--renew", help="Replace the certificate that is there.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Issue a certificate."""
    from seawall.app import pki  # noqa: PLC0415 - see above

    made = pki.issue(folder, role.value, name, _now(), hosts=tuple(host or ()), days=days, replaces=renew)
    _show(made, output)


@commands.command("signing-key")
def signing_key(folder: Folder, output: Output = Format.TEXT) -> None:
    """Make a key that signs what edges run; where there is one, the next one.

    DIR/bundle.pub then names both: give it to every edge before the next key takes the place of the first.
    """
    from seawall.app import pki  # noqa: PLC0415 - see above

    made = pki.create_signing_key(folder)
    _print({"key": str(made.key), "public": made.public, "trust": str(made.trust)}, output)


@commands.command("show-key")
def show_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A key that signs, as bundle.key.", show_default=False)],
    output: Output = Format.TEXT,
) -> None:
    """Print the public key of a signing key: what edges must trust (`seawall agent --trust KEY`)."""
    from seawall.app.signer import load_signing_key  # noqa: PLC0415 - see above

    public = load_signing_key(file).public
    if output is Format.JSON:
        print_json({"key": str(file), "public": public})
    else:
        # Nothing but the key: `--trust "$(seawall pki show-key FILE)"`.
        typer.echo(public)


def _show(made: Any, output: Format) -> None:
    shown = {
        "certificate": str(made.certificate),
        "key": str(made.key),
        "authority": str(made.authority),
        "expires": made.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if made.trust is not None:
        shown["trust"] = str(made.trust)
    _print(shown, output)


def _print(shown: dict[str, str], output: Format) -> None:
    if output is Format.JSON:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name + ':':<13}{value}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
