"""Replicas: what edges say reaches whoever leads, also when the leadership moves while they stay where they are."""

import asyncio
from pathlib import Path

from seawall.app.replicas import Replicas
from seawall.app.scribe import Scribe
from seawall.fleet.wire import Heartbeat, Hello, Tally, Up
from seawall.kit.units import Instant
from seawall.store.sqlite_history import SqliteHistory

AT = Instant(100.0)
HELLO = Hello(edge="e")
BEAT = Heartbeat(at=0.0, running="v", is_ready=True, envoy="live", bundle="b")


def heard_after(tmp_path: Path, *said: Up, by_leader: bool) -> list[tuple[str, Up, Instant]]:
    """Let an edge say this to a control plane; return what another one hears of it afterwards."""

    async def run() -> list[tuple[str, Up, Instant]]:
        one, other = (
            Scribe(SqliteHistory(tmp_path / "history.db"), name, lambda: float(AT)) for name in ("one", "other")
        )
        here, there = Replicas(one), Replicas(other)
        for message in said:
            (here.know if by_leader else here.say)("e", message, AT)
        if by_leader:
            here.step_down()
        await here.send()
        heard = await there.hear(AT)
        await one.close()
        await other.close()
        return heard

    return asyncio.run(run())


def test_what_an_edge_says_to_a_follower_reaches_the_leader_greetings_first(tmp_path: Path) -> None:
    assert heard_after(tmp_path, BEAT, HELLO, by_leader=False) == [("e", HELLO, AT), ("e", BEAT, AT)]


def test_who_steps_down_tells_what_it_heard_while_it_led(tmp_path: Path) -> None:
    """An edge greets once for each stream: without this the next leader would take no word of it."""
    tally = Tally(at=0.0, run="r", bundle="b", counts={}, gauges={})

    assert heard_after(tmp_path, HELLO, BEAT, tally, by_leader=True) == [("e", HELLO, AT), ("e", BEAT, AT)]
