"""The big red button: 1,000 edges are told to go back, while everything that a control plane leans on goes away under it.

Pressed three times over: with all there; with the database (PostgreSQL) killed; with the manifests deleted, too. The control
plane is `seawall serve`, the edges are streams of another process (`support.crowd`) that say and acknowledge what agents do.
From the click until 99 % have acknowledged; both share two cores.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.support.postgres import Postgres, running

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import instances, manifests
from bench.support.numbers import short
from bench.support.programs import Failure, free_port, wait_for
from seawall.cli.client import Client
from seawall.kit.errors import UnavailableError

QUESTION = "how long until 99 % of 1,000 edges have gone back, also with the history and the manifests gone?"
_ROOT = Path(__file__).parent.parent
_PATIENCE = 90.0
_GOAL = 30.0


class Press(msgspec.Struct, frozen=True, kw_only=True):
    """One click: seconds until it was answered, and until the median edge, 99 % and all had acknowledged."""

    what: str
    answered: float
    p50: float
    p99: float
    last: float

    def row(self) -> tuple[str, ...]:
        return (self.what, *(short(each) for each in (self.answered, self.p50, self.p99, self.last)))


class _Crowd:
    """The edges."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline() or '{"lost": ["the crowd has ended"]}')
        if answer.get("lost") or answer.get("late"):
            raise Failure(f"edges that did not follow: {answer}")
        return answer

    def bundle(self) -> str:
        """Name what all run."""
        bundles: dict[str, int] = self.ask(do="bundles")["bundles"]
        if len(bundles) != 1:
            raise Failure(f"edges run {len(bundles)} bundles, not one.")
        return next(iter(bundles))


async def run(options: Options) -> Result:
    """Set the fleet up, and press."""
    presses = await asyncio.to_thread(_run, options)
    table = Table(
        title="Seconds from the click until the edges have acknowledged",
        heads=("gone", "click answered", "half", "99 %", "all"),
        rows=tuple(press.row() for press in presses),
        note="Each edge is told to run a bundle that it keeps, in a signed order of its own: nothing is compiled, and no byte of "
        "configuration is sent.",
    )
    worst = max(press.p99 for press in presses)
    verdicts = (goal("99 % of the edges on the version gone back to, the slowest click", worst, _GOAL, "s"),)
    return Result(bench="red_button", question=QUESTION, tables=(table,), verdicts=verdicts, figures={"99 % s": worst})


def _run(options: Options) -> list[Press]:
    edges, routes = options.pick(1000, 20), options.pick(1000, 20)
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder, port = Path(name), free_port()
        source = folder / "manifests"
        source.mkdir()
        (source / "base.yaml").write_text(manifests.base(free_port(), free_port()), encoding="utf-8")
        manifests.many_routes(source, routes)
        with (
            running() as database,
            instances.serve(source, folder / "cp", port, "--history", _url(database)) as plane,
            _crowd(port, folder) as crowd,
        ):
            _until_compiled(plane, folder)
            crowd.ask(do="connect", count=edges, held=False)
            crowd.ask(do="wait", hosts=routes + 1, bundle="", since=0.0, patience=_PATIENCE)
            old = crowd.bundle()
            manifests.place(source / "bad.yaml", manifests.route(2_000_000))
            crowd.ask(do="wait", hosts=routes + 2, bundle="", since=0.0, patience=_PATIENCE)
            new = crowd.bundle()
            # The machine is told once a second of what went out; edges say every five what they keep.
            time.sleep(options.pick(7, 3))
            plane.require_alive()
            return _press_all(folder, crowd, database, (old, new), options.pick(4, 2))


def _url(database: Postgres) -> str:
    return f"postgresql://seawall@/postgres?host={database.root}"


def _until_compiled(plane: instances.Instance, folder: Path) -> None:
    """Edges that come before the manifests are read would be told nothing yet."""

    def has_compiled() -> bool:
        plane.require_alive()
        with contextlib.suppress(UnavailableError):
            return bool(Client("bench", folder / "cp").get("/v1/status")["version"])
        return False

    wait_for("the manifests to be compiled", has_compiled, 60.0)


def _press_all(folder: Path, crowd: _Crowd, database: Postgres, bundles: tuple[str, str], times: int) -> list[Press]:
    presses = [_press(folder, crowd, bundles[turn % 2], "nothing") for turn in range(times)]
    database.stop(signal.SIGKILL)
    presses += [_press(folder, crowd, bundles[turn % 2], "the history") for turn in range(times)]
    if not Client("bench", folder / "cp").get("/v1/rollouts")["history"]["problem"]:
        raise Failure("the database is gone, and the control plane has not noticed.")
    shutil.rmtree(folder / "manifests")
    time.sleep(2)
    presses += [_press(folder, crowd, bundles[turn % 2], "the history and the manifests") for turn in range(times)]
    return [
        max((one for one in presses if one.what == what), key=lambda one: one.p99)
        for what in dict.fromkeys(one.what for one in presses)
    ]


def _press(folder: Path, crowd: _Crowd, bundle: str, what: str) -> Press:
    begun = time.time()
    command = {"verb": "back", "who": "bench", "reason": "the red button", "bundle": bundle}
    answer = Client("bench", folder / "cp").post("/v1/rollouts", command)
    if not answer["isAccepted"]:
        raise Failure(f"the button was refused with {what} gone: {answer['answers']}")
    answered = time.time() - begun
    found = crowd.ask(do="wait", bundle=bundle, since=begun, patience=_PATIENCE)
    say(f"{what} gone: 99 % after {found['p99'] - begun:.2f} s")
    time.sleep(1)
    p50, p99, last = (float(found[name]) - begun for name in ("p50", "p99", "max"))
    return Press(what=what, answered=answered, p50=p50, p99=p99, last=last)


@contextlib.contextmanager
def _crowd(port: int, folder: Path) -> Iterator[_Crowd]:
    command = [sys.executable, "-m", "bench.support.crowd", "agents", f"127.0.0.1:{port}"]
    with (folder / "crowd.log").open("w") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=_ROOT
        )
    try:
        yield _Crowd(child)
    except Failure as failure:
        raise Failure(f"{failure} {(folder / 'crowd.log').read_text(errors='replace')[-1500:]}") from failure
    finally:
        child.kill()
        child.wait()
