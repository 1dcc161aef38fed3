"""`seawall agent`: one edge: an Envoy, kept alive and told what to do."""

import socket
from typing import Annotated

import typer

from seawall.cli.options import (
    Authority,
    Certificate,
    Concurrency,
    Envoy,
    Insecure,
    Key,
    LogLevel,
    RunDir,
    StateDir,
    beside,
    tls_files,
)
from seawall.cli.output import fail
from seawall.cli.serve import default_state_dir


def agent(  # noqa: PLR0917 - typer calls it by name
    control: Annotated[
        list[str],
        typer.Option(
            metavar="HOST:PORT", help="The control plane, or unix:/path. Repeatable: tried in turn.", show_default=False
        ),
    ],
    edge: Annotated[
        str,
        typer.Option(help="Name of this edge, as in its certificate; by default the host's name.", show_default=False),
    ] = "",
    ca: Authority = "",
    cert: Certificate = "",
    key: Key = "",
    insecure: Insecure = False,
    envoy: Envoy = "",
    concurrency: Concurrency = 0,
    max_heap_mib: Annotated[
        int, typer.Option(min=0, help="Envoy's heap in MiB; 0: as much as the memory limit allows.", show_default=False)
    ] = 0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds that connections get to finish at the end.")] = 10.0,
    metrics: Annotated[
        str, typer.Option(metavar="IP:PORT", help="Where /metrics, /ready and /live are served; empty: nowhere.")
    ] = "127.0.0.1:9701",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Where it stands: region=eu, cell=eu-1. Repeatable.", show_default=False
        ),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Public key of the control plane, 64 hexadecimal digits; by default the first that comes. Repeatable.",
            show_default=False,
        ),
    ] = None,
    trust_file: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File with such keys, one on each line; read again at each order; by default bundle.pub beside --cert.",
            show_default=False,
        ),
    ] = "",
    kernel_connections: Annotated[
        int, typer.Option(min=0, help="Connections that the kernel allows each client (nftables); 0 for any number.")
    ] = 0,
    kernel_new: Annotated[
        int, typer.Option(min=0, help="New connections a second that the kernel allows each client; 0 for any number.")
    ] = 0,
    syn_proxy: Annotated[
        bool,
        typer.Option("--syn-proxy", help="Let the kernel finish handshakes before Envoy hears of them (nftables)."),
    ] = False,
    run_dir: RunDir = None,
    state_dir: StateDir = None,
    log_level: LogLevel = "info",
) -> None:
    """Run one edge: start Envoy, keep it alive, and keep its last good configuration on disk.

    The edge serves without a control plane, too, from its disk. Ctrl-C drains it.
    """
    from seawall.agent.settings import AgentSettings  # noqa: PLC0415 - loaded when needed
    from seawall.app import process  # noqa: PLC0415 - loaded when needed
    from seawall.app.edge import run_edge  # noqa: PLC0415 - loaded when needed
    from seawall.app.rundir import default_run_dir  # noqa: PLC0415 - loaded when needed
    from seawall.fleet.nftables import Limits  # noqa: PLC0415 - loaded when needed
    from seawall.kit.units import Seconds  # noqa: PLC0415 - loaded when needed

    process.set_up_log(level=log_level)
    name = edge or socket.gethostname()
    settings = AgentSettings(
        edge=name,
        state_dir=str(state_dir or default_state_dir(f"edge-{name}")),
        run_dir=str(run_dir or default_run_dir(f"edge-{name}")),
        control=tuple(control),
        tls=tls_files(ca, cert, key),
        is_insecure=insecure,
        envoy=envoy,
        concurrency=concurrency,
        max_heap=max_heap_mib << 20,
        drain=Seconds(drain),
        metrics=metrics,
        labels=_labels(label or []),
        kernel=Limits(connections=kernel_connections, new_per_second=kernel_new, syn_proxy=syn_proxy),
        trusted=tuple(trust or ()),
        trust_file=trust_file or ("" if trust else str(beside(cert, "bundle.pub") or "")),
    )

    process.run(lambda stop: run_edge(settings, stop))


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name:
            fail(f"{pair!r} is no label.", "A label is NAME=VALUE, for example --label region=eu.")
        labels[name] = value
    return labels
