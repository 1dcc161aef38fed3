"""The kernel drops, against the real nftables, each test in a network of its own."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.edge import free_port, running_edge, until
from tests.support.judged import snapshot

from seawall.agent import firewall
from seawall.agent.firewall import Firewall, missing
from seawall.envoy.acts import ENFORCE_PCT
from seawall.envoy.runtime import runtime
from seawall.fleet.nftables import Limits
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Verdicts
from seawall.kit.units import Instant
from seawall.xds.snapshot import Change, Snapshot

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
ELSEWHERE = "127.0.0.9"


def alone(story: str) -> None:
    """Run a story of this file in a network namespace of its own, as root there."""
    program = f"from tests.support.host import raise_loopback as up; up(); from {__name__} import {story}; {story}()"
    subprocess.run(
        ["unshare", "--net", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--", sys.executable, "-c", program],
        check=True,
        timeout=90,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def entry(**fields: Any) -> Entry:
    plain = {"id": "v1", "generation": 1, "expires": Instant(time.time() + 60), "kind": "drop"}
    return Entry(**{**plain, **fields})


def tables() -> set[str]:
    said = subprocess.run([_nft(), "-j", "list", "tables"], check=True, capture_output=True).stdout
    return {one["table"]["name"] for one in json.loads(said)["nftables"] if "table" in one}


def listed() -> bytes:
    return subprocess.run([_nft(), "list", "table", "inet", "seawall_e1"], check=True, capture_output=True).stdout


def elements(name: str) -> list[Any]:
    said = subprocess.run(
        [_nft(), "-j", "list", "set", "inet", "seawall_e1", name], check=True, capture_output=True
    ).stdout
    (found,) = [one["set"] for one in json.loads(said)["nftables"] if "set" in one]
    listed: list[Any] = found.get("elem", [])
    return listed


def _nft() -> str:
    return shutil.which("nft") or "/usr/sbin/nft"


async def echo(address: str = "0.0.0.0") -> tuple[asyncio.Server, int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, address, 0)
    return server, server.sockets[0].getsockname()[1]


async def reaches(port: int, client: str = "127.0.0.1", to: str = "127.0.0.1", patience: float = 0.4) -> bool:
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(to, port, local_addr=(client, 0))
            writer.write(b"x")
            is_answered = await reader.read(1) == b"x"
            writer.close()
            return is_answered
    except (TimeoutError, OSError):
        return False


def test_who_is_dropped_reaches_our_ports_no_more_until_it_ends() -> None:
    alone("dropped_story")


def dropped_story() -> None:
    async def story() -> None:
        server, port = await echo()
        other, free = await echo()
        async with server, other:
            wall = Firewall("e1")
            drops = [
                entry(match={"address": ELSEWHERE}, expires=Instant(time.time() + 2.5)),
                entry(id="n", match={"net24": "127.0.7.0/24"}),
            ]
            await wall.sync(drops, [port], Instant(time.time()))

            assert (wall.problem, wall.dropped) == ("", 2)
            assert not await reaches(port, ELSEWHERE) and not await reaches(port, "127.0.7.7")
            assert await reaches(port) and await reaches(free, ELSEWHERE)
            async with asyncio.timeout(10):
                while not await reaches(port, ELSEWHERE):
                    assert time.time() < drops[0].expires + 2, "the kernel's own clock ends it"
            assert time.time() > drops[0].expires - 0.05
            assert not await reaches(port, "127.0.7.7")
            await wall.remove()
            assert tables() == set() and await reaches(port, "127.0.7.7")

    asyncio.run(story())


def test_what_is_allowed_passes_a_dropped_network_and_both_families_work() -> None:
    alone("allowed_story")


def allowed_story() -> None:
    async def story() -> None:
        server, port = await echo()
        six, port6 = await echo("::1")
        async with server, six:
            wall = Firewall("e1")
            friend = entry(id="f", kind="allow", match={"address": "127.0.7.9"})
            drops = [entry(match={"net24": "127.0.7.0/24"}), entry(id="6", match={"net64": "::/64"}), friend]
            await wall.sync(drops, [port, port6], Instant(time.time()))

            assert await reaches(port, "127.0.7.9") and not await reaches(port, "127.0.7.8")
            assert not await reaches(port6, "::1", "::1")
            await wall.sync([friend], [port], Instant(time.time()))
            assert tables() == set() and await reaches(port6, "::1", "::1")

    asyncio.run(story())


def test_ten_thousand_are_dropped_in_one_go() -> None:
    alone("many_story")


def many_story() -> None:
    async def story() -> None:
        wall = Firewall("e1")
        many = [entry(id=f"n{n}", match={"address": f"10.1.{n >> 8}.{n & 255}"}) for n in range(10_000)]
        began = time.monotonic()
        await wall.sync(many, [80], Instant(time.time()))
        print(f" 10,000 networks in the kernel after {time.monotonic() - began:.3f} s")  # noqa: T201
        assert wall.problem == "" and len(elements("drop4")) == 10_000

    asyncio.run(story())


def test_connections_and_new_ones_are_bounded_for_each_address() -> None:
    alone("bounded_story")


def bounded_story() -> None:
    async def story() -> None:
        server, port = await echo()
        async with server:
            wall = Firewall("e1", Limits(connections=3))
            await wall.sync([], [port], Instant(time.time()))
            assert wall.problem == ""
            held = [await asyncio.open_connection("127.0.0.1", port, local_addr=(ELSEWHERE, 0)) for _ in range(3)]
            assert not await reaches(port, ELSEWHERE) and await reaches(port)
            for _, writer in held:
                writer.close()
            wall = Firewall("e1", Limits(new_per_second=2))
            await wall.sync([], [port], Instant(time.time()))
            tried = [await reaches(port, ELSEWHERE, patience=0.05) for _ in range(12)]
            assert 3 <= tried.count(True) < 12 and await reaches(port)
            await wall.remove()

    asyncio.run(story())


def test_a_syn_proxy_is_there_or_missed_and_all_else_holds() -> None:
    alone("proxy_story")


def proxy_story() -> None:
    async def story() -> None:
        wall = Firewall("e1", Limits(syn_proxy=True, connections=100))
        await wall.sync([entry(match={"address": ELSEWHERE})], [80], Instant(time.time()))

        rules = listed()
        assert (b"synproxy" in rules) == (wall.problem == "")
        assert (
            wall.dropped == 1
            and b"ct count" in rules
            and [one["elem"]["val"] for one in elements("drop4")] == [ELSEWHERE]
        )

    asyncio.run(story())


def test_an_agents_successor_finds_nothing_of_it() -> None:
    alone("left_story")


def left_story() -> None:
    async def story() -> None:
        await Firewall("e1").sync([entry(match={"address": ELSEWHERE})], [80], Instant(time.time()))
        assert tables() == {"seawall_e1"}

        await Firewall("e1").remove()

        assert tables() == set()
        await Firewall("e1").sync([entry(match={"address": ELSEWHERE})], [80], Instant(time.time()))
        await Firewall("e1").sync([entry(match={"address": "127.0.0.10"})], [80], Instant(time.time()))
        assert [one["elem"]["val"] for one in elements("drop4")] == ["127.0.0.10"]

    asyncio.run(story())


def test_without_nft_or_the_right_it_says_so_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused() -> str:
        wall = Firewall("e1")
        await wall.sync([entry(match={"address": ELSEWHERE})], [80], Instant(time.time()))
        assert wall.dropped == 0
        said = wall.problem
        await wall.sync([], [80], Instant(time.time()))
        return said

    monkeypatch.setattr(firewall, "_nft", lambda: None)
    assert "not installed" in asyncio.run(refused()) and "Envoy instead" in asyncio.run(refused())
    monkeypatch.undo()
    monkeypatch.setattr(firewall, "_may_administer", lambda: False)
    assert "CAP_NET_ADMIN" in missing() and "CAP_NET_ADMIN" in asyncio.run(refused())


def test_an_agent_drops_and_takes_it_back_and_leaves_nothing() -> None:
    alone("agent_story")


def agent_story() -> None:
    async def story() -> None:
        with tempfile.TemporaryDirectory(prefix="fw") as name:
            folder, port = Path(name), free_port()
            async with running_edge(folder) as edge:
                edge.control.publish(snapshot(port, 1))
                await until(lambda: edge.applied)
                edge.control.send(Verdicts(number=1, whole=True, put=(entry(match={"address": ELSEWHERE}),)))
                await until(lambda: tables() == {"seawall_e1"} and elements("drop4"))
                async with asyncio.timeout(10):
                    while await _connects(port, ELSEWHERE):
                        pass
                assert await _connects(port, "127.0.0.1")
                edge.control.publish(observing(snapshot(port, 1)))
                await until(lambda: tables() == set())
                assert await _connects(port, ELSEWHERE)
                edge.control.publish(snapshot(port, 1))
                await until(lambda: tables() == {"seawall_e1"})
            assert tables() == set()

    asyncio.run(story())


def observing(wanted: Snapshot) -> Snapshot:
    return wanted.apply(Change(put=(runtime({ENFORCE_PCT: 0}),)))


async def _connects(port: int, client: str) -> bool:
    try:
        async with asyncio.timeout(0.4):
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0))
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


def test_what_the_kernel_does_not_take_changes_nothing() -> None:
    alone("untaken_story")


def untaken_story() -> None:
    async def story() -> None:
        wall = Firewall("e1")
        await wall.sync([entry(match={"address": ELSEWHERE})], [80], Instant(time.time()))
        await wall.sync([entry(match={"address": "127.0.0.10"})], [80_000], Instant(time.time()))

        assert wall.problem.startswith("nft says") and wall.dropped == 0
        assert [one["elem"]["val"] for one in elements("drop4")] == [ELSEWHERE]

    asyncio.run(story())
