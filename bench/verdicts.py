"""Verdicts: how soon they are enforced, what they cost those whom they do not name, and what a refusal costs.

The way is the real one: a message to a real agent, its relay, its Envoy, until a request is refused. For the price the same race as
in `bench.defaults`, between the edge without the filters of verdicts, with them and no verdict, and with thousands.
"""

import asyncio
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from tests.support.edge import free_port as tests_port
from tests.support.edge import running_edge, until
from tests.support.judged import HOST as JUDGED
from tests.support.judged import snapshot as judged_snapshot

from bench import throughput
from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import edits
from bench.support.ads import Ads
from bench.support.envoys import fed_envoy
from bench.support.load import backend, need
from bench.support.numbers import short
from bench.support.programs import cost, free_port, on_cores
from bench.throughput import HOST, LOAD_CORES, PROXY_CORES, Contender
from seawall.envoy import filters
from seawall.envoy.verdicts import Prepared, judge, keys, prepare
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Held, Verdicts
from seawall.kit.units import Instant
from seawall.xds.snapshot import Change, Snapshot

QUESTION = "how soon is a verdict enforced, and what does it cost those whom it does not name?"
SIZES = (1, 1_000, 10_000)
_CLIENT = "127.0.0.9"
_FILTERS = (*filters.VERDICTS, filters.CHOOSE, filters.ACT)
_WITHOUT, _NONE = "without the filters of verdicts", "with them, no verdict"


async def run(options: Options) -> Result:
    """Time the way of verdicts first, then race."""
    soon = await _times(options)
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        with backend(folder, LOAD_CORES) as port:
            async with AsyncExitStack() as stack:
                contenders = [await _contender(stack, folder, port, what, slots) for what, slots in _variants().items()]
                await asyncio.to_thread(throughput.race, contenders, options.pick(15, 1), 1)
                refused = await _refusal(stack, folder, port, options)
    return _result(soon, contenders, refused)


# ── how soon ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _times(options: Options) -> dict[str, tuple[float, float]]:
    """Return for each size the agent's own time and the time until a request is refused, in milliseconds: medians."""
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="sw-v-") as name:
        port = tests_port()
        async with running_edge(Path(name)) as edge:
            edge.control.publish(judged_snapshot(port, 1))
            await until(lambda: edge.applied)
            number = 0
            for size in SIZES:
                seen = []
                for _ in range(options.pick(5, 1)):
                    number += 2
                    said = await _once(edge, port, number, networks(size, number), is_whole=True)
                    seen.append(said)
                found[f"{size:,} at once"] = _medians(seen)
                say(f"{size} verdicts: {found[f'{size:,} at once']}")
            seen = []
            for _ in range(options.pick(15, 2)):
                number += 2
                seen.append(await _once(edge, port, number, (_mine(number),), is_whole=False))
            found["one more, beside 10,000"] = _medians(seen)
    return found


async def _once(
    edge: Any, port: int, number: int, entries: tuple[Entry, ...], *, is_whole: bool
) -> tuple[float, float]:
    """Send verdicts, wait until one of them refuses; then take that one back."""
    transport = httpx.AsyncHTTPTransport(local_address=_CLIENT)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://127.0.0.1:{port}", headers={"host": JUDGED}
    ) as http:
        began = time.perf_counter()
        edge.control.send(Verdicts(number=number, whole=is_whole, put=entries))
        while (await http.get("/")).headers.get("x-seawall-ref") != entries[-1].id:  # noqa: ASYNC110 - polls the edge
            await asyncio.sleep(0.001)
        enforced = time.perf_counter() - began
        await until(lambda: any(one.number == number for one in edge.control.all(Held)))
        took = next(one.took for one in edge.control.all(Held) if one.number == number)
        edge.control.send(Verdicts(number=number + 1, gone=(entries[-1].id,)))
        while (await http.get("/")).status_code != 200:  # noqa: ASYNC110 - polls the edge
            await asyncio.sleep(0.001)
    return took * 1000, enforced * 1000


def _medians(seen: list[tuple[float, float]]) -> tuple[float, float]:
    return median(one[0] for one in seen), median(one[1] for one in seen)


def networks(count: int, number: int = 0) -> tuple[Entry, ...]:
    """Verdicts on addresses that nobody has, and one on our client."""
    ends = Instant(time.time() + 3600)
    addresses = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count - 1))
    others = tuple(_entry(f"n{n}", ends, {"address": one}) for n, one in enumerate(addresses))
    return (*others, _mine(number))


def _mine(number: int) -> Entry:
    return _entry(f"mine{number}", Instant(time.time() + 3600), {"address": _CLIENT})


def _entry(name: str, expires: Instant, match: dict[str, str]) -> Entry:
    return Entry(id=name, generation=1, expires=expires, kind="deny", match=match)


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────────


def _variants() -> dict[str, dict[str, tuple[Entry, ...]] | None]:
    ends = Instant(time.time() + 3600)
    tools = tuple(_entry(f"t{n}", ends, {"agent": f"tool/{n}", "path": f"/{n}"}) for n in range(1_000))
    pairs = tuple(
        _entry(f"p{n}", ends, {"address": f"10.9.{n >> 8}.{n & 255}", "agent": f"tool/{n}"}) for n in range(1_000)
    )
    fresh = tuple(_entry(f"f{n}", ends, {"address": f"10.8.0.{n}"}) for n in range(200))
    return {
        _WITHOUT: None,
        _NONE: {},
        "one verdict, on an address": {"fresh": networks(1)},
        "10,000 on addresses": {"lasting": networks(10_000)},
        "10,000: addresses, tools on paths, tools at addresses; 200 of them fresh": {
            "lasting": (*networks(7_800), *tools, *pairs),
            "fresh": fresh,
        },
    }


async def _contender(
    stack: AsyncExitStack, folder: Path, backend_port: int, name: str, slots: dict[str, tuple[Entry, ...]] | None
) -> Contender:
    port = free_port()
    snapshot = throughput.snapshot(port, backend_port)
    snapshot = edits.of_manager(_without_verdicts)(snapshot) if slots is None else judged(snapshot, slots)
    child = await stack.enter_async_context(fed_envoy(folder / str(port), Ads(snapshot), port, PROXY_CORES))
    return Contender(name=name, port=port, pid=child.pid)


def judged(snapshot: Snapshot, slots: dict[str, tuple[Entry, ...]]) -> Snapshot:
    """Put verdicts into a snapshot, as the agent's relay does."""
    built = []
    for slot, entries in slots.items():
        built.append(judge(slot, [one for entry in entries if isinstance(one := prepare(entry, slot), Prepared)]))
    wanted = keys(fields for one in built for fields in one.fields)
    return snapshot.apply(Change(put=(wanted, *(one.resource for one in built))))


def _without_verdicts(manager: Any) -> None:
    kept = [one for one in manager.http_filters if one.name not in _FILTERS]
    del manager.http_filters[:]
    manager.http_filters.extend(kept)


async def _refusal(stack: AsyncExitStack, folder: Path, backend_port: int, options: Options) -> float:
    """Return the CPU of a refused request, in µs."""
    entry = _entry("flood", Instant(time.time() + 3600), {"address": "127.0.0.1"})
    edge = await _contender(stack, folder, backend_port, "refused", {"fresh": (entry,)})
    return await asyncio.to_thread(_flooded, edge, options)


def _flooded(edge: Contender, options: Options) -> float:
    wrk, found = need("wrk", "wrk"), []
    for _ in range(options.pick(5, 1)):
        before = cost(edge.pids)
        command = [wrk, "-t1", "-c64", "-d1s", "-H", f"Host: {HOST}", f"http://127.0.0.1:{edge.port}/"]
        with on_cores(LOAD_CORES):
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        requests = int(said.partition(" requests in")[0].split()[-1])
        found.append((cost(edge.pids).cpu - before.cpu) / max(1, requests) * 1e6)
    return min(found)


def _result(soon: dict[str, tuple[float, float]], contenders: list[Contender], refused: float) -> Result:
    times = Table(
        title="From the control plane's message until it is enforced, ms (medians)",
        heads=("verdicts", "the agent, until Envoy has acknowledged", "until a request is refused, polled"),
        rows=tuple((what, short(took), short(enforced)) for what, (took, enforced) in soon.items()),
        note="Agent and control plane of this measurement share a process; the edge's Envoy has one worker.",
    )
    base = contenders[0]
    # Whatever else a machine does can only make a round worse: the best one counts.
    p99 = {each.name: min(one.p99 for one in each.rounds) for each in contenders}
    rate = {each.name: max(one.rate for one in each.rounds) for each in contenders}
    rows = [
        (
            each.name,
            short(each.cpu),
            f"{each.cpu - base.cpu:+.1f}",
            f"{rate[each.name] / rate[base.name]:.2f}",
            short(p99[each.name]),
            short(each.rss_mib),
        )
        for each in contenders
    ]
    price = Table(
        title="What those pay whom no verdict names",
        heads=(
            "the edge",
            "CPU µs/request, lowest round",
            "difference",
            "requests/s against the first",
            "p99 ms",
            "MiB",
        ),
        rows=(*rows, ("a refused request", short(refused), f"{refused - base.cpu:+.1f}", "", "", "")),
        note="Latency is that of an edge under full load: compare, do not quote.",
    )
    worst = contenders[-1]
    verdicts = (
        goal("10,000 at once", soon["10,000 at once"][0], 250, "ms"),
        goal("one more beside 10,000", soon["one more, beside 10,000"][0], 20, "ms"),
        goal("requests/s with 10,000 of several kinds", rate[worst.name] / rate[base.name], 0.90, "", at_least=True),
        goal("p99 with 10,000 of several kinds, added", p99[worst.name] - p99[base.name], 0.5, "ms"),
    )
    figures = {each.name: each.cpu for each in contenders} | {what: took for what, (took, _) in soon.items()}
    return Result(bench="verdicts", question=QUESTION, tables=(times, price), verdicts=verdicts, figures=figures)
