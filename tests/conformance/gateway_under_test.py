"""The gateway under test: everything that the suite knows of Seawall is in this file.

Talks to a real `seawall up` as an operator does: starts the command, writes manifests into its folder, reads its control
socket. `Gateway` is what the runner asks for; another implementation fits behind it.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.conformance.clients.http import Outgoing
from tests.conformance.clients.http1 import converse
from tests.conformance.data import Json
from tests.conformance.manifests import Key, key_of

CONTROLLER = "seawall.dev/gateway-controller"
_ADDRESSES = ("--address-pool", "127.2.0.1-127.2.0.199", "--usable-address", "127.2.0.250")
_ROOT = Path(__file__).parents[2]
_STOP_WITHIN = 20.0


class Gateway(Protocol):
    """What the runner needs of an implementation."""

    def put(self, obj: Json) -> None:
        """Apply an object, new or changed."""

    def remove(self, key: Key) -> None:
        """Delete an object."""

    async def object(self, key: Key) -> Json | None:
        """Return metadata and status of an object, None if it is not there."""

    async def keys(self) -> set[Key]:
        """Name all objects it knows."""


class Seawall:
    """A running `seawall up` and the folder it watches."""

    def __init__(self, root: Path, process: "subprocess.Popen[bytes]") -> None:
        self._root = root
        self._process = process
        (root / "fresh").mkdir()

    def put(self, obj: Json) -> None:
        # Renamed into place, as editors do: nobody ever reads half a file.
        fresh = self._root / "fresh" / "object.yaml"
        fresh.write_text(yaml.safe_dump(obj, sort_keys=False), encoding="utf-8")
        fresh.rename(self._file(key_of(obj)))

    def remove(self, key: Key) -> None:
        self._file(key).unlink()

    async def object(self, key: Key) -> Json | None:
        kind, namespace, name = key
        answer: Json | None = await self._ask(f"/v1/objects/{kind}/{namespace or '_'}/{name}")
        return answer

    async def keys(self) -> set[Key]:
        objects: list[Json] = await self._ask("/v1/objects") or []
        return {key_of(obj) for obj in objects}

    async def started(self, within: float) -> None:
        """Wait until the control socket answers. Raises AssertionError with its words if it does not."""
        async with asyncio.timeout(within):
            while True:
                with contextlib.suppress(OSError, EOFError):
                    if await self._ask("/v1/status"):
                        return
                await asyncio.sleep(0.05)

    def log(self) -> str:
        """Everything it said."""
        return (self._root / "log").read_text(encoding="utf-8", errors="replace")

    def _file(self, key: Key) -> Path:
        return self._root / "manifests" / f"{'-'.join(part for part in key if part)}.yaml"

    async def _ask(self, path: str) -> Any:
        if (code := self._process.poll()) is not None:
            raise AssertionError(f"seawall ended with {code}:\n{self.log()[-4000:]}")
        reader, writer = await asyncio.open_unix_connection(self._root / "run" / "control.sock")
        try:
            question = Outgoing(method="GET", path=path, host="seawall", headers=(("Connection", "close"),))
            answer = await converse(reader, writer, question)
        finally:
            writer.transport.abort()
        return json.loads(answer.body) if answer.status == 200 else None


@contextlib.contextmanager
def _process() -> Iterator[Seawall]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        root = Path(folder)
        (root / "manifests").mkdir()
        command = [sys.executable, "-m", "seawall", "up", str(root / "manifests"), "--name", "conformance"]
        command += ["--run-dir", str(root / "run"), "--state-dir", str(root / "state"), *_ADDRESSES]
        path = os.pathsep.join(filter(None, [str(_ROOT / "src"), os.environ.get("PYTHONPATH")]))
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
            )
        try:
            yield Seawall(root, process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.asynccontextmanager
async def seawall_up(within: float) -> AsyncIterator[Seawall]:
    """Run `seawall up` on an empty folder until the block ends."""
    with _process() as seawall:
        await seawall.started(within)
        yield seawall


def put_all(gateway: Gateway, objects: Iterable[Json]) -> None:
    """Apply objects in their order."""
    for obj in objects:
        gateway.put(obj)
