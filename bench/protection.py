"""Protection: attacks and their benign twins against a real edge: `seawall up`, its Envoy, an origin, clients of many addresses.

The plays are those of `bench detect`, thinned to what this host can make; every request is a real one over TCP from an address of
127.0.0.0/8, and its label is known to the bench alone. What is scored is what clients got.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from statistics import median
from typing import Any

import msgspec
from tests.support.manifests import backend, gateway, route, to
from tests.support.origins import Answer, Asked, origin
from tests.support.seawall import free_port, seawall_up

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.people import HOST, Request, crowd
from bench.support.scenarios import SCENARIOS, Scenario

Json = dict[str, Any]
QUESTION = "how soon is a real flood stopped at a real edge, what of it leaks, and who else is touched?"
CHOSEN = ("A1", "A2", "A3", "A6", "A17", "B1", "B2", "B2b", "B10", "B14")
QUICK = ("A2",)
SCALE = 0.25
WARM_UP = 45
LEARNING = 20
MITIGATED, FOR = 0.10, 3.0
MOST_CONNECTIONS = 600
_REFUSED = (403, 429)


class Shot(msgspec.Struct, frozen=True):
    """A request and its end: when (seconds since the play began), whose, and the status; 0: no answer."""

    at: float
    is_bad: bool
    status: int


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a play. Seconds since it began; -1: never."""

    detected: float = -1.0
    mitigated: float = -1.0
    bad: int = 0
    leaked: float = 0.0
    good: int = 0
    denied: int = 0
    limited: int = 0
    unanswered: int = 0
    goodput: float = 1.0
    scopes: tuple[str, ...] = ()
    precision: float = 1.0


async def run(options: Options) -> Result:
    """Play each scenario at an edge of its own."""
    wanted = QUICK if options.quick else CHOSEN
    chosen = [one for one in SCENARIOS if one.id in wanted]
    outcomes: dict[str, list[Outcome]] = {}
    for one in chosen:
        outcomes[one.id] = [await _play(one, options.seed + seed, options) for seed in range(options.pick(1, 1))]
        found = outcomes[one.id][0]
        say(f"{one.id} {one.name}: {' | '.join(_row(one, [found])[1:])} | {'; '.join(found.scopes)[:120]}")
    return _result(chosen, outcomes)


async def _play(scenario: Scenario, seed: int, options: Options) -> Outcome:
    """Warm an edge up with people, play, and score."""
    warm, lasts = options.pick(WARM_UP, 4), min(scenario.lasts, options.pick(40, 3))
    async with origin(_answer) as behind:
        port = free_port()
        async with seawall_up(_files(port, behind.port)) as instance:
            player = Player(port)
            rng = Random(seed)
            people, play = crowd(rng), scenario.begin(rng)
            before = scenario.before(rng) if scenario.before is not None else None
            async with asyncio.TaskGroup() as group:
                for second in range(warm):
                    asked = people(rng, second).requests + (before(rng, second).requests if before else [])
                    await player.second(group, _thinned(rng, asked))
                usual = player.begin()
                for second in range(lasts):
                    asked = people(rng, warm + second).requests
                    await player.second(group, _thinned(rng, [*asked, *play(rng, second).requests]))
            found = await instance.get("/v1/attacks")
            return _scored(scenario, player.shots, usual, found)


class Player:
    """Sends requests, each from its client's address, on connections that are kept like a client's."""

    def __init__(self, port: int) -> None:
        self.shots: list[Shot] = []
        self._port = port
        self._began = time.monotonic()
        self._kept: OrderedDict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = OrderedDict()

    def begin(self) -> list[Shot]:
        """The play begins: return what was before."""
        before, self.shots, self._began = self.shots, [], time.monotonic()
        return before

    async def second(self, group: asyncio.TaskGroup, requests: Sequence[Request]) -> None:
        """Send a second's requests, spread over it."""
        began = time.monotonic()
        for number, one in enumerate(requests):
            pause = began + number / len(requests) - time.monotonic()
            if pause > 0.002:
                await asyncio.sleep(pause)
            group.create_task(self._send(one), name="request")
        await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))

    async def _send(self, one: Request) -> None:
        shots, began = self.shots, self._began
        try:
            async with asyncio.timeout(8), self._connection(_address(one.client.address)) as (reader, writer):
                writer.write(_written(one))
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
                await reader.readexactly(int(length))
                status = int(head.split(" ", 2)[1])
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
            status = 0
        shots.append(Shot(time.monotonic() - began, one.label == "bad", status))

    @asynccontextmanager
    async def _connection(self, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        held = self._kept.pop(address, None)
        if held is None or held[1].is_closing() or held[0].at_eof():
            held = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        try:
            yield held
        except BaseException:
            held[1].close()
            raise
        self._kept[address] = held
        while len(self._kept) > MOST_CONNECTIONS:
            self._kept.popitem(last=False)[1][1].close()


def _files(port: int, behind: int) -> dict[str, list[Json]]:
    policy = {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "ProtectionPolicy",
        "metadata": {"name": "bench", "namespace": "test"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "mode": "enforce",
            "learning": f"{LEARNING}s",
            # Addresses of loopback are one network: what the kernel drops would be the bench itself.
            "highest": "deny",
        },
    }
    return {
        "gateway": gateway(port),
        "shop": [backend("shop", behind), route("shop", [HOST], [to("shop")])],
        "protection": [policy],
    }


async def _answer(asked: Asked) -> Answer:
    status, _, seconds = asked.headers.get("x-bench", "200 0").partition(" ")
    return Answer(status=int(status), after=min(float(seconds), 1.0))


def _thinned(rng: Random, requests: Sequence[Request]) -> list[Request]:
    found = [one for one in requests if rng.random() < SCALE]
    rng.shuffle(found)
    return found


def _address(made_up: str) -> str:
    """Put an address of the plays into 127.0.0.0/8, people and bots apart."""
    if ":" in made_up:
        return "127.250.0.1"
    first, high, middle, low = map(int, made_up.split("."))
    return f"127.{(16 if first < 64 else 128) + high % 100}.{middle}.{low}"


def _written(one: Request) -> bytes:
    client = one.client
    target = one.path + (f"?{one.query}" if one.query else "")
    lines = [
        f"{one.method} {target} HTTP/1.1",
        f"Host: {HOST}",
        f"User-Agent: {client.agent}",
        f"X-Bench: {one.status} {one.seconds:g}",
        *([f"Accept-Language: {client.language}"] if client.language else []),
        *([f"Sec-Fetch-Dest: {one.fetch}", "Accept: */*", "Accept-Encoding: gzip"] if client.language else []),
        *([f"Authorization: Bearer {client.token}"] if client.token else []),
        *(["Content-Length: 0"] if one.method == "POST" else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _scored(scenario: Scenario, shots: list[Shot], usual: list[Shot], found: Json) -> Outcome:
    bad, good = [one for one in shots if one.is_bad], [one for one in shots if not one.is_bad]
    refused = sorted(one.at for one in bad if one.status in _REFUSED)
    mitigated = _mitigated(bad)
    late = [one for one in bad if mitigated >= 0 and one.at > mitigated]
    acting = [one for one in found["verdicts"] if one["kind"] in ("limit", "tarpit", "deny", "drop")]
    named = [field for one in acting for field in one["match"]]
    served = sum(one.status not in (0, *_REFUSED) for one in good) / max(len(good), 1)
    before = sum(one.status not in (0, *_REFUSED) for one in usual) / max(len(usual), 1)
    return Outcome(
        detected=refused[0] if refused else -1.0,
        mitigated=mitigated,
        bad=len(bad),
        leaked=sum(one.status not in _REFUSED for one in late) / len(late) if late else 0.0,
        good=len(good),
        denied=sum(one.status == 403 for one in good),
        limited=sum(one.status == 429 for one in good),
        unanswered=sum(one.status == 0 for one in good),
        goodput=served / before if before else 0.0,
        scopes=tuple(f"{one['kind']} {one['scope']}" for one in acting),
        precision=sum(field in scenario.planted for field in named) / len(named) if named else 1.0,
    )


def _mitigated(bad: list[Shot]) -> float:
    """Return since when for three seconds less than a tenth of the attack was let through; -1: never."""
    ends = [one.at for one in bad]
    for start in (number / 4 for number in range(int(4 * max(ends, default=0.0)))):
        part = [one for one in bad if start <= one.at < start + FOR]
        if len(part) >= 10 and sum(one.status not in _REFUSED for one in part) < MITIGATED * len(part):
            return start
    return -1.0


def _row(scenario: Scenario, played: list[Outcome]) -> tuple[str, ...]:
    def middle(values: list[float]) -> str:
        return f"{median(values):.1f}" if min(values) >= 0 else "never"

    is_attack = scenario.is_attack
    return (
        f"{scenario.id} {scenario.name}",
        middle([one.detected for one in played]) if is_attack else "",
        middle([one.mitigated for one in played]) if is_attack else "",
        f"{max(one.leaked for one in played):.1%}" if is_attack else "",
        str(sum(one.denied for one in played)),
        str(sum(one.limited for one in played)),
        str(sum(one.unanswered for one in played)),
        str(sum(one.good for one in played)),
        f"{min(one.goodput for one in played):.1%}",
        f"{min(one.precision for one in played):.0%}" if is_attack else "",
    )


def _result(chosen: list[Scenario], outcomes: dict[str, list[Outcome]]) -> Result:
    table = Table(
        title=f"One edge, {SCALE:g} of the plays' requests",
        heads=(
            "scenario",
            "first refusal s",
            "mitigated s",
            "leak after",
            "good: denied",
            "limited",
            "unanswered",
            "of",
            "goodput",
            "precision",
        ),
        rows=tuple(_row(one, outcomes[one.id]) for one in chosen),
        note=f"After {WARM_UP} s of people alone. Mitigated: from then on less than {MITIGATED:.0%} passes for {FOR:g} s. Leak: of "
        "the attack after that, what was not refused. Precision: of the fields that verdicts name, those that tell the attack "
        "from people. Clients speak HTTP/1.1 without TLS here, so no JA4 tells them apart; edges do not report tokens.",
    )
    attacks = [one for one in chosen if one.is_attack and one.ttm <= 8.0]
    times = sorted(each.mitigated if each.mitigated >= 0 else 999.0 for one in attacks for each in outcomes[one.id])
    benign = [each for one in chosen if not one.is_attack for each in outcomes[one.id]]
    everything = [each for one in chosen for each in outcomes[one.id]]
    verdicts = [
        goal("floods: time to mitigate, median", median(times), 4.0, "s") if times else None,
        goal("floods: time to mitigate, worst", times[-1], 8.0, "s") if times else None,
        goal("leak after that, worst", 100 * max((one.leaked for one in everything), default=0.0), 2.0, "%"),
        goal("good requests denied where nobody attacks", sum(one.denied for one in benign), 0, ""),
        goal("good requests denied in all", sum(one.denied for one in everything), 0, ""),
        goal("goodput, worst", 100 * min(one.goodput for one in everything), 99.0, "%", at_least=True),
    ]
    return Result(
        bench="protection",
        question=QUESTION,
        tables=(table,),
        verdicts=tuple(one for one in verdicts if one is not None),
        figures={"mitigated, median s": median(times) if times else -1.0},
    )
