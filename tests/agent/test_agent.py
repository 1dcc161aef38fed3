"""The agent with the real Envoy: what an edge does when everything around it dies."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.support.control import Control
from tests.support.control import serving as serving_control
from tests.support.edge import (
    Edge,
    answer,
    answers,
    free_port,
    listener,
    resource,
    running_agent,
    running_edge,
    settings,
    until,
    within,
)

from seawall.agent.agent import Agent
from seawall.fleet.wire import Order
from seawall.kit.digest import digest
from seawall.kit.errors import ConfigError
from seawall.xds.resource import SCOPE, SECRET, Resource, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot

pytestmark = pytest.mark.e2e


def publish(edge: Edge, snapshot: Snapshot) -> Snapshot:
    edge.control.publish(snapshot)
    return snapshot


def test_a_published_snapshot_is_served_and_acknowledged(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            await until(lambda: edge.applied == snapshot.version and edge.is_ready)

            change = Change(put=(listener(port, "two"),))
            edge.control.publish(snapshot.apply(change), change)
            await answers(port, "two")
            await until(lambda: edge.applied == snapshot.apply(change).version)

    asyncio.run(within(main()))


def test_stopping_leaves_no_process_no_socket_and_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(free_port(), "one")]))
            await until(lambda: edge.is_ready)
            pid = edge.envoy
        assert not psutil.pid_exists(pid)

    asyncio.run(within(main()))
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["envoy.log"]
    assert sorted(file.name for file in (tmp_path / "state").iterdir()) == [
        "bundles.db",
        "snapshots.db",
        "trusted.keys",
    ]
    assert not (tmp_path / "control.sock").exists()
    assert not [child for child in psutil.Process().children() if child.name() == "envoy"]


def test_a_killed_envoy_is_back_and_serving(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one")]))
            await until(lambda: edge.applied == snapshot.version)
            first = edge.envoy

            os.kill(first, signal.SIGKILL)
            killed = time.monotonic()
            await until(lambda: edge.envoy not in (0, first))
            await answers(port, "one")
            assert time.monotonic() - killed < 5  # measured: 0.2 s
            await until(lambda: edge.is_ready and edge.state == "live")

    asyncio.run(within(main()))


async def kill_twice(edge: Edge) -> None:
    for _ in range(2):
        pid = edge.envoy
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: edge.envoy not in (0, pid))  # type: ignore[misc]  # bound on purpose


async def proven(edge: Edge, port: int) -> Snapshot:
    """Publish a snapshot and let its minute pass: the guardian is told that it did."""
    snapshot = publish(edge, Snapshot.of([listener(port, "good")]))
    await until(lambda: edge.applied == snapshot.version)
    edge.agent._keeper.promote(edge.agent._keeper.mark())
    edge.agent._guardian._trials.clear()
    edge.agent._guardian._good = snapshot.version
    return snapshot


def test_two_deaths_after_a_change_bring_back_the_snapshot_before(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            good = await proven(edge, port)
            bad = publish(edge, Snapshot.of([listener(port, "bad")]))
            await answers(port, "bad")
            await until(lambda: edge.applied == bad.version)

            await kill_twice(edge)
            killed = time.monotonic()
            await answers(port, "good")
            assert time.monotonic() - killed < 5
            await until(lambda: edge.state == "fallback" and edge.applied == good.version)
            status = edge.control.edges.get("e1")
            assert status is not None
            assert status.heartbeat is not None
            assert bad.version in status.heartbeat.fallback
            await until(lambda: edge.is_ready)

            edge.control.publish(Snapshot.of([listener(port, "fixed")]))
            await answers(port, "fixed")
            await until(lambda: edge.state == "live")

    asyncio.run(within(main()))


def test_a_refused_version_stays_refused_for_the_next_agent(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            await proven(edge, port)
            publish(edge, Snapshot.of([listener(port, "bad")]))
            await answers(port, "bad")
            await kill_twice(edge)
            await answers(port, "good")
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(port, "bad")]))
            await until(lambda: edge.state == "fallback")
            await answers(port, "good")

    asyncio.run(within(main()))


def test_an_edge_starts_from_its_disk_without_a_control_plane(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> float:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one")]))
            await until(lambda: edge.applied == snapshot.version)
        assert await answer(port) == ""

        began = time.monotonic()
        async with running_agent(settings(tmp_path)):
            await answers(port, "one")
            return time.monotonic() - began

    took = asyncio.run(within(main()))
    assert took < 5, f"{took:.2f} s"  # measured: 0.3 s; promised: 2 s


def test_a_dead_control_plane_changes_nothing_and_a_new_one_takes_over(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_agent(settings(tmp_path)) as agent:
            control = Control()
            async with serving_control(control, tmp_path):
                edge = Edge(agent, control)
                publish(edge, Snapshot.of([listener(port, "one")]))
                await answers(port, "one")
            assert await answer(port) == "one"

            control = Control()
            async with serving_control(control, tmp_path):
                publish(Edge(agent, control), Snapshot.of([listener(port, "two")]))
                await answers(port, "two")

    asyncio.run(within(main()))


def test_a_port_in_use_is_reported_and_the_others_serve(tmp_path: Path) -> None:
    free = free_port()

    async def main() -> None:
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            taken = holder.getsockname()[1]
            async with running_edge(tmp_path) as edge:
                snapshot = publish(edge, Snapshot.of([listener(taken, "taken"), listener(free, "free")]))
                await answers(free, "free")
                await until(lambda: edge.applied == snapshot.version and edge.rejections)
                [rejection] = edge.rejections
                assert f"127.0.0.1:{taken}/tcp is in use by" in rejection.message

                holder.close()
                await answers(taken, "taken")
                await until(lambda: not edge.rejections)

    asyncio.run(within(main()))


def test_what_nobody_asks_for_does_not_keep_an_edge_from_being_ready(tmp_path: Path) -> None:
    port = free_port()
    orphan = Resource(type_url=SCOPE, name=ResourceName("routes of a withheld listener"), version=digest(b""), body=b"")

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one"), orphan]))
            await until(lambda: edge.applied == snapshot.version and edge.is_ready)

    asyncio.run(within(main()))


def test_an_envoy_that_cannot_be_used_is_the_operators_to_mend(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="no Envoy at"):
            await Agent(settings(tmp_path, envoy="/nonexistent/envoy")).run()

    asyncio.run(within(main()))
    assert list((tmp_path / "run").iterdir()) == []


def test_what_envoy_refuses_is_reported_and_the_others_serve(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    broken = resource(f"tcp/127.0.0.1/{other}", listener(other, "x").body[:-40])

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "fine"), broken]))
            await answers(port, "fine")
            await until(lambda: edge.applied == snapshot.version and edge.is_ready)
            await until(lambda: edge.rejections)
            [rejection] = edge.rejections
            assert rejection.ref == broken.ref

            edge.control.publish(Snapshot.of([listener(port, "fine"), listener(other, "repaired")]))
            await answers(other, "repaired")
            await until(lambda: not edge.rejections)

    asyncio.run(within(main()))


def test_a_damaged_store_is_moved_aside_and_the_control_plane_serves(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "state").mkdir()
    (tmp_path / "state/snapshots.db").write_bytes(b"garbage" * 1000)

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(port, "one")]))
            await answers(port, "one")

    asyncio.run(within(main()))
    assert (tmp_path / "state/snapshots.db.unreadable").exists()
    with sqlite3.connect(tmp_path / "state/snapshots.db") as db:
        assert db.execute("SELECT count(*) FROM resource").fetchone() == (1,)


def test_a_disk_that_refuses_is_reported_and_the_edge_serves(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "state").write_text("no folder")

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            await until(lambda: edge.applied == snapshot.version)
            await until(lambda: "snapshots.db" in edge.problem)

    asyncio.run(within(main()))


def test_an_agent_that_leaves_is_followed_by_one_that_adopts(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            snapshot = publish(edge, Snapshot.of([listener(port, "one")]))
            await until(lambda: edge.applied == snapshot.version)
            pid = edge.envoy
            edge.agent.leave()
        assert await answer(port) == "one"

        async with running_edge(tmp_path) as edge:
            await until(lambda: edge.envoy == pid)
            publish(edge, Snapshot.of([listener(port, "two")]))
            await answers(port, "two")
            assert edge.envoy == pid
            assert not edge.rejections

            os.kill(pid, signal.SIGKILL)
            await until(lambda: edge.envoy not in (0, pid))
            await answers(port, "two")
        assert not psutil.pid_exists(pid)

    asyncio.run(within(main()))


def test_an_envoy_that_was_started_otherwise_is_replaced(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            await until(lambda: edge.agent._keeper.is_saved)
            pid = edge.envoy
            edge.agent.leave()
        async with running_agent(settings(tmp_path, max_connections=7)) as agent:
            await until(lambda: agent.envoy_pid not in (0, pid))
            await answers(port, "one")
            assert not psutil.pid_exists(pid)

    asyncio.run(within(main()))


def test_a_second_agent_on_the_folder_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_agent(settings(tmp_path)) as agent:
            await until((tmp_path / "run/agent.lock").exists)
            with pytest.raises(ExceptionGroup) as caught:
                async with running_agent(settings(tmp_path)):
                    await asyncio.sleep(5)
            assert isinstance(caught.value.exceptions[0], ConfigError)
            assert f"another agent (process {os.getpid()})" in str(caught.value.exceptions[0])
            agent.stop()

    asyncio.run(within(main()))


def test_an_envoy_that_crashes_at_start_is_reported_and_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && echo "version: abc/1.40.0/Clean/RELEASE/BoringSSL" && exit\n'
        "echo '[critical] cannot do this' >&2; exit 1\n"
    )
    program.chmod(0o755)

    async def main() -> None:
        async with running_edge(tmp_path, envoy=str(program)) as edge:
            publish(edge, Snapshot.of([listener(free_port(), "one")]))
            await until(lambda: edge.deaths >= 3 and edge.state == "down")
            assert not edge.is_ready

    asyncio.run(within(main()))


def test_monitoring_is_answered(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            await until(lambda: edge.agent.metrics_address)
            async with httpx.AsyncClient(base_url=f"http://{edge.agent.metrics_address}") as http:
                assert (await http.get("/live")).status_code == 200
                assert (await http.get("/ready")).status_code == 503

                publish(edge, Snapshot.of([listener(port, "one")]))
                await answers(port, "one")
                await until(lambda: edge.is_ready)

                assert (await http.get("/ready")).text == "ready\n"
                metrics = (await http.get("/metrics")).text
                assert "seawall_agent_ready 1" in metrics
                assert 'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="edge"}' in metrics
                assert "envoy_server_live" in metrics

    asyncio.run(within(main()))


def test_a_drained_edge_is_not_ready_and_can_come_back(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(port, "one")]))
            await until(lambda: edge.is_ready)

            edge.control.order("e1", Order(verb="drain", reason="maintenance"))
            await until(lambda: edge.state == "draining" and not edge.is_ready)
            assert await answer(port) == "one"
            edge.control.order("e1", Order(verb="undrain"))
            await until(lambda: edge.is_ready)

            pid = edge.envoy
            edge.control.order("e1", Order(verb="restart"))
            await until(lambda: edge.envoy not in (0, pid))
            await answers(port, "one")
            assert edge.deaths == 0

    asyncio.run(within(main()))


def test_an_empty_edge_keeps_nothing_open_and_says_so(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            publish(edge, Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            edge.control.publish(EMPTY)
            await answers(port, "")
            await until(lambda: edge.applied == EMPTY.version)

    asyncio.run(within(main()))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a file system of 256 KiB; without the right to mount one, it can be filled no less by
    /dev/full."""
    folder = tmp_path / "state"
    folder.mkdir()
    if os.geteuid() != 0:
        (folder / "snapshots.db-wal").symlink_to("/dev/full")
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def ballast() -> Resource:
    """Bytes that do not compress and that nobody asks for."""
    body = os.urandom(300_000)
    return Resource(type_url=SECRET, name=ResourceName("ballast"), version=digest(body), body=body)


def test_a_full_disk_is_reported_and_the_edge_serves(tmp_path: Path, tiny_disk: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            large = Snapshot.of([listener(port, "one"), ballast()])
            publish(edge, large)
            await answers(port, "one")
            await until(lambda: edge.applied == large.version)
            await until(lambda: str(tiny_disk) in edge.problem)

            change = Change(put=(listener(port, "two"),))
            edge.control.publish(large.apply(change), change)
            await answers(port, "two")

    asyncio.run(within(main()))
