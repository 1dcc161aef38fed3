"""`seawall serve`: the control plane alone, as in production."""

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.options import (
    AddressPool,
    Authority,
    Certificate,
    Insecure,
    Key,
    LogLevel,
    Manifests,
    Name,
    RunDir,
    StateDir,
    TrustedHops,
    UsableAddress,
    beside,
    tls_files,
)


def serve(  # noqa: PLR0917 - typer calls it by name
    path: Manifests,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where agents call.")] = "0.0.0.0:9443",
    xds: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Also serve plain delta ADS here.", show_default=False)
    ] = "",
    ca: Authority = "",
    cert: Certificate = "",
    key: Key = "",
    insecure: Insecure = False,
    bind: Annotated[str, typer.Option(metavar="IP", help="Address of Gateways that ask for none.")] = "0.0.0.0",  # noqa: S104
    address_pool: AddressPool = None,
    usable_address: UsableAddress = None,
    trusted_hops: TrustedHops = 0,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Console and /metrics on this port of 127.0.0.1; 0: only the socket.")
    ] = 0,
    name: Name = "default",
    run_dir: RunDir = None,
    state_dir: StateDir = None,
    history: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="postgresql://user@host/database that several control planes share; by default a file in --state-dir.",
            show_default=False,
        ),
    ] = "",
    signing_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The key (Ed25519, PEM) that signs what edges run; "
            "by default bundle.key beside --cert, or in --state-dir, where it is made.",
            show_default=False,
        ),
    ] = None,
    vault_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="32 random bytes: private keys are encrypted with them in the history.",
            show_default=False,
        ),
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Run the control plane: read manifests, tell edges what to run.

    Edges that lose it serve on. Ctrl-C stops it; it can be started again at any time.
    """
    from seawall.app import process  # noqa: PLC0415 - loaded when needed
    from seawall.app.config import ServeSettings  # noqa: PLC0415 - loaded when needed
    from seawall.app.rundir import default_run_dir, hold  # noqa: PLC0415 - loaded when needed
    from seawall.app.serve import serve as run_serve  # noqa: PLC0415 - loaded when needed
    from seawall.envoy.access_log import PATH  # noqa: PLC0415 - loaded when needed
    from seawall.envoy.listeners import EdgeDefaults  # noqa: PLC0415 - loaded when needed
    from seawall.gateway.settings import Settings  # noqa: PLC0415 - loaded when needed

    process.set_up_log(level=log_level)
    folder = run_dir or default_run_dir(name)
    settings = ServeSettings(
        path=path,
        run_dir=folder,
        name=name,
        state_dir=state_dir or default_state_dir(name),
        gateway=Settings(bind=bind, pool=tuple(address_pool or ()), usable=tuple(usable_address or ())),
        door=EdgeDefaults(trusted_hops=trusted_hops, access_log=PATH),
        edges=listen,
        xds=xds,
        tls=tls_files(ca, cert, key),
        is_insecure=insecure,
        console=f"127.0.0.1:{metrics_port}" if metrics_port else "",
        history=history,
        signing_key=signing_key or beside(cert, "bundle.key"),
        vault_key=vault_key,
    )
    with hold(folder, name, str(path)) as run:
        process.run(lambda stop: run_serve(settings, run, stop), on_second_signal=run.discard)


def default_state_dir(name: str) -> Path:
    """Return where an instance keeps what survives a restart unless `--state-dir` says otherwise."""
    import os  # noqa: PLC0415 - see above

    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(home) / "seawall" / name
