"""Twins: two real control planes on one PostgreSQL, and edges that know both.

    async with Twins(files, dsn) as twins:
        leader = await twins.leader()
        await twins.kill(leader)

The first is the fleet's own (`serve`), the second is started beside it (`other`). Both read the same manifests and sign with
the same key; each has a run folder of its own.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from seawall.app.signer import make_signing_key
from seawall.store.history import Entry
from seawall.store.postgres_history import PostgresHistory
from tests.support.fleet import Fleet, Place

Json = dict[str, Any]
NAMES = ("one", "two")
_ROOT = Path(__file__).parents[2]


class Twins:
    """Two control planes and a fleet, while the block runs."""

    def __init__(self, files: Mapping[str, Sequence[Json]], places: Sequence[Place], dsn: str) -> None:
        root = Path(tempfile.mkdtemp(prefix="twins-"))
        make_signing_key(root / "bundle.key")
        self.dsn = dsn
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._options = ("--history", dsn, "--signing-key", str(root / "bundle.key"))
        addresses = [word for name in NAMES for word in ("--control", f"unix:{root / name / 'edges.sock'}")]
        self.fleet = _FleetOfTwins(files, places, root, self, addresses)

    async def __aenter__(self) -> Self:
        await self.fleet.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.fleet.__aexit__(kind, error, trace)
        finally:
            for process in self.processes.values():
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
            for process in self.processes.values():
                await process.wait()

    async def start(self, name: str) -> None:
        """Start one of them; it need not lead, nor have a database to talk to."""
        root = self.fleet.root
        with (root / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "seawall", "serve", str(root / "manifests"), "--listen", "", "--name", name),
                *("--bind", "127.0.0.1", "--run-dir", str(root / name), "--state-dir", str(root / f"{name}.state")),
                *self._options,
                stdout=log,
                stderr=log,
                env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "PYTHONUNBUFFERED": "1"},
            )

    async def kill(self, name: str) -> None:
        self.processes[name].kill()
        await self.processes[name].wait()

    def is_alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].returncode is None

    async def ask(self, name: str, path: str) -> Any:
        async with self._client(name) as client:
            answer = await client.get(path)
            answer.raise_for_status()
            return answer.json()

    async def command(self, name: str, verb: str, **words: Any) -> Json:
        async with self._client(name) as client:
            answer = await client.post("/v1/rollouts", json={"verb": verb, "who": "tester", **words})
            answer.raise_for_status()
            found: Json = answer.json()
            return found

    async def leader(self, within: float = 30.0) -> str:
        """Wait until one of them leads; name it."""

        async def find() -> str:
            for name in NAMES:
                if self.is_alive(name) and await self._leads(name):
                    return name
            return ""

        found: str = await self.until(find, "somebody leads", within)
        return found

    async def view(self) -> Json:
        """Ask the leader where the rollouts stand."""
        found: Json = (await self.ask(await self.leader(), "/v1/rollouts"))["view"]
        return found

    async def until(self, look: Callable[[], Any], what: str, within: float = 60.0) -> Any:
        """Look until there is something to see; bounded."""
        end, seen = time.monotonic() + within, None
        while time.monotonic() < end:
            try:
                seen = await look()
            except (httpx.HTTPError, OSError) as error:
                seen = None if time.monotonic() < end else repr(error)
            if seen:
                return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"not within {within} s: {what}\n{self.fleet.tail()}")

    def log(self) -> tuple[Entry, ...]:
        """Read the whole history from beside."""
        history = PostgresHistory(self.dsn)
        try:
            return history.log(limit=1_000_000)
        finally:
            history.close()

    async def _leads(self, name: str) -> bool:
        try:
            return bool((await self.ask(name, "/v1/rollouts"))["leader"])
        except (httpx.HTTPError, OSError):
            return False

    def _client(self, name: str) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.fleet.root / name / "control.sock"))
        return httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=10)


class _FleetOfTwins(Fleet):
    """A fleet whose control planes are the twins."""

    def __init__(
        self,
        files: Mapping[str, Sequence[Json]],
        places: Sequence[Place],
        root: Path,
        twins: Twins,
        addresses: Sequence[str],
    ) -> None:
        super().__init__(files, places=places, agent=addresses, root=root)
        self._twins = twins

    async def start_control(self) -> None:
        for name in NAMES:
            await self._twins.start(name)
        await self._twins.leader()

    async def serving(self, within: float = 60.0) -> None:
        """Wait until every edge is with one of them, and runs what it was told."""
        wanted = {place.edge for place in self.places}

        async def are_well() -> bool:
            well: set[str] = set()
            for name in NAMES:
                if self._twins.is_alive(name):
                    well |= {one["edge"] for one in await self._twins.ask(name, "/v1/edges") if one["isWell"]}
            return well >= wanted

        await self._twins.until(are_well, "all edges are well", within)


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def steps(entries: Sequence[Entry], rollout: str) -> list[tuple[str, str]]:
    """List the decisions that were written about a rollout, in order: stage and decision."""
    said = [json.loads(entry.body) for entry in entries if entry.kind == "action" and entry.stream == rollout]
    return [(one["stage"], one["decision"]) for one in said if one["type"] == "decide"]
