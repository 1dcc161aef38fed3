"""Protection between its machine, the disk, and edges on real streams."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from seawall.app.protection import Protection
from seawall.app.traffic import Traffic
from seawall.detect.events import Commanded
from seawall.detect.scope import scope
from seawall.detect.settings import Settings
from seawall.detect.verdict import Action
from seawall.fleet.wire import Held, Hello, Up, Verdicts
from seawall.fleet.wire import Traffic as Message
from seawall.kit.units import Instant, Seconds
from seawall.server.edges import EdgeService, serve_edges
from seawall.traffic.delta import delta
from seawall.traffic.entry import FIELDS, SEPARATOR, parse
from tests.support.caller import Caller, edge, until


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A control plane's part that protects, with a clock of its own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.clock = Clock()
        self.service = EdgeService(on_report=self._reported)
        self.traffic = Traffic()
        self.protection = Protection(self.service, self.traffic, folder, self.clock, lambda: settings)

    def _reported(self, name: str, message: Up) -> None:
        match message:
            case Hello():
                self.protection.greeted(name)
            case Held():
                self.protection.heard(name, message)
            case Message():
                self.traffic.heard(name, message, Instant(self.clock.now))
            case _:
                pass


def tell(folder: Path, story: Callable[[World, str], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        world = World(folder, Settings(**settings))  # type: ignore[arg-type]
        async with serve_edges(world.service, f"unix:{folder}/s") as address, asyncio.TaskGroup() as group:
            deciding = group.create_task(world.protection.run(), name="protection")
            try:
                await story(world, address)
            finally:
                deciding.cancel()

    asyncio.run(main())


def said(verb: str, at: float, **values: object) -> Commanded:
    fields = {
        "scope": scope("", {"path": "/x"}),
        "action": Action(kind="deny", code=403),
        "ttl": Seconds(60.0),
        **values,
    }
    return Commanded(at=Instant(at), verb=verb, who="me", **fields)  # type: ignore[arg-type]


async def heard(caller: Caller) -> Verdicts:
    while True:
        message = await caller.hear()
        if isinstance(message, Verdicts):
            return message


def test_an_edge_is_told_all_when_it_comes_then_what_changes_and_all_again_when_it_has_missed_some(
    tmp_path: Path,
) -> None:
    async def story(world: World, address: str) -> None:
        now = world.clock.now
        await world.protection.command(said("add", now))
        async with edge(address, "e1") as e1:
            first = await heard(e1)
            assert first.whole
            (entry,) = first.put
            assert (entry.match, entry.kind, entry.expires) == ({"path": "/x"}, "deny", now + 60)

            await until(lambda: world.protection.serves("e1"))
            await world.protection.command(said("add", now, scope=scope("", {"path": "/y"})))
            second = await heard(e1)
            assert (second.number, second.whole, [one.match for one in second.put]) == (2, False, [{"path": "/y"}])

            await world.protection.command(said("remove", now, verdict=entry.id))
            assert (await heard(e1)).gone == (entry.id,)

            await e1.say(Held(number=-1))
            again = await heard(e1)
            assert again.whole and [one.match for one in again.put] == [{"path": "/y"}]

            await e1.say(Held(number=again.number, entries=1, took=0.01))
            await until(lambda: world.protection.held.get("e1"))

    tell(tmp_path, story)


def test_what_was_decided_survives_the_control_plane_and_what_is_no_state_is_set_aside(tmp_path: Path) -> None:
    async def before(world: World, address: str) -> None:
        await world.protection.command(said("add", world.clock.now))

    async def after(world: World, address: str) -> None:
        async with edge(address, "e1") as e1:
            assert [one.match for one in (await heard(e1)).put] == [{"path": "/x"}]

    async def anew(world: World, address: str) -> None:
        async with edge(address, "e1") as e1:
            assert (await heard(e1)).put == ()

    tell(tmp_path, before)
    tell(tmp_path, after)
    (tmp_path / "protection.msgpack").write_bytes(b"\x93not a state")
    tell(tmp_path, anew)
    assert (tmp_path / "protection.unreadable").read_bytes() == b"\x93not a state"


def lines(second: int, *requests: dict[str, str]) -> bytes:
    usual = {
        "took": "20",
        "method": "GET",
        "host": "shop.example",
        "route": "shop",
        "status": "200",
        "version": "HTTP/2",
    }
    text = [
        SEPARATOR.join({**usual, "ended": f"{second}.5", **one}.get(field, "-") for field in FIELDS) for one in requests
    ]
    return ("\n".join(text) + "\n").encode()


def people(second: int) -> list[dict[str, str]]:
    return [
        {
            "address": f"127.1.{number % 50}.{second % 200}",
            "target": f"/item/{number}",
            "agent": f"Firefox/{number % 7}",
            "ja4": "a_b",
            "accept": "*",
        }
        for number in range(30)
    ]


def flood() -> list[dict[str, str]]:
    return [
        {"address": f"127.9.{number // 200}.{number % 200}", "target": "/search?q=1", "agent": "flood/1", "ja4": "x_y"}
        for number in range(600)
    ]


async def flooded(world: World, e1: Caller) -> list[dict[str, str]]:
    """Play 50 s of people and 10 s of a flood among them; return what the edge is told to do to whom."""
    start = int(world.clock.now)
    found: list[dict[str, str]] = []
    for step in range(60):
        second = start + step
        requests = people(second) + (flood() if step >= 50 else [])
        one = delta(parse(lines(second, *requests)), edge="?", run="r", number=step, at=Instant(float(second)))
        await e1.say(Message(delta=one))
        await until(partial(world.traffic.windows.rows, second))
        world.clock.now = second + 2.1
        await until(partial(world.protection.has_seen, Instant(float(second))))
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(1):
                message = await heard(e1)
            found.extend({"kind": one.kind, **one.match} for one in message.put)
    return found


def play(folder: Path, **settings: object) -> tuple[list[dict[str, str]], list[str]]:
    found: list[dict[str, str]] = []
    standing: list[str] = []

    async def story(world: World, address: str) -> None:
        async with edge(address, "e1") as e1:
            await heard(e1)
            found.extend(await flooded(world, e1))
            standing.extend(str(one.scope) for one in world.protection.guard.in_force(Instant(world.clock.now)))

    tell(folder, story, cold_start=Seconds(30.0), **settings)
    return found, standing


def test_a_flood_is_named_within_seconds_and_nobody_else_is(tmp_path: Path) -> None:
    found, _ = play(tmp_path, enforces=True)

    acting = [one for one in found if one["kind"] in ("limit", "deny", "tarpit", "drop")]
    assert acting, found
    signs = {("agent", "flood/1"), ("ja4", "x_y"), ("path", "/search")}
    assert all(signs & one.items() for one in acting), acting


def test_who_only_observes_says_what_would_be_done_and_tells_no_edge(tmp_path: Path) -> None:
    found, standing = play(tmp_path)

    assert found == []
    assert any("flood/1" in one or "x_y" in one or "/search" in one for one in standing), standing
