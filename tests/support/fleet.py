"""A fleet for tests: a real `seawall serve`, real agents with real Envoys, each on a host of its own, and clients there.

    async with Fleet({"shop": documents}, places=(Place(edge="eu-1-a", region="eu", cell="eu-1"), …)) as fleet:
        await fleet.load(Mix(asks=(Ask(host="a.example"),)))
        since = time.time()
        fleet.write("shop", *other_documents)
        decision = await fleet.decided("roll_back", since=since)
        counted = await fleet.counted()

A host is a network namespace (`support.host`): it needs root, or a kernel that lets everybody have namespaces. Gateways
listen on `PORT`, the origin of each host on `ORIGIN` of its loopback. Nothing here reaches inside: it writes manifests as an
operator does, asks the control socket as the command line does, and reads logs as whoever is on call.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import yaml

from tests.support.clients import Ask, Counted, Mix
from tests.support.host import ORIGIN

__all__ = ["ORIGIN", "PORT", "Ask", "Counted", "Decision", "Fleet", "Mix", "Place"]

Json = dict[str, Any]
PORT = 8080
_ROOT = Path(__file__).parents[2]
_POLL = 0.05


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An edge, and where it stands."""

    edge: str
    region: str
    cell: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the control plane has decided, from its log."""

    at: float
    rollout: str
    stage: str
    decision: str
    reason: str


class Host:
    """One edge's machine, seen from outside."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process) -> None:
        self.place = place
        self.process = process
        self._lock = asyncio.Lock()

    async def order(self, do: str, **words: Any) -> Any:
        """Give an order, see `support.host`; return what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self._lock, asyncio.timeout(30):
            self.process.stdin.write(json.dumps({"do": do, **words}).encode() + b"\n")
            line = await self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the host of {self.place.edge} has ended")
        return json.loads(line)


class Fleet:
    """One control plane and its edges, from `__aenter__` to `__aexit__`. Its folder stays if the block fails."""

    def __init__(
        self,
        files: Mapping[str, Sequence[Json]],
        *,
        places: Sequence[Place],
        serve: Sequence[str] = (),
        agent: Sequence[str] = (),
        root: Path | None = None,
    ) -> None:
        # Short: unix sockets lie in it.
        self.root = root or Path(tempfile.mkdtemp(prefix="fleet-"))
        self.places = tuple(places)
        self.hosts: dict[str, Host] = {}
        self.control: asyncio.subprocess.Process | None = None
        self._serve_options = serve
        self._agent_options = agent
        (self.root / "manifests").mkdir(exist_ok=True)
        for name, documents in files.items():
            self.write(name, *documents)

    async def __aenter__(self) -> Self:
        try:
            await self.start_control()
            async with asyncio.TaskGroup() as group:
                for place in self.places:
                    group.create_task(self.start_host(place), name=place.edge)
            await self.serving()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        if kind is None:
            shutil.rmtree(self.root, ignore_errors=True)
        elif error is not None:
            error.add_note(f"The logs of the fleet are in {self.root}.")

    # ── the operator ─────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, name: str, *documents: Json) -> float:
        """Put a file of manifests in place, at once; return when."""
        return self.write_all({name: documents})

    def write_all(self, files: Mapping[str, Sequence[Json]]) -> float:
        """Put several files in place in the same moment."""
        texts = {name: yaml.dump_all(documents, Dumper=_Dumper) for name, documents in files.items()}
        for name, text in texts.items():
            (self.root / f"{name}.fresh").write_text(text, encoding="utf-8")
        for name in texts:
            (self.root / f"{name}.fresh").rename(self.root / "manifests" / f"{name}.yaml")
        return time.time()

    def write_raw(self, name: str, text: str) -> float:
        """Put a file in place that need not be YAML."""
        fresh = self.root / f"{name}.fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(self.root / "manifests" / f"{name}.yaml")
        return time.time()

    def remove(self, *names: str) -> float:
        for name in names:
            (self.root / "manifests" / f"{name}.yaml").unlink()
        return time.time()

    async def get(self, path: str) -> Any:
        """Ask the control socket."""
        async with self._client() as client:
            answer = await client.get(path)
            answer.raise_for_status()
            return answer.json()

    async def command(self, verb: str, who: str = "tester", **words: Any) -> Json:
        """Say something to the rollouts, as `seawall rollout` does."""
        async with self._client() as client:
            answer = await client.post("/v1/rollouts", json={"verb": verb, "who": who, **words})
            answer.raise_for_status()
            found: Json = answer.json()
            return found

    # ── what the fleet says ──────────────────────────────────────────────────────────────────────────────────────

    def decisions(self, since: float = 0.0) -> list[Decision]:
        """Read what was decided since then, oldest first."""
        return [decision for line in self.log("serve", "rollout_decided", since) if (decision := _decision(line))]

    def log(self, who: str, event: str, since: float = 0.0) -> list[Json]:
        """Read lines of one event from a log: of `serve`, or of an edge."""
        try:
            text = (self.root / f"{who}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        lines = (_line(line) for line in text.splitlines() if f'"{event}"' in line)
        return [line for line in lines if line.get("event") == event and _at(line) >= since]

    async def decided(self, *kinds: str, since: float, within: float = 30.0, rollout: str = "") -> Decision:
        """Wait for a decision of one of these kinds; return the first."""

        def find() -> Decision | None:
            return next(
                (one for one in self.decisions(since) if one.decision in kinds and rollout in ("", one.rollout)), None
            )

        found: Decision = await self.until(find, f"a decision {' or '.join(kinds)}", within)
        return found

    async def until(self, look: Callable[[], Any], what: str, within: float = 30.0) -> Any:
        """Look until there is something to see; bounded. `look` may return an awaitable."""
        end, seen = time.monotonic() + within, None
        while time.monotonic() < end:
            if self.control is not None and self.control.returncode is not None:
                raise AssertionError(f"the control plane ended with {self.control.returncode}:\n{self.tail()}")
            with contextlib.suppress(httpx.HTTPError, OSError):
                seen = look()
                if asyncio.iscoroutine(seen):
                    seen = await seen
                if seen:
                    return seen
            await asyncio.sleep(_POLL)
        said = "\n".join(f"{one.stage}: {one.decision}: {one.reason}" for one in self.decisions()[-20:])
        raise AssertionError(f"not within {within} s: {what}; last seen: {seen}\n{said}\n{self.tail()}")

    async def serving(self, within: float = 40.0) -> None:
        """Wait until every edge is connected, and runs what it was told to run, all of it."""
        places = {place.edge for place in self.places}

        async def are_well() -> bool:
            edges = await self.get("/v1/edges")
            return {one["edge"] for one in edges if one["isWell"]} >= places

        await self.until(are_well, "all edges are well", within)

    def tail(self) -> str:
        """Return the last words of all logs."""
        parts = [f"── {log.name}\n{_end_of(log)}" for log in sorted(self.root.glob("*.log"))]
        return "\n".join(parts)

    # ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def load(self, mix: Mix, edges: Iterable[str] = ()) -> None:
        """Let clients ask on every edge (or on these) from now on, and count from nought."""
        for edge in tuple(edges) or tuple(self.hosts):
            await self.hosts[edge].order("load", mix=msgspec.to_builtins(mix))

    async def recount(self) -> dict[str, Counted]:
        """Tell for each edge what was counted since the last time, and count from nought."""
        return {edge: msgspec.convert(await host.order("recount"), Counted) for edge, host in self.hosts.items()}

    async def counted(self) -> Counted:
        """Sum up what the clients of all edges have counted."""
        total = Counted()
        for host in self.hosts.values():
            total.add(msgspec.convert(await host.order("counted"), Counted))
        return total

    async def ask(self, edge: str, ask: Ask) -> Json:
        """Ask an edge once; status 0 if there is no answer."""
        found: Json = await self.hosts[edge].order("ask", ask=msgspec.to_builtins(ask), port=PORT)
        return found

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def run_dir(self) -> Path:
        return self.root / "run"

    async def start_control(self) -> None:
        """Start the control plane, and wait until agents can call."""
        with (self.root / "serve.log").open("ab") as log:
            self.control = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "seawall", "serve", str(self.root / "manifests"), "--listen", ""),
                *("--bind", "127.0.0.1", "--run-dir", str(self.run_dir), "--state-dir", str(self.root / "state")),
                *self._serve_options,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        await self.until(lambda: self.get("/v1/status"), "the control plane answers")

    async def kill_control(self) -> None:
        """Kill the control plane without a word."""
        assert self.control is not None
        self.control.kill()
        await self.control.wait()
        self.control = None

    async def start_host(self, place: Place) -> None:
        """Make the host of an edge, and start its agent."""
        options = ["--control", f"unix:{self.run_dir / 'edges.sock'}", *self._agent_options]
        options += ["--label", f"region={place.region}", "--label", f"cell={place.cell}"]
        with (self.root / f"{place.edge}.host.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--net", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--"),
                *(sys.executable, "-m", "tests.support.host", str(self.root), place.edge, *options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(),
                cwd=_ROOT,
            )
        self.hosts[place.edge] = Host(place, process)
        await self.hosts[place.edge].order("start")

    async def _end(self) -> None:
        async with asyncio.TaskGroup() as group:
            for host in self.hosts.values():
                group.create_task(_ended(host.process), name=f"end-{host.place.edge}")
        if self.control is not None and self.control.returncode is None:
            self.control.send_signal(signal.SIGTERM)
            await _waited(self.control)

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.run_dir / "control.sock"))
        return httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=10)


class _Dumper(yaml.CSafeDumper):
    """No anchors: the same value twice is written twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a host: with its stdin everything on it ends."""
    assert process.stdin is not None
    process.stdin.close()
    await _waited(process)


async def _waited(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(20):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", "PYTHONUNBUFFERED": "1"}


def _line(text: str) -> Json:
    try:
        found: Json = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _at(line: Json) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp() if "timestamp" in line else 0.0


def _decision(line: Json) -> Decision | None:
    names = ("rollout", "stage", "decision", "reason")
    return Decision(at=_at(line), **{name: str(line.get(name, "")) for name in names})


def _end_of(log: Path, size: int = 3000) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-size:]
