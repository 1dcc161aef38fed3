"""Quota at an edge: what the control plane says of shares is what Envoy's files say."""

import asyncio
import json
from pathlib import Path

from tests.support.edge import answers, free_port, listener, running_edge, until, within

from seawall.envoy.limits import QUOTA_FOLDER
from seawall.fleet.quota import SCALE, Quota, Steward
from seawall.fleet.wire import Share, Shares, Used
from seawall.kit.units import Instant
from seawall.xds.snapshot import Snapshot


def _cost(folder: Path, slot: int) -> int:
    (found,) = json.loads((folder / "run" / QUOTA_FOLDER / f"{slot}.json").read_text())["resources"]
    return int(found["generic_secret"]["secret"]["inline_string"])


def test_shares_are_written_where_envoy_reads_them_and_use_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_edge(tmp_path) as edge:
            port = free_port()
            edge.control.publish(Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            assert _cost(tmp_path, 5) == SCALE
            assert edge.control.last(Used) is None

            edge.control.send(Shares(shares=(Share(slot=5, cost=4000),)))

            await until(lambda: _cost(tmp_path, 5) == 4000)
            await until(lambda: edge.control.last(Used))
            assert _cost(tmp_path, 4) == SCALE

    asyncio.run(within(story()))


def test_what_an_edge_says_is_what_the_steward_takes(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_edge(tmp_path) as edge:
            port = free_port()
            edge.control.publish(Snapshot.of([listener(port, "one")]))
            await answers(port, "one")
            edge.control.send(Shares(shares=(Share(slot=0, cost=SCALE),)))
            await until(lambda: len(edge.control.all(Used)) > 2)
            steward = Steward()
            steward.configured([Quota(name="a/p", slot=0, rate=1.0, most=1)])

            for said in edge.control.all(Used):
                steward.used("e1", said)

            assert [len(shares) for shares in steward.shares(Instant(0.0)).values()] == [1]
            assert len({said.run for said in edge.control.all(Used)}) == 1

    asyncio.run(within(story()))
