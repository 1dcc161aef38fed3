"""Protection: attacks and their benign twins against a real edge: `seawall up`, its Envoy, an origin, clients of many addresses.

The plays are those of `bench detect`, thinned to what this host can make; every request is a real one over TCP from an address of
127.0.0.0/8, and its label is known to the bench alone. What is scored is what clients got.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random
from statistics import median

import msgspec
from tests.support.origins import origin
from tests.support.seawall import free_port, seawall_up

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.below import BELOW, missing, played
from bench.support.crowdsec import crowdsec
from bench.support.crowdsec import missing as crowdsec_missing
from bench.support.killed import VICTIMS, kill
from bench.support.limiters import BURST, LIMITERS, RATE, limiting
from bench.support.people import crowd
from bench.support.player import SCALE, Player, Shot, thinned
from bench.support.scenarios import SCENARIOS, Scenario
from bench.support.score import FOR, MITIGATED, Outcome, scored
from bench.support.shop import answer, manifests
from bench.support.told import Seen, below_result, below_row, killed_result, killed_row

QUESTION = "how soon is a real flood stopped at a real edge, what of it leaks, and who else is touched?"
PEERS_QUESTION = "what do proxies that limit clients by address make of the same floods and the same people?"
CHOSEN = ("A1", "A2", "A3", "A6", "A17", "B1", "B2", "B2b", "B10", "B14")
EXPRESSIBLE = ("A1", "A2", "A3", "A6", "B1", "B2", "B2b", "B10")
"""Those that a limit by address can be held against: what needs more than addresses and rates is in both only if it is a flood."""
Start = Callable[[int], AbstractAsyncContextManager[int]]
PEERS: dict[str, tuple[Callable[[], str], Start]] = {
    **{one.name: (one.missing, partial(limiting, one)) for one in LIMITERS},
    "CrowdSec": (crowdsec_missing, crowdsec),
}
"""By name: what says that it is not there, and what starts it in front of an origin."""
QUICK = ("A2",)
WARM_UP = 45
LEARNING = 20
PEERS_WARM_UP = 5
BELOW_LASTS = 30
AFTERMATH = 75
"""Seconds: longer than the first verdict of a flood holds."""


async def run(options: Options) -> Result:
    """Play each scenario at an edge of its own; with `peers` at each of them too."""
    wanted = options.only or (QUICK if options.quick else EXPRESSIBLE if options.peers else CHOSEN)
    below_http = {one.id for one in BELOW}
    chosen = [one for one in SCENARIOS if one.id in wanted and one.id not in below_http]
    outcomes: dict[str, list[Outcome]] = {}
    for one in chosen:
        outcomes[one.id] = [await _play(one, options.seed + seed, options) for seed in range(options.pick(1, 1))]
        found = outcomes[one.id][0]
        say(f"{one.id} {one.name}: {' | '.join(_row(one, [found])[1:])} | {'; '.join(found.scopes)[:120]}")
    if options.peers:
        return await _beside_peers(chosen, outcomes, options)
    below = await _below(options)
    killed = await _killed(options)
    whole = _result(chosen, outcomes) if chosen else Result(bench="protection", question=QUESTION, tables=())
    tables = (*whole.tables, *(table for one in (below, killed) if one for table in one.tables))
    verdicts = (*whole.verdicts, *(said for one in (below, killed) if one for said in one.verdicts))
    return msgspec.structs.replace(whole, tables=tables, verdicts=verdicts)


async def _below(options: Options) -> Result | None:
    """Play what floods below HTTP, each in a network of its own."""
    if options.quick and not options.only:
        return None
    chosen = [one for one in BELOW if not options.only or one.id in options.only]
    if chosen and (absent := missing()):
        return Result(bench="protection", question=QUESTION, tables=(), verdicts=(absent,))
    found = []
    for one in chosen:
        outcome, grown = await asyncio.to_thread(played, one, options.seed, options.pick(BELOW_LASTS, 3))
        found.append(Seen(below=one, outcome=outcome, cpu=grown["cpu"], mib=grown["mib"]))
        say(" | ".join(below_row(found[-1])))
    return below_result(found, QUESTION) if found else None


async def _killed(options: Options) -> Result | None:
    """Kill the control plane, and an agent, while a flood is refused."""
    wanted = (
        []
        if options.quick and not options.only
        else [one for one in VICTIMS if not options.only or one in options.only]
    )
    found = []
    for one in wanted:
        found.append((one, await kill(VICTIMS[one], options.seed, options.pick(AFTERMATH, 5))))
        say(" | ".join(killed_row(*found[-1])))
    return killed_result(found, QUESTION) if found else None


async def _beside_peers(chosen: list[Scenario], ours: dict[str, list[Outcome]], options: Options) -> Result:
    """Play the same at the peers that are there, and put all of them side by side."""
    rows: list[tuple[str, ...]] = []
    there = [one for one in PEERS if not PEERS[one][0]()]
    for one in chosen:
        rows.append(_beside(one, "Seawall", ours[one.id][0]))
        for name in there:
            rows.append(_beside(one, name, await _play_at(PEERS[name][1], one, options)))
            say(" | ".join(rows[-1]))
    table = Table(
        title="The same plays, side by side",
        heads=("scenario", "who", "first refusal s", "mitigated s", "leak after", "good: refused", "of", "goodput"),
        rows=tuple(rows),
        note=f"HAProxy: a stick table by address, 429 beyond {10 * RATE} requests in 10 s. nginx: `limit_req` by address, {RATE} "
        f"a second, burst {BURST}, `nodelay`. CrowdSec: its scenarios for nginx's log; nginx denies, each second, whom it bans. "
        "Their counts are per address, so a botnet of many slow sources is within them, and an office behind one address is not. "
        "Refused: 403 or 429 to a client that does nothing wrong.",
    )
    left_out = tuple(said for is_missing, _ in PEERS.values() if (said := is_missing()))
    return Result(bench="protection-peers", question=PEERS_QUESTION, tables=(table,), verdicts=left_out)


def _beside(scenario: Scenario, who: str, found: Outcome) -> tuple[str, ...]:
    row = _row(scenario, [found])
    return (row[0], who, row[1], row[2], row[3], str(found.denied + found.limited), row[7], row[8])


async def _play_at(start: Start, scenario: Scenario, options: Options) -> Outcome:
    """Play a scenario at a peer. It learns nothing, so people alone need no long while before."""
    warm, lasts = options.pick(PEERS_WARM_UP, 2), min(scenario.lasts, options.pick(40, 3))
    async with origin(answer) as behind, start(behind.port) as port:
        shots, usual = await _played(Player(port), scenario, options.seed, (warm, lasts))
        return scored(scenario, shots, usual, {"verdicts": []})


async def _play(scenario: Scenario, seed: int, options: Options) -> Outcome:
    """Warm an edge up with people, play, and score."""
    warm, lasts = options.pick(WARM_UP, 4), min(scenario.lasts, options.pick(40, 3))
    async with origin(answer) as behind:
        port = free_port()
        async with seawall_up(manifests(port, behind.port, learning=LEARNING)) as instance:
            player = Player(port)
            shots, usual = await _played(player, scenario, seed, (warm, lasts))
            return scored(scenario, shots, usual, await instance.get("/v1/attacks"))


async def _played(
    player: Player, scenario: Scenario, seed: int, seconds: tuple[int, int]
) -> tuple[list[Shot], list[Shot]]:
    """Send people alone, then people and the play; return what came of the play, and of those before it."""
    (warm, lasts), rng = seconds, Random(seed)
    people, play = crowd(rng), scenario.begin(rng)
    before = scenario.before(rng) if scenario.before is not None else None
    async with asyncio.TaskGroup() as group:
        for second in range(warm):
            asked = people(rng, second).requests + (before(rng, second).requests if before else [])
            await player.second(group, thinned(rng, asked))
        usual = player.begin()
        for second in range(lasts):
            asked = people(rng, warm + second).requests
            await player.second(group, thinned(rng, [*asked, *play(rng, second).requests]))
    return player.shots, usual


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
