"""`seawall up`: everything in one command, and a terminal that says what is going on."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.check import print_problem
from seawall.cli.options import (
    AddressPool,
    Concurrency,
    Envoy,
    LogLevel,
    Manifests,
    Name,
    Output,
    RunDir,
    StateDir,
    TrustedHops,
    UsableAddress,
)
from seawall.cli.output import Format, Printer, Style, plain

if TYPE_CHECKING:
    from seawall.app.config import UpSettings
    from seawall.app.news import Event
    from seawall.app.overview import ListenerLine, Overview
    from seawall.app.rundir import RunDir as HeldRunDir


def up(  # noqa: PLR0917 - typer calls it by name
    path: Manifests,
    name: Name = "default",
    bind: Annotated[str, typer.Option(metavar="IP", help="Address of Gateways that ask for none.")] = "127.0.0.1",
    address_pool: AddressPool = None,
    usable_address: UsableAddress = None,
    trusted_hops: TrustedHops = 0,
    envoy: Envoy = "",
    concurrency: Concurrency = 0,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Envoy's /metrics on this port of 127.0.0.1; 0: any free one.")
    ] = 0,
    run_dir: RunDir = None,
    state_dir: StateDir = None,
    output: Output = Format.TEXT,
    log_level: LogLevel = "error",
) -> None:
    """Run a control plane and one edge (agent and Envoy) on a folder of manifests, and follow its changes.

    Ctrl-C drains and leaves nothing behind; a second one ends it at once.
    """
    from seawall.agent.settings import AgentSettings  # noqa: PLC0415 - loaded when needed
    from seawall.app.config import ServeSettings, UpSettings  # noqa: PLC0415 - loaded when needed
    from seawall.app.process import set_up_log  # noqa: PLC0415 - loaded when needed
    from seawall.app.rundir import default_run_dir, hold  # noqa: PLC0415 - loaded when needed
    from seawall.envoy.access_log import PATH  # noqa: PLC0415 - loaded when needed
    from seawall.envoy.listeners import EdgeDefaults  # noqa: PLC0415 - loaded when needed
    from seawall.gateway.settings import Settings  # noqa: PLC0415 - loaded when needed

    set_up_log(level=log_level)
    folder = run_dir or default_run_dir(name)
    with hold(folder, name, str(path)) as run:
        state = state_dir or run.folder("state")
        gateway = Settings(bind=bind, pool=tuple(address_pool or ()), usable=tuple(usable_address or ()))
        edge = AgentSettings(
            edge=name,
            state_dir=str(state),
            run_dir=str(run.path / "edge"),
            envoy=envoy,
            concurrency=concurrency,
            metrics=f"127.0.0.1:{metrics_port}",
            is_bound=True,
        )
        serve = ServeSettings(
            path=path,
            run_dir=run.path,
            name=name,
            state_dir=state,
            gateway=gateway,
            door=EdgeDefaults(trusted_hops=trusted_hops, access_log=PATH),
        )
        _run(UpSettings(serve=serve, edge=edge), run, output)


def _run(settings: "UpSettings", run: "HeldRunDir", output: Format) -> None:
    from seawall.app import process  # noqa: PLC0415 - loaded when needed
    from seawall.app.up import up as run_up  # noqa: PLC0415 - loaded when needed

    display = JsonDisplay() if output is Format.JSON else TextDisplay(str(settings.serve.path), settings.serve.name)

    async def main(stop: asyncio.Event) -> None:
        await run_up(settings, run, stop, display)

    process.run(main, on_second_signal=run.discard)


class TextDisplay:
    """Prints tables and lines."""

    def __init__(self, path: str, name: str) -> None:
        self._printer = Printer()
        self._path = path
        self._name = name
        self._listeners: dict[str, str] = {}

    def started(self, seen: "Overview") -> None:
        printer = self._printer
        self._listeners = {one.url: one.fault for one in seen.listeners}
        printer.line(f"{printer.paint('Seawall', Style.STRONG)} serves {self._path}")
        self._print(seen)
        if seen.curls:
            printer.line()
            printer.line(printer.paint("Try", Style.STRONG))
            for line in seen.curls:
                printer.line(f"  {line}")
        options = f" --name {self._name}" if self._name != "default" else ""
        printer.line()
        printer.line(f"Edit a file in {self._path} and see. More: seawall status{options}. Ctrl-C ends it.")
        printer.line()
        printer.flush()

    def changed(self, seen: "Overview") -> None:
        """Print what became of listeners. Of routes each object has its line; the whole table would hide those."""
        if not self._listeners and seen.listeners:
            self.started(seen)
            return
        before, self._listeners = self._listeners, {one.url: one.fault for one in seen.listeners}
        for url, fault in self._listeners.items():
            if before.get(url) != fault:
                self._printer.line(f"listener: {url} {self._state(fault)}")
        for url in before.keys() - self._listeners.keys():
            self._printer.line(f"listener: {url} closed")
        self._printer.flush()

    def event(self, event: "Event") -> None:
        printer = self._printer
        if event.kind == "problem" and event.problem is not None:
            print_problem(printer, event.problem)
        elif event.kind == "solved" and event.problem is not None:
            about = f"{event.problem['object']}: " if event.problem["object"] else ""
            printer.line(f"{printer.paint('solved:', Style.GOOD)} {about}{event.text}")
        elif event.kind == "live":
            printer.line(f"{printer.paint('live:', Style.GOOD)} {event.text} ({event.took * 1000:.0f} ms)")
        elif event.kind == "more":
            printer.line(f"… and {event.text}")
        else:
            printer.line(f"{printer.paint(f'{event.kind}:', Style.WARNING)} {event.text}")
        printer.flush()

    def stopping(self) -> None:
        self._printer.line("Draining; Ctrl-C again ends it at once.")
        self._printer.flush()

    def _print(self, seen: "Overview") -> None:
        if not seen.listeners:
            self._printer.line("  Nothing yet: there is no Gateway of a class of ours with a listener that can serve.")
        for listener in seen.listeners:
            self._print_listener(listener)

    def _state(self, fault: str) -> str:
        return (
            self._printer.paint("cannot be opened", Style.ERROR) if fault else self._printer.paint("open", Style.GOOD)
        )

    def _print_listener(self, listener: "ListenerLine") -> None:
        printer = self._printer
        printer.line()
        printer.line(f"{printer.paint(listener.url, Style.STRONG)}  {self._state(listener.fault)}")
        if listener.fault:
            printer.line(f"    → {listener.fault}")
        rows = [
            (
                one.host,
                one.match,
                one.target,
                printer.paint("ok", Style.GOOD) if one.is_served else printer.paint("no backend", Style.ERROR),
            )
            for one in listener.routes
        ]
        if rows:
            printer.table(("HOST", "MATCH", "TO", "STATE"), rows)
        if listener.more:
            printer.line(f"  … and {listener.more} more routes")


class JsonDisplay:
    """Prints one JSON object a line: `{"event": …}`."""

    def started(self, seen: "Overview") -> None:
        self._say("started", plain(seen))

    def changed(self, seen: "Overview") -> None:
        self._say("changed", plain(seen))

    def event(self, event: "Event") -> None:
        self._say(event.kind, plain(event))

    def stopping(self) -> None:
        self._say("stopping", {})

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        import json  # noqa: PLC0415 - loaded when needed

        print(json.dumps({"event": kind, **data}), flush=True)  # noqa: T201 - this is the output
