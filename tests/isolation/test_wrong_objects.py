"""One wrong object among fifty right ones: it is named with its place, and what the fifty become stays the same."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from seawall.app.offline import Offline
from seawall.gateway.decode import decode
from seawall.gateway.objects import Object
from seawall.xds.resource import Resource
from tests.isolation.wrong import Wrong, wrong_documents
from tests.support.manifests import backend, gateway, route, to

Json = dict[str, Any]
MATRIX: Final = wrong_documents()
SAMPLE: Final = MATRIX[::8]
"""Carried through a file to Envoy's messages; every one of the matrix goes through decoding."""
RIGHT: Final[list[Json]] = [
    *gateway(8080),
    *(backend(f"backend-{number}", 9000 + number) for number in range(24)),
    *(route(f"route-{number}", [f"h{number}.example"], [to(f"backend-{number}")]) for number in range(24)),
]
_BEFORE: Final = yaml.safe_dump_all(RIGHT[:25])
_AFTER: Final = yaml.safe_dump_all(RIGHT[25:])
_FIRST_LINE: Final = _BEFORE.count("\n") + 2


def _built(offline: Offline) -> list[Resource]:
    return sorted(offline.builder.snapshot.all(), key=lambda one: (one.type_url, one.name))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """What the fifty become when they are alone."""
    file = tmp_path_factory.mktemp("right") / "all.yaml"
    file.write_text(f"{_BEFORE}---\n{_AFTER}")
    offline = Offline(file)
    assert offline.report()["problems"] == []
    return _built(offline)


def test_the_matrix_is_large_and_there_are_fifty_right_ones() -> None:
    assert len(RIGHT) == 50
    assert len(SAMPLE) >= 200
    assert len({one.name for one in MATRIX}) >= 1800
    assert len({one.document["kind"] for one in SAMPLE}) >= 16


def test_every_wrong_field_of_every_kind_is_refused_and_named() -> None:
    missed = []
    for wrong in MATRIX:
        found = decode(wrong.document)
        if isinstance(found, Object) or not any(one.path.startswith(wrong.path) for one in found):
            missed.append((wrong.name, found))

    assert missed == []


@pytest.mark.parametrize("wrong", SAMPLE, ids=lambda one: one.name)
def test_the_fifty_keep_serving_beside_a_wrong_object_and_it_is_named(
    wrong: Wrong, serving: list[Resource], tmp_path: Path
) -> None:
    text = yaml.safe_dump(wrong.document)
    file = tmp_path / "all.yaml"
    file.write_text(f"{_BEFORE}---\n{text}---\n{_AFTER}")

    offline = Offline(file)

    named = [one for one in offline.report()["problems"] if one["path"].startswith(wrong.path)]
    assert named
    assert {(one["file"], one["severity"]) for one in named} == {(str(file), "error")}
    assert all(one["object"].startswith(wrong.document["kind"]) and one["message"] and one["hint"] for one in named)
    lines = text.splitlines()
    for one in named:
        assert 0 <= one["line"] - _FIRST_LINE < len(lines)
        key = one["path"].rpartition(".")[2].partition("[")[0]
        assert key in ("$", "spec") or key in lines[one["line"] - _FIRST_LINE] or one["path"].endswith("]")
    assert _built(offline) == serving


DAMAGE: Final = {
    "tab": "a:\n\tb: 1\n",
    "open list": "a: [1, 2\n",
    "open text": 'a: "b\n',
    "duplicate key": "kind: A\nkind: B\n",
    "alias bomb": "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: *nowhere\n",
    "endless nesting": "[" * 5000,
    "control character": "a: \x07\n",
    "tag of code": "a: !!python/object/apply:os.system ['true']\n",
    "not a mapping": "- 1\n- 2\n",
    "text": "hello\n",
    "unknown kind": "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRouteX\nmetadata: {name: a}\nspec: {}\n",
    "unknown version": "apiVersion: gateway.networking.k8s.io/v9\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {}\n",
    "no name": "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {}\nspec: {}\n",
    "no kind": "apiVersion: v1\nmetadata: {name: a}\n",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_fifty_keep_serving_beside_a_damaged_file_and_it_is_named(
    damage: str, serving: list[Resource], tmp_path: Path
) -> None:
    (tmp_path / "all.yaml").write_text(f"{_BEFORE}---\n{_AFTER}")
    (tmp_path / "damaged.yaml").write_text(damage)

    offline = Offline(tmp_path)

    problems = offline.report()["problems"]
    assert problems
    assert {one["file"] for one in problems} == {str(tmp_path / "damaged.yaml")}
    assert all(one["line"] >= 1 and one["message"] and one["hint"] for one in problems)
    assert _built(offline) == serving
