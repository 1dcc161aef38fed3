"""Propagation: from the write of a route's file to its first 200, and every answer on the way.

The test of gateway-api-bench in file mode: routes are added one by one, each with a host of its own, two rules, header
filters, the second rule naming a backend that does not exist; a probe asks every millisecond. Any answer but 404 and then
200 is an error. Real processes: `seawall up` with its Envoy.

Beside it in the same run, what Envoy itself takes: fed by hand with one scope for each host (our design without our control
plane: the floor), and with one route table for all hosts (everybody else's design).
"""

import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import msgspec

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import floor, instances, manifests
from bench.support.answers import answering
from bench.support.graphs import host_name
from bench.support.numbers import Spread, short, spread
from bench.support.probe import Probe
from bench.support.programs import free_port

QUESTION = "how long from the write of a route's file to its first 200?"
HEADS = ("what", "hosts before", "added", "mean ms", "median", "p99", "max", "errors")
PEERS_NOTE = (
    "For comparison, as published by gateway-api-bench on other, faster hardware (16-core AMD 9950X or not stated), mean / "
    "max: agentgateway 16.6 / 74.6 ms, kgateway 75 / 237, Istio 212 / 825, Nginx 358 / 680, Envoy Gateway 367 / 1,250 with "
    "15,454 errors; under load agentgateway 21.4 / 62.7, Istio 376 / 510. There a route is an object in a Kubernetes API, "
    "here it is a file, so the API server's share is missing from ours."
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One series of added routes."""

    what: str
    before: int
    times: Spread
    errors: int
    answers: dict[int, int]
    begun: tuple[float, ...] = ()
    """When each file was written, in seconds since the epoch: to be compared with logs."""
    live: tuple[float, ...] = ()

    def row(self) -> tuple[str, ...]:
        times = self.times
        return (
            self.what,
            f"{self.before:,}",
            f"{times.count:,}",
            *(short(value) for value in (times.mean, times.median, times.p99, times.max)),
            str(self.errors),
        )


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """Where the mean of a case goes, in milliseconds: noticed and decoded; resolved and built; on its way and in Envoy."""

    what: str
    noticed: float
    worked: float
    carried: float


async def run(options: Options) -> Result:
    """Measure all cases; each in processes of its own."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    cases: list[Case] = []
    parts: list[Breakdown] = []
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        with answering() as port:
            _alone(folder, port, options, cases, parts)
            _among_many(folder, port, options, cases, parts)
            _under_churn(folder, port, options, cases, parts)
            for before in (3000, 20_000) if not options.quick else (10,):
                say(f"floor: Envoy fed by hand, {before:,} hosts")
                cases.append(_floor(folder / f"floor{before}", port, before, options, is_scoped=True))
            for before in (1000, 3000) if not options.quick else (10,):
                say(f"one route table, {before:,} hosts")
                cases.append(_floor(folder / f"table{before}", port, before, options, is_scoped=False))
    return _result(cases, parts)


def _alone(folder: Path, port: int, options: Options, cases: list[Case], parts: list[Breakdown]) -> None:
    count = options.pick(3000, 5)
    say(f"seawall up, {count:,} routes one by one")
    with _running_up(folder / "alone", port, 0) as (manifest_dir, listener, instance):
        cases.append(_add(manifest_dir, listener, "seawall up", 0, count))
        instance.require_alive()
    parts.append(_breakdown(cases[-1], instance.log, f"{count:,} routes one by one"))


def _among_many(folder: Path, port: int, options: Options, cases: list[Case], parts: list[Breakdown]) -> None:
    before, count = options.pick(20_000, 20), options.pick(300, 5)
    say(f"seawall up, {count} routes among {before:,}")
    with _running_up(folder / "many", port, before) as (manifest_dir, listener, instance):
        cases.append(_add(manifest_dir, listener, "seawall up", before, count))
        instance.require_alive()
    parts.append(_breakdown(cases[-1], instance.log, f"among {before:,}"))


def _under_churn(folder: Path, port: int, options: Options, cases: list[Case], parts: list[Breakdown]) -> None:
    spaces, services, count = options.pick(50, 2), options.pick(100, 2), options.pick(200, 5)
    before = spaces * services
    say(f"seawall up, {count} routes while {before:,} churn")
    run_dir, manifest_dir, listener = folder / "churn", folder / "churn-manifests", free_port()
    manifest_dir.mkdir()
    manifests.town(manifest_dir, listener, port, namespaces=spaces, services=services)
    with instances.up(manifest_dir, run_dir, log_level="info") as instance:
        instance.wait_for_200(listener, host_name(before - 1))
        with _churning(manifest_dir, spaces, services, port):
            found = _add(manifest_dir, listener, "seawall up, under churn", before, count, pause=0.1)
        instance.require_alive()
    cases.append(found)
    parts.append(_breakdown(found, instance.log, "under churn"))


@contextmanager
def _running_up(run_dir: Path, backend_port: int, before: int) -> Iterator[tuple[Path, int, instances.Instance]]:
    """Run `seawall up` on a folder with `before` routes, until all of them are live."""
    manifest_dir = run_dir.with_name(f"{run_dir.name}-manifests")
    manifest_dir.mkdir()
    listener = free_port()
    (manifest_dir / "base.yaml").write_text(manifests.base(listener, backend_port), encoding="utf-8")
    # One more route than asked for: somebody has to say that the edge serves.
    manifests.many_routes(manifest_dir, before)
    (manifest_dir / "first.yaml").write_text(manifests.route(9_999_999), encoding="utf-8")
    with instances.up(manifest_dir, run_dir, log_level="info") as instance:
        took = instance.wait_for_200(listener, host_name(9_999_999))
        if before:
            took += instance.wait_for_200(listener, host_name(before - 1))
        say(f"live after {took:.1f} s")
        yield manifest_dir, listener, instance


def _add(manifest_dir: Path, port: int, what: str, before: int, count: int, pause: float = 0.0) -> Case:
    """Add routes one by one and wait for each."""
    probe = Probe(port)
    times: list[float] = []
    written: list[float] = []
    live: list[float] = []
    answers: Counter[int] = Counter()
    for number in range(before, before + count):
        host, text = host_name(number), manifests.route(number)
        if probe.ask(host) != 404:
            answers[-1] += 1
        written.append(time.time())
        begun = time.perf_counter()
        manifests.place(manifest_dir / f"added-{number}.yaml", text)
        took, others = probe.until_live(host, begun)
        times.append(took * 1000)
        live.append(written[-1] + took)
        answers += others
        time.sleep(pause)
    probe.close()
    errors = sum(number for status, number in answers.items() if status != 404) + probe.reconnects
    return Case(
        what=what,
        before=before,
        times=spread(times),
        errors=errors,
        answers=dict(answers),
        begun=tuple(written),
        live=tuple(live),
    )


@contextmanager
def _churning(manifest_dir: Path, spaces: int, services: int, backend_port: int) -> Iterator[None]:
    """Change a route every 200 ms, an endpoint every 2 s: `jitter` of gateway-api-bench, and more of it."""
    stop = threading.Event()

    def churn() -> None:
        turn = 0
        while not stop.wait(0.2):
            turn += 1
            space, number = turn % spaces, turn // spaces % services
            manifests.town_route(manifest_dir, space, number, space * services + number, mark=turn)
            if turn % 10 == 0:
                address = f"127.0.0.{1 + turn // 10 % 2}"
                manifests.town_endpoint(manifest_dir, space, number, backend_port, address)

    thread = threading.Thread(target=churn, name="churn")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _breakdown(case: Case, log: Path, what: str) -> Breakdown:
    """Read from the log of the control plane when it published each route; the clock is the same."""
    published = instances.logged(log, "snapshot_published")
    noticed, worked, carried = [], [], []
    for begun, live in zip(case.begun, case.live, strict=True):
        first = next(((at, fields["took"]) for at, fields in published if begun <= at <= live), None)
        if first is not None:
            noticed.append((first[0] - first[1] - begun) * 1000)
            worked.append(first[1] * 1000)
            carried.append((live - first[0]) * 1000)
    if not noticed:
        return Breakdown(what=what, noticed=0, worked=0, carried=0)
    return Breakdown(what=what, noticed=fmean(noticed), worked=fmean(worked), carried=fmean(carried))


def _floor(folder: Path, backend_port: int, before: int, options: Options, *, is_scoped: bool) -> Case:
    count = options.pick(100 if is_scoped else 40, 3)
    times, answers = floor.measure(folder, backend_port, before, count, is_scoped=is_scoped)
    errors = sum(number for status, number in answers.items() if status != 404)
    what = "Envoy fed by hand, a scope a host" if is_scoped else "Envoy fed by hand, one route table"
    return Case(what=what, before=before, times=spread(times), errors=errors, answers=dict(answers))


def _result(cases: list[Case], parts: list[Breakdown]) -> Result:
    alone, many, churned = cases[0], cases[1], cases[2]
    errors = sum(case.errors for case in cases[:3])
    table = Table(title="From the write of the file to the first 200", heads=HEADS, rows=tuple(c.row() for c in cases))
    verdicts = (
        goal("mean, one by one", alone.times.mean, 10, "ms"),
        goal("mean among 20,000", many.times.mean, 10, "ms"),
        goal("mean against the best of the peers", alone.times.mean, 16.6, "ms"),
        goal("max, one by one", alone.times.max, 74.6, "ms"),
        goal("mean under churn", churned.times.mean, 21.4, "ms"),
        goal("max under churn", churned.times.max, 62.7, "ms"),
        goal("answers other than 404 and then 200", errors, 0, ""),
    )
    figures = {f"{case.what}, {case.before} before, mean ms": case.times.mean for case in cases}
    figures |= {f"{case.what}, {case.before} before, max ms": case.times.max for case in cases}
    return Result(
        bench="propagation",
        question=QUESTION,
        tables=(msgspec.structs.replace(table, note=PEERS_NOTE), _breakdown_table(parts)),
        verdicts=verdicts,
        figures=figures,
    )


def _breakdown_table(parts: list[Breakdown]) -> Table:
    return Table(
        title="Where the mean goes",
        heads=("case", "notice, read, decode ms", "resolve, build ms", "to agent, to Envoy, first 200 ms"),
        rows=tuple((p.what, short(p.noticed), short(p.worked), short(p.carried)) for p in parts),
    )
