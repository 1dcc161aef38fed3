"""Isolation under a real Envoy: one edge, fifty right objects, and beside them one wrong file after the other."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.isolation.unresolved import unresolved
from tests.isolation.wrong import wrong_documents
from tests.support.fifty import Fifty, fifty
from tests.support.manifests import Json
from tests.support.seawall import free_port

pytestmark = pytest.mark.e2e

_MATRIX: Final = wrong_documents()
SAMPLE: Final = _MATRIX[:: len(_MATRIX) // 200]
"""Every one of the matrix is built without an Envoy in `test_wrong_objects`."""


def _object(document: Json) -> str:
    meta = document["metadata"]
    return (
        f"{document['kind']} {meta['namespace']}/{meta['name']}"
        if "namespace" in meta
        else f"{document['kind']} {meta['name']}"
    )


def _line(edge: Fifty, said: Json) -> str:
    """Return the line that a problem points to; it must be one of the wrong file."""
    file = Path(said["file"])
    assert file == edge.instance.folder / "wrong.yaml", said
    number: int = said["line"]
    return file.read_text(encoding="utf-8").splitlines()[number - 1]


def test_the_fifty_answer_beside_each_wrong_object_and_it_is_named_at_its_place() -> None:
    async def run() -> None:
        async with fifty() as edge:
            for wrong in SAMPLE:
                edge.instance.write("wrong", wrong.document)
                edge.step()

                said = await edge.said(_object(wrong.document), wrong.path)

                key = said["path"].rpartition(".")[2].partition("[")[0]
                assert key in ("$", "spec") or key in _line(edge, said) or said["path"].endswith("]"), wrong.name
                assert {one["file"] for one in await edge.problems()} == {said["file"]}, wrong.name
                await edge.stepped()
                assert await edge.silent() == [], wrong.name
            assert len(SAMPLE) >= 200
            await edge.instance.well()

    asyncio.run(run())


def test_the_fifty_answer_beside_what_only_the_resolver_sees_and_it_is_named_at_its_place() -> None:
    async def run() -> None:
        async with fifty() as edge:
            for name, wrong in unresolved(free_port()).items():
                edge.instance.write("wrong", *wrong.documents)
                edge.step()

                said = await edge.said(wrong.object, wrong.path)

                assert said["severity"] == "error", name
                key = said["path"].rpartition(".")[2].partition("[")[0]
                assert key in _line(edge, said) or said["path"].endswith("]"), (name, said)
                strangers = [one for one in await edge.problems() if one["file"] != said["file"]]
                assert strangers == [], name
                await edge.stepped()
                assert await edge.silent() == [], name
                edge.instance.remove("wrong")
                await edge.named([])
            await edge.instance.well()

    asyncio.run(run())
