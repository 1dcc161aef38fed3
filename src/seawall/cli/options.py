"""Options that several commands share: one spelling, one meaning, one help text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seawall.cli.output import Format, fail

if TYPE_CHECKING:
    from seawall.server.tls import TlsFiles

Manifests = Annotated[
    Path,
    typer.Argument(metavar="PATH", help="A folder of manifests (searched through), or one file.", show_default=False),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Text for people or JSON for programs.")]
Name = Annotated[str, typer.Option("--name", help="Which instance, where several run on this host.")]
RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        help="Folder for lock and sockets; gone at the end. Default: $XDG_RUNTIME_DIR/seawall/NAME or /tmp/seawall-UID/NAME.",
        show_default=False,
    ),
]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Folder for what survives a restart.", show_default=False)
]
AddressPool = Annotated[
    list[str] | None,
    typer.Option(
        "--address-pool",
        metavar="FIRST-LAST",
        help="Give each Gateway an address of its own from here. Repeatable.",
        show_default=False,
    ),
]
UsableAddress = Annotated[
    list[str] | None,
    typer.Option(
        "--usable-address", metavar="IP", help="An address that a Gateway may ask for. Repeatable.", show_default=False
    ),
]
TrustedHops = Annotated[
    int,
    typer.Option("--trusted-hops", min=0, help="Proxies in front of the edge whose X-Forwarded-For is believed."),
]
Envoy = Annotated[
    str,
    typer.Option("--envoy", metavar="PATH", help="The Envoy to run; by default the one on PATH.", show_default=False),
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=0, help="Worker threads of Envoy; 0: one for each core.", show_default=False)
]
Authority = Annotated[
    str, typer.Option("--ca", metavar="FILE", help="Certificates (PEM) that the other side's must be signed by.")
]
Certificate = Annotated[
    str, typer.Option("--cert", metavar="FILE", help="Our certificate (PEM); a renewed one is picked up.")
]
Key = Annotated[str, typer.Option("--key", metavar="FILE", help="The key of our certificate (PEM).")]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="No TLS, on loopback addresses only: for trials on one host.")
]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log-level", help="How much to log.")]


def beside(cert: str, name: str) -> Path | None:
    """Find a file that lies beside our certificate, as `seawall pki` puts it there."""
    file = Path(cert).with_name(name) if cert else None
    return file if file is not None and file.is_file() else None


def tls_files(ca: str, cert: str, key: str) -> "TlsFiles | None":
    """Gather the three files of one side; none of them: no TLS."""
    from seawall.server.tls import TlsFiles  # noqa: PLC0415 - loaded when needed

    if not (ca or cert or key):
        return None
    if not (ca and cert and key):
        fail("--ca, --cert and --key belong together.", "Give all three; `seawall pki` can make the files.")
    return TlsFiles(authority=ca, certificate=cert, key=key)
