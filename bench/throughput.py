"""Throughput: what the edge costs a request, beside a bare Envoy and beside others, on the same core.

Everything proxies to the same nginx. The proxy has core 0 and one thread; wrk and nginx share core 1; 64 keep-alive
connections. Rounds are interleaved, so that what else the machine does hits all alike; medians of the rounds count, for CPU
per request the lowest.
CPU per request is the steadier number: it does not depend on how fast the load generator is.
"""

import asyncio
import random
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import graphs, instances, manifests
from bench.support.envoys import bare_envoy
from bench.support.load import Round, backend, hammer
from bench.support.numbers import short, times
from bench.support.peers import PEERS, Place
from bench.support.programs import Failure, cost, descendants, free_port
from seawall.envoy.build import Builder
from seawall.xds.snapshot import Snapshot

QUESTION = "what does a request through the edge cost, beside bare Envoy, HAProxy, nginx, Traefik and Caddy?"
HOST = graphs.host_name(0)
PROXY_CORES, LOAD_CORES = (0,), (1,)
GOAL = 0.97


class Contender(msgspec.Struct, kw_only=True):
    """A proxy under load, and what its rounds showed."""

    name: str
    port: int
    pid: int
    rounds: list[Round] = []
    cpu_us: list[float] = []
    rss_mib: float = 0.0

    @property
    def pids(self) -> list[int]:
        return [self.pid, *descendants(self.pid)]

    @property
    def rate(self) -> float:
        return statistics.median(each.rate for each in self.rounds)

    @property
    def cpu(self) -> float:
        """The lowest of the rounds: whatever else a machine does can only make a request dearer."""
        return min(self.cpu_us)

    def rate_against(self, base: "Contender") -> float:
        """Compare round by round: what the machine did meanwhile hit both."""
        return statistics.median(ours.rate / theirs.rate for ours, theirs in zip(self.rounds, base.rounds, strict=True))

    def cpu_against(self, base: "Contender") -> float:
        return self.cpu / base.cpu

    def row(self, base: "Contender") -> tuple[str, ...]:
        p50 = statistics.median(each.p50 for each in self.rounds)
        p99 = statistics.median(each.p99 for each in self.rounds)
        return (
            self.name,
            short(self.rate),
            times(self.rate_against(base)),
            short(p50),
            short(p99),
            short(self.cpu),
            times(self.cpu_against(base)),
            short(self.rss_mib),
            str(sum(each.errors for each in self.rounds)),
        )


HEADS = ("proxy", "requests/s", "of bare", "p50 ms", "p99 ms", "CPU µs/request", "of bare", "RSS MiB", "errors")


async def run(options: Options) -> Result:
    """Start all contenders, load them in turns, compare."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    left_out: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        with backend(folder, LOAD_CORES) as backend_port, ExitStack() as stack:
            contenders = [
                _bare(stack, folder, backend_port),
                stack.enter_context(_edge(folder, backend_port)),
                *_peers(stack, folder, backend_port, left_out),
            ]
            race(contenders, options.pick(5, 1), options.pick(5, 1))
    return _result(contenders, left_out)


def race(
    contenders: list[Contender],
    rounds: int,
    seconds: float,
    *,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Load each in turn, again and again, in an order that changes; the first turn only warms up."""
    order = random.Random(1)
    for turn in range(rounds + 1):
        for contender in order.sample(contenders, len(contenders)):
            before = cost(contender.pids)
            done = hammer(contender.port, HOST, seconds if turn else 1, cores=LOAD_CORES, path=path, headers=headers)
            after = cost(contender.pids)
            if turn == 0:
                if done.errors:
                    raise Failure(f"{contender.name} answers {done.errors} of {done.requests} requests with an error.")
                continue
            contender.rounds.append(done)
            contender.cpu_us.append((after.cpu - before.cpu) / max(1, done.requests) * 1e6)
            contender.rss_mib = after.mib
        say(f"round {turn} of {rounds}")


@contextmanager
def _edge(folder: Path, backend_port: int) -> Iterator[Contender]:
    """Run `seawall up` with one plain route: control plane, agent and Envoy all on the proxy's core."""
    manifest_dir, port = folder / "manifests", free_port()
    manifest_dir.mkdir()
    (manifest_dir / "base.yaml").write_text(manifests.base(port, backend_port), encoding="utf-8")
    (manifest_dir / "route.yaml").write_text(manifests.plain_route(0), encoding="utf-8")
    with instances.up(manifest_dir, folder / "run", cores=PROXY_CORES) as instance:
        instance.wait_for_200(port, HOST)
        yield Contender(name="Seawall edge", port=port, pid=instance.pid)


def snapshot(port: int, backend_port: int) -> Snapshot:
    """Build what a Gateway with one plain HTTPRoute becomes."""
    graph = graphs.graph(port, backend_port, [graphs.plain_host(graphs.table(port), HOST)])
    builder = Builder()
    builder.update(graph, graphs.everything(graph))
    return builder.snapshot


def _bare(stack: ExitStack, folder: Path, backend_port: int) -> Contender:
    port = free_port()
    child = stack.enter_context(bare_envoy(folder, port, backend_port, PROXY_CORES))
    return Contender(name="bare Envoy", port=port, pid=child.pid)


def _peers(stack: ExitStack, folder: Path, backend_port: int, left_out: list[str]) -> list[Contender]:
    found = []
    for name, start in PEERS.items():
        port = free_port()
        place = Place(folder=folder, port=port, host=HOST, backend=backend_port, cores=PROXY_CORES)
        try:
            found.append(Contender(name=name, port=port, pid=stack.enter_context(start(place)).pid))
        except Failure as failure:
            left_out.append(f"left out: {name}: {failure}")
    return found


def _result(contenders: list[Contender], left_out: list[str]) -> Result:
    bare, ours, *_ = contenders
    figures = {f"{each.name} rps": each.rate for each in contenders}
    figures |= {f"{each.name} cpu µs": each.cpu for each in contenders}
    table = Table(
        title="One core for the proxy, 64 keep-alive connections, 25-byte answers",
        heads=HEADS,
        rows=tuple(each.row(bare) for each in contenders),
        note="HAProxy and nginx may be held back by the load generator and the backend, which share the other core: "
        "their lead is a lower bound.",
    )
    verdicts = [
        goal("requests/s of the edge against bare Envoy", ours.rate_against(bare), GOAL, "", at_least=True),
        goal("the same by CPU per request (inverse)", 1 / ours.cpu_against(bare), GOAL, "", at_least=True),
    ]
    return Result(
        bench="throughput", question=QUESTION, tables=(table,), verdicts=(*verdicts, *left_out), figures=figures
    )
