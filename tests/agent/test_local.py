"""`seawall edge` against a running agent that has lost its control plane, as an operator would use it at night."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.cli.running import seawall
from tests.support.control import KEY, STRANGER, bundle_of
from tests.support.edge import (
    Edge,
    answer,
    answers,
    free_port,
    listener,
    running_agent,
    running_edge,
    settings,
    until,
    within,
)

from seawall.fleet.wire import Heartbeat
from seawall.xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e


async def edge_command(folder: Path, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(seawall, "edge", words[0], "--run-dir", folder / "run", *words[1:])
    return done.returncode, done.stdout + done.stderr


async def two_bundles(edge: Edge, port: int) -> tuple[str, str]:
    """Serve a good bundle, then a new one; return their names."""
    good, new = (Snapshot.of([listener(port, text)]) for text in ("good", "new"))
    names = bundle_of(good).name, bundle_of(new).name
    edge.control.publish(good)
    await until(lambda: (beat := edge.control.last(Heartbeat)) is not None and names[0] in beat.kept)
    edge.control.publish(new, keep=(names[0],))
    await until(lambda: edge.applied == new.version)
    return names


def test_an_operator_goes_back_and_forth_without_a_control_plane(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            good, new = await two_bundles(edge, port)
        async with running_agent(settings(tmp_path)):
            await answers(port, "new")
            code, text = await edge_command(tmp_path, "status")
            assert code == 0, text
            assert "no control plane" in text
            assert good[:12] in text
            assert new[:12] in text

            code, text = await edge_command(tmp_path, "back")
            assert code == 0, text
            assert good[:12] in text
            await answers(port, "good")
            code, text = await edge_command(tmp_path, "status", "--output", "json")
            state = json.loads(text)
            assert code == 0
            assert state["pinned"] == state["running"]["bundle"] == good
            assert [one["bundle"] for one in state["kept"] if one["good"]] == [good]

            code, text = await edge_command(tmp_path, "unpin")
            assert code == 0
            assert good[:12] in text
            code, text = await edge_command(tmp_path, "unpin")
            assert code == 0
            assert "No bundle was pinned" in text
            assert await answer(port) == "good"

    asyncio.run(within(main()))


def test_a_bundle_that_is_not_kept_is_named_with_those_that_are(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            good, _ = await two_bundles(edge, port)
            code, text = await edge_command(tmp_path, "back", "ffff")
            assert code == 2
            assert "ffff" in text
            assert good[:12] in text
            assert await answer(port) == "new"

    asyncio.run(within(main()))


def test_another_control_plane_is_obeyed_once_its_key_is_trusted(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path) as edge:
            await two_bundles(edge, port)
            theirs = Snapshot.of([listener(port, "theirs")])
            code, text = await edge_command(tmp_path, "trust", "nonsense")
            assert code == 2
            assert "64 hexadecimal digits" in text
            code, text = await edge_command(tmp_path, "trust", STRANGER.public)
            assert code == 0, text
            edge.control.send(edge.control.signed(bundle_of(theirs), key=STRANGER, put=tuple(theirs.all())))
            await answers(port, "theirs")

    asyncio.run(within(main()))


def test_keys_from_the_settings_are_changed_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_edge(tmp_path, trusted=(KEY.public,)) as edge:
            await until(lambda: (tmp_path / "run/agent.sock").exists() and edge.state)
            assert (tmp_path / "run/agent.sock").stat().st_mode & 0o777 == 0o600
            code, text = await edge_command(tmp_path, "trust", STRANGER.public)
            assert code == 2
            assert "settings" in text

    asyncio.run(within(main()))


def test_an_edge_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    async def main() -> None:
        code, text = await edge_command(tmp_path, "status")
        assert code == 2
        assert str(tmp_path / "run/agent.sock") in text

    asyncio.run(within(main()))
