"""A real `seawall up` for tests: a process of its own, in folders of its own, with the real Envoy.

Nothing here reaches inside: it writes manifests as an operator would and asks the control socket as the command line does.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

Json = dict[str, Any]


class Instance:
    """A running `seawall up`. `folder` is the one it watches."""

    def __init__(self, root: Path, process: asyncio.subprocess.Process) -> None:
        self.root = root
        self.folder = root / "manifests"
        self.run_dir = root / "run"
        self.process = process

    @property
    def log(self) -> str:
        """Everything it said."""
        return (self.root / "log").read_text(encoding="utf-8", errors="replace")

    def write(self, name: str, *documents: Json) -> None:
        """Put a file in place as an editor does: at once."""
        target = self.folder / f"{name}.yaml"
        fresh = self.root / f"{name}.fresh"
        fresh.write_text(yaml.dump_all(documents, Dumper=_Dumper), encoding="utf-8")
        fresh.rename(target)

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink()

    async def get(self, path: str) -> Any:
        """Ask the control socket."""
        # Without `verify` it would read all CAs of the host each time, for a socket without TLS.
        transport = httpx.AsyncHTTPTransport(uds=str(self.run_dir / "control.sock"), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=10) as client:
            answer = await client.get(path)
            answer.raise_for_status()
            return answer.json()

    async def until(self, claim: Callable[[Json], bool], *, path: str = "/v1/status", within: float = 30.0) -> Any:
        """Wait until what `path` says fits; the last answer and the log are in the error if it never does."""
        end, last = time.monotonic() + within, None
        while time.monotonic() < end:
            if self.process.returncode is not None:
                raise AssertionError(f"seawall ended with {self.process.returncode}:\n{self.log}")
            try:
                last = await self.get(path)
                if claim(last):
                    return last
            except (httpx.HTTPError, OSError) as error:
                last = repr(error)
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {within} s: {path} says {last}\n{self.log}")

    async def well(self, within: float = 30.0) -> None:
        """Wait until every edge runs the newest snapshot."""
        await self.until(lambda status: bool(status["edges"]["connected"]) and _all_well(status), within=within)

    async def stop(self, number: int = signal.SIGINT) -> int:
        """End it as Ctrl-C would and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()


def _all_well(status: Json) -> bool:
    edges: Json = status["edges"]
    return bool(edges["well"] == edges["connected"])


class _Dumper(yaml.SafeDumper):
    """No anchors: the same value twice is written twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


@asynccontextmanager
async def seawall_up(files: dict[str, list[Json]], *options: str, root: Path | None = None) -> AsyncIterator[Instance]:
    """Run `seawall up` over these files until the block ends; every edge is well when the block begins."""
    root = root or Path(tempfile.mkdtemp(prefix="seawall-test-"))
    (root / "manifests").mkdir(parents=True, exist_ok=True)
    with (root / "log").open("ab") as log:
        seed = Instance(root, None)  # type: ignore[arg-type]  # only to write files before there is a process
        for name, documents in files.items():
            seed.write(name, *documents)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "seawall", "up", str(root / "manifests")),
            *("--run-dir", str(root / "run"), "--concurrency", "1", *options),
            stdout=log,
            stderr=log,
            env={**os.environ, "NO_COLOR": "1"},
        )
    instance = Instance(root, process)
    try:
        await instance.well()
        yield instance
    finally:
        if process.returncode is None:
            try:
                await instance.stop()
            except TimeoutError:
                process.kill()
                await process.wait()
        shutil.rmtree(root, ignore_errors=True)


def free_port() -> int:
    """A port that nobody holds now. (A manifest must name a port, so it cannot be bound as 0.)"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
