"""Churn: what the control plane costs when 5,000 routes stand and a few of them change all the time.

Route scale of gateway-api-bench: 50 namespaces with 100 Services, slices and routes each, one endpoint changing every 2 s
and one route every second. `seawall serve` and `seawall agent` as processes of their own, so that each has its own bill.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import instances, manifests
from bench.support.answers import answering
from bench.support.graphs import host_name
from bench.support.numbers import short
from bench.support.programs import Cost, cost, free_port

QUESTION = "what do 5,000 routes cost while one endpoint changes every 2 s and one route every second?"
PEERS = (
    ("kgateway's control plane (agentgateway), v2", "0.0997; 0.0073 last", "428 / 513"),
    ("istiod, v2", "0.207; 0.135 last", "570 / 726"),
    ("Nginx, v2", "0.410", "447 / 563"),
    ("Envoy Gateway, v2", "3.70", "2,437 / 3,492"),
    ("istiod, v1", "0.283", "694 / 866"),
)
"""CPU cores (mean), MiB (mean / max), as gateway-api-bench published them: their hardware, a Kubernetes API as source."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a process cost over a while."""

    name: str
    cores: float
    mean: float
    max: float

    def row(self) -> tuple[str, ...]:
        return (f"Seawall: {self.name}", short(self.cores), f"{short(self.mean)} / {short(self.max)}")


async def run(options: Options) -> Result:
    """Start the three, let them settle, churn, read the bill."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    spaces, services = options.pick(50, 2), options.pick(100, 2)
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        manifest_dir, listener = folder / "manifests", free_port()
        manifest_dir.mkdir()
        with answering() as backend_port:
            manifests.town(manifest_dir, listener, backend_port, namespaces=spaces, services=services)
            with (
                instances.serve(manifest_dir, folder / "cp", free_port()) as plane,
                instances.agent(f"unix:{folder / 'cp/edges.sock'}", folder / "edge", folder / "state") as edge,
            ):
                took = edge.wait_for_200(listener, host_name(spaces * services - 1))
                say(f"{spaces * services:,} routes live after {took:.1f} s")
                time.sleep(options.pick(5, 0))
                idle = _bills(plane, edge, options.pick(20, 1), lambda second: None)
                say("idle seen, churn begins")
                town = _Town(manifest_dir, spaces, services, backend_port)
                busy = _bills(plane, edge, options.pick(60, 2), town.tick)
                plane.require_alive()
                edge.require_alive()
    return _result(idle, busy, spaces * services)


class _Town:
    """Changes a route every second and an endpoint every other."""

    def __init__(self, folder: Path, spaces: int, services: int, backend_port: int) -> None:
        self._folder = folder
        self._spaces = spaces
        self._services = services
        self._port = backend_port

    def tick(self, second: int) -> None:
        space, number = second % self._spaces, second // self._spaces % self._services
        whole = space * self._services + number
        manifests.town_route(self._folder, space, number, whole, mark=second + 2)
        if second % 2 == 0:
            address = f"127.0.0.{2 + second // 2 % 2}"
            manifests.town_endpoint(self._folder, space, number, self._port, address)


def _bills(
    plane: instances.Instance, edge: instances.Instance, seconds: int, tick: Callable[[int], None]
) -> tuple[Bill, ...]:
    """Call `tick` every second; look at the processes each time."""
    processes = {"control plane": [plane.pid], "agent": [edge.pid], "Envoy": edge.envoys}
    before = {name: cost(pids) for name, pids in processes.items()}
    seen: dict[str, list[Cost]] = {name: [] for name in processes}
    begun = time.perf_counter()
    for second in range(seconds):
        tick(second)
        time.sleep(max(0.0, begun + second + 1 - time.perf_counter()))
        for name, pids in processes.items():
            seen[name].append(cost(pids))
    wall = time.perf_counter() - begun
    return tuple(
        Bill(
            name=name,
            cores=(costs[-1].cpu - before[name].cpu) / wall,
            mean=sum(each.mib for each in costs) / len(costs),
            max=max(each.mib for each in costs),
        )
        for name, costs in seen.items()
    )


def _result(idle: tuple[Bill, ...], busy: tuple[Bill, ...], routes: int) -> Result:
    plane = busy[0]
    rows = (
        *(bill.row() for bill in busy),
        *(msgspec.structs.replace(bill, name=f"{bill.name}, nothing changing").row() for bill in idle),
        *PEERS,
    )
    table = Table(
        title=f"{routes:,} routes, one route a second and one endpoint every 2 s",
        heads=("process", "CPU cores", "RSS MiB, mean / max"),
        rows=rows,
        note="The peers' figures are those of gateway-api-bench, on its hardware, with a Kubernetes API as source and 5 s "
        "scrapes: they give the order of magnitude, not a race.",
    )
    figures = {f"{bill.name} cores": bill.cores for bill in busy} | {f"{bill.name} MiB": bill.mean for bill in busy}
    return Result(
        bench="churn",
        question=QUESTION,
        tables=(table,),
        verdicts=(
            goal("CPU of the control plane against istiod", plane.cores, 0.135, "cores"),
            goal("CPU of the control plane against the best", plane.cores, 0.0073, "cores"),
            goal("memory of the control plane against istiod", plane.mean, 570, "MiB"),
            goal("memory of the control plane against the best", plane.mean, 428, "MiB"),
        ),
        figures=figures,
    )
