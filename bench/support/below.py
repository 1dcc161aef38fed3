"""Below HTTP: floods of connections, handshakes and frames at a real edge, in a network of its own, where the kernel may drop.

    unshare --net -- python -m bench.support.below ID SEED SECONDS

The edge may go as far as its kernel: addresses of loopback are one network, and what is dropped here must not be the host's. The
answer is one line of JSON, an `Outcome`. Who is let in is scored by the connection: a flood that is stopped has none.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.support import floods
from tests.support.certificates import self_signed
from tests.support.floods import Door
from tests.support.host import raise_loopback
from tests.support.origins import origin
from tests.support.seawall import free_port, seawall_up

from bench.support.people import HOST, crowd
from bench.support.player import Player, Shot, thinned
from bench.support.programs import Failure, cost, descendants, named
from bench.support.score import Outcome, scored
from bench.support.shop import answer, manifests

Json = dict[str, Any]
Attempt = Callable[[Door, str], Awaitable[bool]]
WARM_UP = 15
_ROOT = Path(__file__).parents[2]


class Below(msgspec.Struct, frozen=True, kw_only=True):
    """A flood below HTTP: from so many addresses, so many attempts a second of each.

    Args:
        is_attack: not, if it is what good clients do.
        is_named: whether an address of it does enough that it can be told from people; else all that is asked is that people
            are served.
    """

    id: str
    name: str
    attempt: Attempt
    sources: int
    rate: float
    is_attack: bool = True
    is_named: bool = True

    @property
    def planted(self) -> frozenset[str]:
        return frozenset({"address"}) if self.is_attack else frozenset()


async def _preconnect(door: Door, address: str) -> bool:
    """Open two connections as browsers do, ask on one, and let the other go."""
    await floods.nothing(door, address)
    request = f"GET / HTTP/1.1\r\nHost: {door.host}\r\nConnection: close\r\n\r\n".encode()
    return await floods.asked(door, address, request)


async def _upload(door: Door, address: str) -> bool:
    """Send something large over a poor line."""
    return await floods.uploaded(door, address, 8)


BELOW: tuple[Below, ...] = (
    Below(id="A10", name="rapid reset", attempt=floods.rapid_reset, sources=3, rate=4.0),
    Below(id="A11", name="continuations without end", attempt=floods.continuations, sources=2, rate=20.0),
    Below(id="A11b", name="settings flood", attempt=floods.settings, sources=3, rate=3.0),
    Below(id="A11c", name="ping flood", attempt=floods.pings, sources=3, rate=3.0),
    Below(id="A13", name="slow headers, one source", attempt=floods.slow_headers, sources=1, rate=30.0),
    Below(id="A13b", name="slow headers, many", attempt=floods.slow_headers, sources=300, rate=0.1, is_named=False),
    Below(id="A13c", name="slow bodies, one source", attempt=floods.slow_body, sources=1, rate=30.0),
    Below(id="A14", name="connections, one source", attempt=floods.nothing, sources=1, rate=100.0),
    Below(id="A14b", name="connections, many", attempt=floods.nothing, sources=400, rate=0.25, is_named=False),
    Below(id="A14c", name="silence, one source", attempt=floods.silence, sources=1, rate=50.0),
    Below(id="A15", name="TLS handshakes, few sources", attempt=floods.handshake, sources=4, rate=20.0),
    Below(id="A15b", name="TLS handshakes, many", attempt=floods.handshake, sources=200, rate=0.25, is_named=False),
    Below(id="A15c", name="what is no TLS", attempt=floods.half_handshake, sources=2, rate=30.0),
    Below(id="A16", name="SYN flood, 5,000/s", attempt=floods.syns, sources=1, rate=20.0, is_named=False),
    Below(id="B21", name="office that connects ahead", attempt=_preconnect, sources=1, rate=20.0, is_attack=False),
    Below(id="B22", name="uploads over poor lines", attempt=_upload, sources=20, rate=0.2, is_attack=False),
)


def missing() -> str:
    """Say what keeps this host from having a network for a play; empty if nothing does."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return "floods below HTTP are left out: unshare is not on this host (`apt-get install util-linux`)."
    done = subprocess.run([unshare, "--net", "true"], capture_output=True, check=False)
    return (
        "" if not done.returncode else "floods below HTTP are left out: this process may not make a network namespace."
    )


def played(below: Below, seed: int, lasts: int) -> tuple[Outcome, dict[str, float]]:
    """Play one in a network of its own; also what Envoy grew by (MiB) and its CPU share. Raises Failure."""
    command = ["unshare", "--net", "--", sys.executable, "-m", "bench.support.below", below.id, str(seed), str(lasts)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{below.id} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return msgspec.convert(answer["outcome"], Outcome), answer["cost"]


async def play(below: Below, seed: int, lasts: int) -> Json:
    """Warm the edge up with people, and play."""
    rng = Random(seed)
    async with origin(answer) as behind:
        door = Door(port=free_port(), tls_port=free_port(), host=HOST)
        pair = self_signed(HOST)
        files = manifests(door.port, behind.port, learning=10, highest="drop", tls_port=door.tls_port, pair=pair)
        async with seawall_up(files) as instance:
            player, people = Player(door.port), crowd(rng)
            envoys = named(descendants(instance.process.pid), "envoy")
            sources = [f"127.128.{number // 250}.{number % 250 + 1}" for number in range(below.sources)]
            async with asyncio.TaskGroup() as group:
                for second in range(WARM_UP):
                    await player.second(group, thinned(rng, people(rng, second).requests))
                usual, before = player.begin(), cost(envoys)
                flood = group.create_task(_flood(below, door, player, sources), name="flood")
                for second in range(lasts):
                    await player.second(group, thinned(rng, people(rng, WARM_UP + second).requests))
                grown = cost(envoys)
                found = await instance.get("/v1/attacks")
                flood.cancel()
            outcome = scored(below, player.shots, usual, found)
            return {
                "outcome": msgspec.to_builtins(outcome),
                "cost": {"cpu": (grown.cpu - before.cpu) / lasts, "mib": grown.mib - before.mib},
            }


async def _flood(below: Below, door: Door, player: Player, sources: list[str]) -> None:
    """Attempt, each address at its rate, until cancelled. What a good client gets is scored as a person's."""
    shots, began, pause, number = player.shots, time.monotonic(), 1 / (below.rate * below.sources), 0

    async def attempt(address: str) -> None:
        at = time.monotonic() - began
        try:
            is_in = await below.attempt(door, address)
        except asyncio.CancelledError:
            # The play has ended; who still holds a connection was let in.
            is_in = True
            if time.monotonic() - began - at < floods.PATIENCE + 0.5:
                raise
        status = 200 if is_in else 403 if below.is_attack else 0
        shots.append(Shot(at, below.is_attack, status))

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(attempt(sources[number % len(sources)]), name="attempt")
            number += 1
            await asyncio.sleep(max(0.0, began + number * pause - time.monotonic()))


def main() -> None:
    """Play what the command line says."""
    raise_loopback()
    wanted, seed, lasts = sys.argv[1:4]
    if wanted == "A16":
        floods.spoofable()
    below = next(one for one in BELOW if one.id == wanted)
    print(json.dumps(asyncio.run(play(below, int(seed), int(lasts)))))


if __name__ == "__main__":
    main()
