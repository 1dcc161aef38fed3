"""NACK: a manifest that fits every rule and that Envoy refuses: how long until it is named, and whom it holds up.

A real `seawall up` with fifty right objects. The bad file and a change of a right route are written together; times are from
the first write until a new connection meets the change, until `status` names the culprit (and nobody else), and until the edge
says that it runs all of what it was told, which then is without the culprit. All other hosts are asked after each round.
"""

import asyncio
import time
from collections.abc import Awaitable

import msgspec
from tests.support.fifty import Fifty, fifty
from tests.support.refusals import REFUSED, culprit

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.numbers import short, spread
from bench.support.programs import Failure
from seawall.kit.units import Seconds

QUESTION = "how soon is what Envoy refuses traced to its object, and does the next change wait for that?"
_GOAL = 2.0
_PATIENCE = 20.0


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the write."""

    live: Seconds
    named: Seconds
    well: Seconds


async def run(options: Options) -> Result:
    """Measure every way of being refused, over and over."""
    found: dict[str, list[Round]] = {name: [] for name in REFUSED}
    async with fifty() as edge:
        for turn in range(options.pick(11, 1)):
            say(f"round {turn + 1}")
            for name, rounds in found.items():
                rounds.append(await _round(edge, name))
    everything = [one for rounds in found.values() for one in rounds]
    live = spread([one.live for one in everything])
    named = spread([one.named for one in everything])
    rows = [_row(name, rounds) for name, rounds in found.items()] + [_row("all", everything)]
    table = Table(
        title="Milliseconds from the write of the bad file",
        heads=(
            "what Envoy refuses",
            "next change live, median",
            "worst",
            "culprit named, median",
            "worst",
            "edge well",
        ),
        rows=tuple(rows),
        note="Fifty right objects beside it, one Envoy worker, questions every 5 to 20 ms; `edge well` is a median.",
    )
    return Result(
        bench="nack",
        question=QUESTION,
        tables=(table,),
        verdicts=(
            goal("the next change of a right object is live, worst", live.max, _GOAL, "s"),
            goal("the culprit, and nobody else, is named, worst", named.max, _GOAL, "s"),
        ),
        figures={"live": live.median, "live_worst": live.max, "named": named.median, "named_worst": named.max},
    )


async def _round(edge: Fifty, name: str) -> Round:
    document = REFUSED[name]
    began = time.monotonic()
    edge.instance.write("bad", document)
    edge.step()
    try:
        async with asyncio.TaskGroup() as group:
            live = group.create_task(_until(edge.stepped(_PATIENCE), began), name="live")
            named = group.create_task(_until(edge.named([culprit(document)], _PATIENCE), began), name="named")
        well = await _until(edge.instance.well(_PATIENCE), began)
        silent = await edge.silent()
        edge.instance.remove("bad")
        await edge.named([], _PATIENCE)
    except* (AssertionError, TimeoutError) as group_of:
        raise Failure(f"{name}: {group_of.exceptions[0]}") from group_of
    if silent:
        raise Failure(f"{name}: these did not answer: {silent}")
    return Round(live=live.result(), named=named.result(), well=well)


async def _until(waiting: Awaitable[object], began: float) -> Seconds:
    await waiting
    return Seconds(time.monotonic() - began)


def _row(name: str, rounds: list[Round]) -> tuple[str, ...]:
    live, named = spread([one.live for one in rounds]), spread([one.named for one in rounds])
    well = spread([one.well for one in rounds])
    return (name, *(short(1000 * each) for each in (live.median, live.max, named.median, named.max, well.median)))
