"""Places: where a path stands in a file."""

import pytest

from seawall.source.locate import Marks, steps
from seawall.source.parse import parse

YAML = b"""\
# first
kind: a
spec:
  rules:
  - name: x
    list: [1, 2,
           {deep: 3}]
  -   name: y
  data:
    "tls.crt": |
      text
---
kind: b
ref: &r
  inner: 1
again: *r
last: 1
"""

JSON = b'{"kind": "a",\n\t"spec": {"rules": [\n\t\t{"name":"x"}]}}{"kind":"b"}\n\n  {"kind": "c"}'


@pytest.mark.parametrize(
    ("document", "path", "place"),
    [
        (0, "$", "f.yaml:2:1"),
        (0, "$.kind", "f.yaml:2:1"),
        (0, "$.spec.rules[0]", "f.yaml:5:5"),
        (0, "$.spec.rules[0].name", "f.yaml:5:5"),
        (0, "$.spec.rules[0].list[1]", "f.yaml:6:15"),
        (0, "$.spec.rules[0].list[2].deep", "f.yaml:7:13"),
        (0, "$.spec.rules[1].name", "f.yaml:8:7"),
        (0, '$.spec.data["tls.crt"]', "f.yaml:10:5"),
        (0, "$.spec.rules[1].missing.far", "f.yaml:8:7"),
        (0, "$.metadata.name", "f.yaml:2:1"),
        (1, "$.kind", "f.yaml:13:1"),
        (1, "$.again.inner", "f.yaml:16:1"),
        (1, "$.last", "f.yaml:17:1"),
        (7, "$.kind", "f.yaml:1:1"),
    ],
)
def test_place_in_yaml(document: int, path: str, place: str) -> None:
    assert str(Marks("f.yaml", YAML, {document}).place(document, steps(path))) == place


@pytest.mark.parametrize(
    ("document", "path", "place"),
    [
        (0, "$.kind", "f.json:1:2"),
        (0, "$.spec.rules", "f.json:2:11"),
        (0, "$.spec.rules[0].name", "f.json:3:4"),
        (1, "$.kind", "f.json:3:19"),
        (2, "$.kind", "f.json:5:4"),
    ],
)
def test_place_in_json(document: int, path: str, place: str) -> None:
    assert len(parse("f.json", JSON)) == 3
    assert str(Marks("f.json", JSON, {0, 1, 2}).place(document, steps(path))) == place


@pytest.mark.parametrize("raw", [b"", b"a: [", b"\xff\x00", b"{"])
@pytest.mark.parametrize("name", ["f.yaml", "f.json"])
def test_a_file_that_broke_meanwhile_still_has_a_place(raw: bytes, name: str) -> None:
    assert Marks(name, raw, {0}).place(0, ("a", 0)).line == 1


def test_paths_are_taken_apart() -> None:
    assert steps("$") == ()
    assert steps('$.a-b[12].c["d.e\\"f"]') == ("a-b", 12, "c", 'd.e"f')
