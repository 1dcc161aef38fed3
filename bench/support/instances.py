"""Instances: Seawall as its users run it: `seawall up`, `seawall serve`, `seawall agent`, as processes of their own."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

import seawall
from bench.support.probe import Probe
from bench.support.programs import Failure, descendants, named, running, wait_for

_SOURCES = Path(seawall.__file__).parent.parent
SEAWALL = (sys.executable, "-m", "seawall")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A running command of ours. `log` holds its JSON lines."""

    child: Any
    log: Path

    @property
    def pid(self) -> int:
        return int(self.child.pid)

    @property
    def envoys(self) -> list[int]:
        return named(descendants(self.pid), "envoy")

    def require_alive(self) -> None:
        """Raises Failure with the end of the log if the command has ended."""
        if self.child.poll() is not None:
            raise Failure(f"seawall ended by itself:\n{self.log.read_text(errors='replace')[-2000:]}")

    def wait_for_200(self, port: int, host: str, timeout: float = 180.0, pause: float = 0.005) -> float:
        """Return how long it took until the edge answered for a host."""
        return self.wait_for(port, host, 200, timeout, pause)

    def wait_for(self, port: int, host: str, status: int, timeout: float = 180.0, pause: float = 0.005) -> float:
        """Return how long it took until the edge answered so for a host."""
        probe = Probe(port)

        def is_live() -> bool:
            self.require_alive()
            return probe.ask(host) == status

        try:
            return wait_for(f"a {status} for {host}", is_live, timeout, self.log, pause)
        finally:
            probe.close()


@contextmanager
def up(
    folder: Path, run_dir: Path, *, cores: Iterable[int] | None = None, log_level: str = "warning"
) -> Iterator[Instance]:
    """Run `seawall up` on a folder; it does not wait for it to serve."""
    with _seawall(["up", folder, "--run-dir", run_dir, "--log-level", log_level], run_dir, cores) as instance:
        yield instance


@contextmanager
def serve(folder: Path, run_dir: Path, port: int, *words: str) -> Iterator[Instance]:
    """Run a control plane that agents reach on `port` of 127.0.0.1, and over its unix socket."""
    state_dir = run_dir.with_name(f"{run_dir.name}-state")
    command: list[str | Path] = ["serve", folder, "--run-dir", run_dir, "--state-dir", state_dir, "--insecure"]
    command += ["--listen", f"127.0.0.1:{port}", "--bind", "127.0.0.1", "--log-level", "warning", *words]
    with _seawall(command, run_dir) as instance:
        yield instance


@contextmanager
def agent(control: str, run_dir: Path, state_dir: Path, *words: str) -> Iterator[Instance]:
    """Run an agent with its Envoy, one worker, and end it without a long drain."""
    command: list[str | Path] = [
        "agent",
        "--control",
        control,
        "--edge",
        "bench",
        "--run-dir",
        run_dir,
        "--state-dir",
        state_dir,
    ]
    fixed = ["--metrics", "127.0.0.1:0", "--concurrency", "1", "--drain", "0", "--log-level", "warning"]
    command += [*fixed, *words]
    with _seawall(command, run_dir) as instance:
        yield instance


@contextmanager
def _seawall(words: list[str | Path], run_dir: Path, cores: Iterable[int] | None = None) -> Iterator[Instance]:
    log = run_dir.with_name(f"{run_dir.name}.log")
    log.unlink(missing_ok=True)
    path = os.pathsep.join([str(_SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
    with running([*SEAWALL, *words], log, cores=cores, env={"PYTHONPATH": path}) as child:
        yield Instance(child=child, log=log)


def logged(log: Path, event: str) -> list[tuple[float, dict[str, Any]]]:
    """Return the lines of a log that tell of an event, with when it was, in seconds since the epoch."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if event in line and line.startswith("{"):
            fields = json.loads(line)
            if fields.get("event") == event:
                found.append((datetime.fromisoformat(fields["timestamp"]).timestamp(), fields))
    return found
