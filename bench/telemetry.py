"""Telemetry: what it costs to know of every request: in the agent, in Envoy, and when the agent does not read.

Reading is measured from the bytes of the log to the deltas that go to the control plane, in one thread, for looks of several sizes:
up to `MOST_COUNTED` lines a look each line is read, beyond that some are, and the others are counted. Envoy is raced with the log
and without, on a core of its own. The agent that does not read is a `seawall up` that is stopped under load; the limit on the log
is lowered for it, and the log begins with a hole, because it takes a busy edge a minute to get to the real one.
"""

import asyncio
import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import msgspec

from bench import throughput
from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import graphs, instances, manifests
from bench.support.ads import Ads
from bench.support.envoys import fed_envoy
from bench.support.load import Round, backend, hammer
from bench.support.numbers import short
from bench.support.programs import Failure, cost, free_port
from bench.throughput import HOST, LOAD_CORES, PROXY_CORES, Contender
from seawall.agent.process import LONGEST_FILE
from seawall.agent.tail import MOST_BYTES, Lines
from seawall.envoy.access_log import FILE, FOLDER, PATH
from seawall.envoy.build import Builder
from seawall.envoy.listeners import EdgeDefaults
from seawall.kit.units import Instant
from seawall.traffic.delta import delta, seconds_of
from seawall.traffic.entry import FIELDS, MOST_COUNTED, SEPARATOR, parse, thinned
from seawall.traffic.window import WindowSet
from seawall.xds.snapshot import Snapshot

QUESTION = "what does it cost to know of every request, and what when nobody reads?"
SPEED, RATIO = 500_000, 0.94
MANY = SPEED // 4
"""Lines in a look at that speed."""
LIMIT = 80 * 1024 * 1024
"""Above what an agent rotates at, see `agent.tail`."""
NEAR = 8 * 1024 * 1024
MIB = 1 << 20
_AT = 1_700_000_000
_SHM = Path("/dev/shm")


async def run(options: Options) -> Result:
    """Measure the three, one after the other."""
    with tempfile.TemporaryDirectory(prefix="sw-bench-", dir=_SHM if os.access(_SHM, os.W_OK) else None) as name:
        folder = Path(name)
        rows = await asyncio.to_thread(_reading, folder, options)
        with backend(folder, LOAD_CORES) as port:
            contenders = await _raced(folder, port, options)
            stall = await asyncio.to_thread(_stalled, folder, port, options)
    return _result(rows, contenders, stall)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Looks of one size at one kind of traffic: lines, lines a second of CPU, and µs of it a line."""

    kind: str
    lines: int
    speed: float


def _reading(folder: Path, options: Options) -> list[Reading]:
    (folder / FOLDER).mkdir()
    found = []
    for kind, make in KINDS.items():
        for lines in (1_000, MOST_COUNTED, 25_000, MANY)[: options.pick(4, 1)]:
            data = _log(lines, make)
            if len(data) > MOST_BYTES:
                # Of so many long lines the oldest are skipped.
                continue
            took = min(_look(folder, data) for _ in range(options.pick(7, 1)))
            found.append(Reading(kind=kind, lines=lines, speed=lines / took))
            say(f"{kind}, {lines} lines a look: {short(lines / took)}/s")
    return found


def _look(folder: Path, data: bytes) -> float:
    """Do with a look's bytes what an agent does, and what the control plane does with the outcome; return the CPU's seconds."""
    windows, lines = WindowSet(), Lines(folder)
    lines.open()
    with (folder / PATH).open("ab") as out:
        out.write(data)
    before = time.thread_time()
    taken, each = thinned(lines.read())
    for second, part in seconds_of(parse(taken)).items():
        at = Instant(float(second))
        windows.add(delta(part, edge="e", run="r", number=1, at=at, weight=each), Instant(at + 1))
    took = time.thread_time() - before
    lines.close()
    (folder / PATH).unlink()
    return took


def _log(lines: int, make: Callable[[random.Random], dict[str, str]]) -> bytes:
    luck = random.Random(1)
    made = []
    for number in range(lines):
        said = {"ended": f"{_AT + number / lines / 4:.6f}", "took": str(luck.randrange(200)), **make(luck)}
        made.append(SEPARATOR.join(said.get(field, "-") for field in FIELDS) + "\n")
    return "".join(made).encode("utf-8", "surrogateescape")


_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
_USUAL = {
    **{
        "version": "HTTP/2",
        "method": "GET",
        "host": "www.example.com",
        "fetch": "document",
        "language": "en-US,en;q=0.9",
    },
    **{"accept": "t", "encoding": "g", "hints": '"', "status": "200", "flags": "-", "received": "0", "sent": "5120"},
}


def _people(luck: random.Random) -> dict[str, str]:
    return {
        **_USUAL,
        "address": f"10.0.{luck.randrange(32)}.{luck.randrange(256)}",
        "ja4": f"t13d{luck.randrange(40):04d}h2_8daaf6152771_02713d6af862",
        "target": f"/shop/item/{luck.randrange(5_000)}?page={luck.randrange(7)}",
        "agent": _BROWSER.format(100 + luck.randrange(30)),
        "route": f"default/shop/{luck.randrange(20)}",
    }


def _flood(luck: random.Random) -> dict[str, str]:
    """Every request another address, target and client."""
    address = ".".join(str(luck.randrange(1, 255)) for _ in range(4))
    noise = luck.random()
    return {**_people(luck), "address": address, "target": f"/find/{noise}?q={noise}", "agent": f"{noise}"}


def _hostile(luck: random.Random) -> dict[str, str]:
    """Bytes that are no text, and values as long as Envoy lets them be."""
    noise = luck.randbytes(60).replace(b"\x1f", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")
    return {**_people(luck), "target": f"/{noise * 3}", "agent": noise * 2, "language": noise}


KINDS: dict[str, Callable[[random.Random], dict[str, str]]] = {
    "people": _people,
    "everything different": _flood,
    "hostile bytes": _hostile,
}


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _raced(folder: Path, backend_port: int, options: Options) -> list[Contender]:
    """Race Envoys that write the log with those that do not, two of each: how far the same lie apart is the noise."""
    async with AsyncExitStack() as stack:
        contenders, logs = [], []
        for number in range(4):
            port = free_port()
            home = folder / f"envoy-{number}"
            log = home / FILE if number % 2 else None
            ads = Ads(_snapshot(port, backend_port, log))
            child = await stack.enter_async_context(fed_envoy(home, ads, port, PROXY_CORES))
            contenders.append(Contender(name="with the log" if log else "without", port=port, pid=child.pid))
            logs += [log] if log else []
        for _ in range(options.pick(6, 1)):
            await asyncio.to_thread(throughput.race, contenders, 1, options.pick(3, 1))
            for log in logs:
                # Envoy appends: it goes on at the beginning. A round is 30 MB.
                await asyncio.to_thread(os.truncate, log, 0)
    return contenders


def _snapshot(port: int, backend_port: int, log: Path | None) -> Snapshot:
    graph = graphs.graph(port, backend_port, [graphs.plain_host(graphs.table(port), HOST)])
    builder = Builder(EdgeDefaults(access_log=str(log) if log else ""))
    builder.update(graph, graphs.everything(graph))
    return builder.snapshot


# ── nobody reads ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """Rounds of load: while the agent reads, while it is stopped, after it went on; and what was largest meanwhile."""

    reading: Round
    stopped: tuple[Round, ...]
    after: Round
    log: int
    envoy_mib: float
    envoy_mib_before: float
    log_after: int


def _stalled(folder: Path, backend_port: int, options: Options) -> Stall:
    manifest_dir, port = folder / "manifests", free_port()
    manifest_dir.mkdir()
    (manifest_dir / "base.yaml").write_text(manifests.base(port, backend_port), encoding="utf-8")
    (manifest_dir / "route.yaml").write_text(manifests.plain_route(0), encoding="utf-8")
    seconds = options.pick(5, 1)
    with instances.up(manifest_dir, folder / "run", cores=PROXY_CORES) as instance:
        instance.wait_for_200(port, HOST)
        envoy = instance.envoys[0]
        if resource.prlimit(envoy, resource.RLIMIT_FSIZE)[0] != LONGEST_FILE:
            raise Failure("Envoy has no limit on its files.")
        resource.prlimit(envoy, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
        log = _found(folder / "run")
        reading, before = hammer(port, HOST, seconds, cores=LOAD_CORES), cost([envoy]).mib
        os.kill(instance.pid, signal.SIGSTOP)
        try:
            # A hole, so that the limit is not far: Envoy appends behind it.
            os.truncate(log, LIMIT - NEAR)
            stopped, largest, memory = [], 0, before
            for _ in range(options.pick(10, 1)):
                stopped.append(hammer(port, HOST, seconds, cores=LOAD_CORES))
                largest, memory = max(largest, log.stat().st_size), max(memory, cost([envoy]).mib)
        finally:
            os.kill(instance.pid, signal.SIGCONT)
        after = hammer(port, HOST, seconds, cores=LOAD_CORES)
        return Stall(
            reading=reading,
            stopped=tuple(stopped),
            after=after,
            log=largest,
            envoy_mib=memory,
            envoy_mib_before=before,
            log_after=log.stat().st_size,
        )


def _found(run_dir: Path) -> Path:
    for path in run_dir.rglob("traffic"):
        return path.resolve() / FILE
    raise Failure(f"no log of requests below {run_dir}")


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _result(rows: list[Reading], contenders: list[Contender], stall: Stall) -> Result:
    plain, logged = contenders[0], contenders[1]
    cpus = [min(each.cpu for each in contenders[kind::2]) for kind in (0, 1)]
    ratio = median([logged.rate_against(plain), contenders[3].rate_against(contenders[2])])
    every = min(one.speed for one in rows if one.lines <= MOST_COUNTED)
    many = max((4 * one.lines / one.speed for one in rows if one.lines == MANY), default=1.0)
    return Result(
        bench="telemetry",
        question=QUESTION,
        tables=(_read_table(rows), _written_table(contenders), _stall_table(stall)),
        verdicts=(
            goal("lines/s of a core where every line is read, the worst kind", every, SPEED, "", at_least=True),
            goal(f"cores for {SPEED:,} lines/s, of which {4 * MOST_COUNTED:,} are read and all counted", many, 1, ""),
            goal("requests/s with the log against without, proxied", ratio, RATIO, "", at_least=True),
            goal("the same by CPU per request (inverse), lowest rounds", cpus[0] / cpus[1], RATIO, "", at_least=True),
            goal("size of the log while nobody reads", stall.log / MIB, LIMIT / MIB, "MiB"),
            "the log reached its limit"
            if stall.log >= LIMIT - MIB
            else "the log did NOT reach its limit: the load was too small",
            goal("errors while nobody reads", sum(one.errors for one in stall.stopped), 0, ""),
        ),
        figures={"every line": every, "cores for many lines": many, "ratio": ratio, "µs a request": cpus[1] - cpus[0]},
    )


def _read_table(rows: list[Reading]) -> Table:
    return Table(
        title="From the bytes of the log to windows, one thread",
        heads=("traffic", "lines in a look (a quarter of a second)", "lines/s of CPU", "share of a core"),
        rows=tuple((one.kind, f"{one.lines:,}", short(one.speed), f"{4 * one.lines / one.speed:.1%}") for one in rows),
        note=f"Up to {MOST_COUNTED:,} lines a look every line is read; of more, as many are, and all are counted. An Envoy is "
        "told to write fewer lines long before the last row.",
    )


def _written_table(contenders: list[Contender]) -> Table:
    return Table(
        title="Envoy, proxying, one core, with the log and without",
        heads=throughput.HEADS,
        rows=tuple(each.row(contenders[0]) for each in contenders),
        note="Two processes of each kind: how far the same lie apart is the noise. `of bare` is of the first row here.",
    )


def _stall_table(stall: Stall) -> Table:
    rounds = (
        ("reads", stall.reading),
        ("stopped, first round", stall.stopped[0]),
        ("stopped, last round", stall.stopped[-1]),
        ("reads again", stall.after),
    )
    return Table(
        title="An agent that is stopped under load",
        heads=("agent", "requests/s", "p50 ms", "p99 ms", "errors"),
        rows=tuple((name, short(one.rate), short(one.p50), short(one.p99), str(one.errors)) for name, one in rounds),
        note=f"The log grew to {stall.log / MIB:.0f} MiB of {LIMIT / MIB:.0f} that it may have, and was "
        f"{stall.log_after / MIB:.0f} MiB long after the last round; Envoy's memory went from {stall.envoy_mib_before:.0f} to "
        f"{stall.envoy_mib:.0f} MiB. Agent and Envoy share a core here: with the agent stopped Envoy has all of it, so "
        "rates are not to be compared between the rows.",
    )
