"""What Envoy refuses is traced to the object that it was made of, taken out, and holds nobody up: within two seconds."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fifty import Fifty, fifty
from tests.support.manifests import route, to
from tests.support.refusals import CULPRIT, REFUSED, culprit, lua

pytestmark = pytest.mark.e2e

WITHIN = 2.0
WELL = "function envoy_on_response(h) h:headers():add('x-mark', 'well') end"


async def _isolated(edge: Fifty, *culprits: str) -> None:
    """The next change of a right one is served, the culprits and nobody else are named, and all others answer."""
    began = time.monotonic()
    await edge.stepped(WITHIN)
    await edge.named(culprits, WITHIN)
    assert time.monotonic() - began < WITHIN
    assert await edge.silent() == []
    places = {one["object"]: one["file"].rpartition("/")[2] for one in await edge.problems()}
    assert set(places.values()) <= {"bad.yaml", "worse.yaml"}


def test_the_culprit_is_named_and_the_next_change_goes_out_however_envoy_refuses_it() -> None:
    async def run() -> None:
        async with fifty() as edge:
            for document in REFUSED.values():
                edge.instance.write("bad", document)
                edge.step()
                await _isolated(edge, culprit(document))

                edge.instance.remove("bad")
                await edge.named([], WITHIN)
            await edge.instance.well()

    asyncio.run(run())


def test_two_culprits_are_both_named_and_each_is_let_go_when_it_is_mended() -> None:
    async def run() -> None:
        page = REFUSED["an error page with two alternatives"]
        async with fifty() as edge:
            edge.instance.write("worse", page)
            edge.instance.write("bad", lua("function ("))
            edge.step()
            await _isolated(edge, culprit(page), f"HTTPFilterPolicy test/{CULPRIT}")

            edge.instance.write("bad", lua(WELL))
            edge.step()
            await _isolated(edge, culprit(page))

            # What was right is wrong now: the same object, and again only it.
            edge.instance.write("bad", lua(f"{WELL} ("))
            edge.step()
            await _isolated(edge, culprit(page), f"HTTPFilterPolicy test/{CULPRIT}")

            edge.instance.remove("worse")
            edge.instance.write("bad", lua(WELL))
            edge.step()
            await _isolated(edge)
            await edge.instance.well()

    asyncio.run(run())


def test_a_culprit_is_named_when_nothing_else_changes() -> None:
    async def run() -> None:
        async with fifty() as edge:
            for name in ("a script that is none", "an error page with two alternatives"):
                document = REFUSED[name]
                edge.instance.write("bad", document)
                await edge.named([culprit(document)], WITHIN)
                await edge.instance.well(WITHIN)
                assert await edge.silent() == []

    asyncio.run(run())


def test_what_a_guard_holds_is_said_by_status_and_the_others_go_on_when_it_is_gone() -> None:
    async def run() -> None:
        many = [route(f"more-{number}", [f"more-{number}.example"], [to("backend-0")]) for number in range(300)]
        async with fifty() as edge:
            assert (await edge.instance.get("/v1/status"))["held"] == []

            edge.instance.write("many", *many)
            status = await edge.instance.until(lambda status: bool(status["held"]))
            (held,) = status["held"]
            assert (held["guard"], held["verdict"]) == ("G6", "hold")
            assert "grow" in held["message"]
            assert await edge.silent() == []
            said = await _printed("status", "--run-dir", edge.instance.run_dir)
            assert "The newest configuration does not go out:\n  G6 hold: " in said

            edge.instance.remove("many")
            edge.step()
            await edge.stepped(WITHIN)
            await edge.instance.until(lambda status: not status["held"])

    asyncio.run(run())


async def _printed(*words: str | Path) -> str:
    command = (sys.executable, "-m", "seawall", *map(str, words))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    return (await process.communicate())[0].decode()
