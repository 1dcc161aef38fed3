"""Cold start: an edge that finds no control plane, and `seawall up` from the command to the first answer.

The first: `seawall serve` and `seawall agent` run until all routes are live, then both are stopped, and the agent is started
alone on what lies on its disk. The second: a copy of examples/shop on free ports.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import instances, manifests
from bench.support.answers import answering
from bench.support.graphs import host_name
from bench.support.numbers import short
from bench.support.programs import cost, free_port

QUESTION = "how soon does an edge serve from its own disk, and `seawall up` from nothing?"
_SHOP = Path(__file__).parent.parent / "examples/shop"
_SHOP_HOST = "www.shop.example"


async def run(options: Options) -> Result:
    """Measure by size, then the example."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    rows, figures = [], {}
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        for routes in (100, 5000, 20_000) if not options.quick else (10,):
            times, mib = _from_disk(folder / str(routes), routes, options.pick(5, 1))
            rows.append((f"seawall agent, {routes:,} routes on disk", *_cells(times), short(mib)))
            figures[f"agent, {routes} routes, s"] = median(times)
        times, mib = _shop(folder, options.pick(5, 1))
        rows.append(("seawall up examples/shop", *_cells(times), short(mib)))
        figures["up, s"] = median(times)
    table = Table(
        title="From the start of the command to the first 200",
        heads=("what", "median s", "worst s", "Envoy RSS MiB"),
        rows=tuple(rows),
    )
    verdicts = [goal(name, seconds, 3.0 if name == "up, s" else 2.0, "s") for name, seconds in figures.items()]
    return Result(bench="coldstart", question=QUESTION, tables=(table,), verdicts=tuple(verdicts), figures=figures)


def _from_disk(folder: Path, routes: int, turns: int) -> tuple[list[float], float]:
    """Return the times of several starts without a control plane."""
    say(f"{routes:,} routes: from a control plane first")
    manifest_dir, listener = folder / "manifests", free_port()
    manifest_dir.mkdir(parents=True)
    # When the control plane is gone, nobody listens there: all that the second start has is the disk.
    control = f"unix:{folder / 'cp/edges.sock'}"
    times = []
    with answering() as backend_port:
        (manifest_dir / "base.yaml").write_text(manifests.base(listener, backend_port), encoding="utf-8")
        manifests.many_routes(manifest_dir, routes)
        host = host_name(routes - 1)
        with (
            instances.serve(manifest_dir, folder / "cp", free_port()),
            instances.agent(control, folder / "edge", folder / "state") as edge,
        ):
            edge.wait_for_200(listener, host)
            # It is written down a moment after it is live.
            time.sleep(3)
        for turn in range(turns):
            begun = time.perf_counter()
            with instances.agent(control, folder / "edge", folder / "state") as edge:
                edge.wait_for_200(listener, host, pause=0.002)
                times.append(time.perf_counter() - begun)
                mib = cost(edge.envoys).mib
            say(f"start {turn + 1}: {times[-1]:.2f} s")
    return times, mib


def _shop(folder: Path, turns: int) -> tuple[list[float], float]:
    """Run the example as a newcomer would; ports are free ones instead of 8080 and 8443."""
    manifest_dir, port = folder / "shop", free_port()
    manifest_dir.mkdir()
    for source in _SHOP.glob("*.yaml"):
        text = source.read_text(encoding="utf-8")
        text = text.replace("8080", str(port)).replace("8443", str(free_port()))
        (manifest_dir / source.name).write_text(text, encoding="utf-8")
    times = []
    for turn in range(turns):
        begun = time.perf_counter()
        with instances.up(manifest_dir, folder / "run") as instance:
            instance.wait_for_200(port, _SHOP_HOST, pause=0.002)
            times.append(time.perf_counter() - begun)
            mib = cost(instance.envoys).mib
        say(f"up {turn + 1}: {times[-1]:.2f} s")
    return times, mib


def _cells(times: list[float]) -> tuple[str, str]:
    return short(median(times)), short(max(times))
