"""Fleet: one control plane and 1,000 edges: a change that all acknowledge, all of them coming back at once, and the big red
button: all of them told to go back to a bundle that they keep.

The control plane is `seawall serve`; the edges are streams of a process of their own (`support.crowd`) that say and
acknowledge what agents, or Envoys, would. Over TCP on loopback without TLS: handshakes are not in the figures. The crowd
has no jitter, which real agents have: the storm is the worst case. Crowd and control plane share the machine.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import instances, manifests
from bench.support.numbers import short
from bench.support.programs import Failure, cost, free_port, peak_rss
from seawall.cli.client import Client

QUESTION = "how fast does a change reach 1,000 edges, how fast do all go back, and what if they all connect at once?"
_ROOT = Path(__file__).parent.parent
_PATIENCE = 90.0


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of edges showed: seconds, MiB."""

    kind: str
    routes: int
    edges: int
    first: float
    change: tuple[float, ...]
    change_p50: tuple[float, ...]
    storm: float
    storm_p50: float
    anew: float
    anew_cpu: tuple[float, float]
    before: float
    peak: float
    button: tuple["_Press", ...] = ()
    talk: float = 0.0

    def row(self) -> tuple[str, ...]:
        return (
            self.kind,
            f"{self.edges:,}",
            f"{self.routes:,}",
            f"{short(median(self.change_p50) * 1000)} / {short(max(self.change) * 1000)}",
            f"{short(self.storm_p50)} / {short(self.storm)}",
            short(self.anew),
            f"{short(self.anew_cpu[0])} / {short(self.anew_cpu[1])}",
            f"{short(self.before)} / {short(self.peak)}",
        )

    def button_row(self) -> tuple[str, ...]:
        slowest = max(self.button, key=lambda press: press.p99)
        return (
            self.kind,
            f"{self.edges:,}",
            f"{short(slowest.p50)} / {short(slowest.p99)} / {short(slowest.last)}",
            short(max(press.answered for press in self.button)),
            f"{self.talk:.0%}",
        )


class _Press(msgspec.Struct, frozen=True, kw_only=True):
    """How long after the click the median edge, 99 % and all had acknowledged; and until the click was answered."""

    p50: float
    p99: float
    last: float
    answered: float


class _Town(msgspec.Struct, frozen=True, kw_only=True):
    """What is set up: so many edges of a kind, so many routes in a folder."""

    kind: str
    edges: int
    routes: int
    folder: Path
    run_dir: Path


class _Crowd:
    """The other process."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self.pid = child.pid

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline() or '{"lost": ["the crowd has ended"]}')
        if answer.get("lost"):
            raise Failure(f"an edge lost its control plane: {answer['lost'][0]}")
        if answer.get("late"):
            raise Failure(f"{answer['late']} edges were not current after {_PATIENCE:g} s.")
        return answer

    def wait(self, hosts: int, since: float = 0.0) -> tuple[float, float]:
        """Return when the median edge and the last one were current."""
        answer = self.ask(do="wait", hosts=hosts, bundle="", since=since, patience=_PATIENCE)
        return float(answer["p50"]), float(answer["max"])

    def wait_for_bundle(self, bundle: str, since: float) -> tuple[float, float, float]:
        """Return when the median edge, 99 % and the last one had acknowledged a bundle."""
        answer = self.ask(do="wait", bundle=bundle, since=since, patience=_PATIENCE)
        return float(answer["p50"]), float(answer["p99"]), float(answer["max"])

    def bundle(self) -> str:
        """Name the bundle that all run."""
        bundles: dict[str, int] = self.ask(do="bundles")["bundles"]
        if len(bundles) != 1:
            raise Failure(f"edges run {len(bundles)} bundles, not one.")
        return next(iter(bundles))


async def run(options: Options) -> Result:
    """Measure agents, then Envoys without agents."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    found, left_out = [], []
    for kind in ("agents", "envoys"):
        say(f"{kind} connect")
        try:
            found.append(_fleet(kind, options))
        except Failure as failure:
            left_out.append(f"MISSED: {kind}: {failure}")
    return _result(found, left_out)


def _fleet(kind: str, options: Options) -> Fleet:
    edges, routes = options.pick(1000, 20), options.pick(1000, 20)
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        manifest_dir, port = folder / "manifests", free_port()
        manifest_dir.mkdir()
        (manifest_dir / "base.yaml").write_text(manifests.base(free_port(), free_port()), encoding="utf-8")
        manifests.many_routes(manifest_dir, routes)
        agents, xds = (port, free_port()) if kind == "agents" else (free_port(), port)
        words = ("--xds", f"127.0.0.1:{xds}") if kind == "envoys" else ()
        with instances.serve(manifest_dir, folder / "cp", agents, *words) as plane, _crowd(kind, port, folder) as crowd:
            return _measure(
                _Town(kind=kind, edges=edges, routes=routes, folder=manifest_dir, run_dir=folder / "cp"),
                crowd,
                plane,
                options,
            )


def _measure(town: _Town, crowd: _Crowd, plane: instances.Instance, options: Options) -> Fleet:
    # The catch-all of the listener's table is a scope too.
    hosts = town.routes + 1
    _until_listening(plane)
    begun = time.time()
    crowd.ask(do="connect", count=town.edges, held=False)
    first = crowd.wait(hosts)[1] - begun
    say(f"{town.edges:,} {town.kind} current after {first:.1f} s")
    spreads = []
    for turn in range(options.pick(10, 2)):
        begun = time.time()
        manifests.place(town.folder / f"added-{turn}.yaml", manifests.route(1_000_000 + turn))
        hosts += 1
        p50, last = crowd.wait(hosts, begun)
        spreads.append((p50 - begun, last - begun))
        time.sleep(0.2)
    before = cost([plane.pid]).mib
    storms = []
    for is_held in (True, False):
        crowd.ask(do="drop")
        say(f"storm, {'holding what they had' if is_held else 'with empty hands'}")
        time.sleep(1)
        begun, bills = time.time(), [cost([pid]).cpu for pid in (plane.pid, crowd.pid)]
        crowd.ask(do="connect", count=town.edges, held=is_held)
        p50, last = crowd.wait(hosts, begun)
        storms.append((p50 - begun, last - begun))
        bills = [cost([pid]).cpu - bill for pid, bill in zip((plane.pid, crowd.pid), bills, strict=True)]
    button, talk = _press(town, crowd, plane, options, hosts) if town.kind == "agents" else ((), 0.0)
    plane.require_alive()
    return Fleet(
        kind=town.kind,
        routes=town.routes,
        edges=town.edges,
        first=first,
        change=tuple(last for _, last in spreads),
        change_p50=tuple(p50 for p50, _ in spreads),
        storm=storms[0][1],
        storm_p50=storms[0][0],
        anew=storms[1][1],
        anew_cpu=(bills[0], bills[1]),
        before=before,
        peak=peak_rss(plane.pid) / (1 << 20),
        button=button,
        talk=talk,
    )


def _press(
    town: _Town, crowd: _Crowd, plane: instances.Instance, options: Options, hosts: int
) -> tuple[tuple[_Press, ...], float]:
    """Press the button, to and fro between two bundles that all edges keep; and see what 1,000 that just talk cost."""
    say("the red button")
    old = crowd.bundle()
    begun, bill = time.time(), cost([plane.pid]).cpu
    # The history is told once a second of what went out; heartbeats come every five.
    time.sleep(options.pick(10, 3))
    talk = (cost([plane.pid]).cpu - bill) / (time.time() - begun)
    manifests.place(town.folder / "bad.yaml", manifests.route(2_000_000))
    crowd.wait(hosts + 1)
    new = crowd.bundle()
    time.sleep(options.pick(7, 3))
    presses = []
    for turn in range(options.pick(6, 2)):
        bundle = new if turn % 2 else old
        begun = time.time()
        Client("bench", town.run_dir).post(
            "/v1/rollouts", {"verb": "back", "who": "bench", "reason": "the red button", "bundle": bundle}
        )
        answered = time.time() - begun
        p50, p99, last = crowd.wait_for_bundle(bundle, begun)
        presses.append(_Press(p50=p50 - begun, p99=p99 - begun, last=last - begun, answered=answered))
        time.sleep(1)
    return tuple(presses), talk


def _until_listening(plane: instances.Instance) -> None:
    """Give the control plane time to read its manifests: edges that come earlier would be told nothing yet."""
    before = -1.0
    while (now := cost([plane.pid]).cpu) - before > 0.02:
        plane.require_alive()
        before = now
        time.sleep(1)


@contextlib.contextmanager
def _crowd(kind: str, port: int, folder: Path) -> Iterator[_Crowd]:
    command = [sys.executable, "-m", "bench.support.crowd", kind, f"127.0.0.1:{port}"]
    with (folder / "crowd.log").open("w") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=_ROOT
        )
    try:
        yield _Crowd(child)
    finally:
        child.kill()
        child.wait()


def _result(found: list[Fleet], left_out: list[str]) -> Result:
    table = Table(
        title="One change to all edges; all edges back at once",
        heads=(
            "edges",
            "count",
            "routes",
            "one change, p50 / last ms (worst of all)",
            "back with what they had, p50 / all s",
            "back with empty hands, all s",
            "of that CPU s, control plane / crowd",
            "control plane RSS MiB, before / peak",
        ),
        rows=tuple(fleet.row() for fleet in found),
        note="From the write of the file until the last edge has taken it in. The crowd's own work on the same two cores is in "
        "these figures. Real agents come back with a random pause that grows to 15 s; these come all in one moment.",
    )
    pressed = [each for each in found if each.button]
    buttons = Table(
        title="The big red button: all edges back to a bundle that they keep",
        heads=("edges", "count", "p50 / 99 % / all s (worst of all)", "answered after s", "control plane CPU, at rest"),
        rows=tuple(each.button_row() for each in pressed),
        note="From the click (POST /v1/rollouts) until each edge has written its acknowledgement. An order of its own is signed "
        "for each edge and is in the history before it goes out. At rest each edge sends a tally a second and a heartbeat each "
        "five: that is the CPU, as a share of one core.",
    )
    figures = {f"{each.kind} change last ms": max(each.change) * 1000 for each in found}
    figures |= {f"{each.kind} storm s": each.storm for each in found}
    figures |= {f"{each.kind} storm anew s": each.anew for each in found}
    figures |= {f"{each.kind} peak MiB": each.peak for each in found}
    figures |= {f"{each.kind} red button 99 % s": max(one.p99 for one in each.button) for each in pressed}
    verdicts = [goal(f"one change at every one of the {f.kind}", max(f.change), 1.0, "s") for f in found]
    verdicts += [goal(f"all {f.kind} back and current", f.storm, 10.0, "s") for f in found]
    verdicts += [
        goal(f"99 % of the {f.kind} on the pinned bundle", max(one.p99 for one in f.button), 30.0, "s") for f in pressed
    ]
    return Result(
        bench="fleet", question=QUESTION, tables=(table, buttons), verdicts=(*verdicts, *left_out), figures=figures
    )
