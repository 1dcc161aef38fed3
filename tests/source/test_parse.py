"""Parsing: any bytes become plain JSON data, or an error that says where."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.kit.errors import ConfigError
from seawall.source.parse import MAX_ALIASED, parse


def test_yaml_is_read_as_kubernetes_reads_it() -> None:
    text = """
a: [yes, No, on, OFF, "yes", true]
b: [1, -2, 0777, 0x1f, 1_000, 0b11, "1"]
c: [1.5, -.5, 1.5e3, 1e3, 12:30:45, 2001-01-01, 1.2.3]
d: [~, null, , "", a b, '']
8080: port
on: key
e: !!str 1
f: !!int "2"
g: &x {h: 1}
i: {<<: *x, j: 2}
k: {<<: [*x, {h: 3, l: 4}]}
m: {"<<": 5}
""".replace(", , ", ", ")

    assert parse("a.yaml", text.encode()) == [
        {
            "a": [True, False, True, False, "yes", True],
            "b": [1, -2, 511, 31, 1000, 3, "1"],
            "c": [1.5, -0.5, 1500.0, "1e3", "12:30:45", "2001-01-01", "1.2.3"],
            "d": [None, None, "", "a b", ""],
            "8080": "port",
            "on": "key",
            "e": "1",
            "f": 2,
            "g": {"h": 1},
            "i": {"h": 1, "j": 2},
            "k": {"h": 1, "l": 4},
            "m": {"<<": 5},
        }
    ]


@pytest.mark.parametrize(
    ("name", "raw", "documents"),
    [
        ("a.yaml", b"", []),
        ("a.yaml", b"# nothing\n", []),
        ("a.yaml", b"---\n---\na: 1\n...\n", [None, {"a": 1}]),
        ("a.yaml", b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", [{"a": 1, "b": 2}]),
        ("a.yaml", b"- 1\n", [[1]]),
        ("a.yaml", b'{"a": "\\u00e9"}', [{"a": "é"}]),
        ("a.json", b"", []),
        ("a.json", b'\xef\xbb\xbf{"a": 1}\n{"b": [1.5, null]}[]', [{"a": 1}, {"b": [1.5, None]}, []]),
        ("a.json", b'"\\ud83d\\ude00"', ["😀"]),
        ("a.json", json.dumps([[]] * 200).encode(), [[[]] * 200]),
    ],
)
def test_documents_are_told_apart(name: str, raw: bytes, documents: list[Any]) -> None:
    assert parse(name, raw) == documents


BOMB = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 10)) for c in range(ord("b"), ord("k"))
)


@pytest.mark.parametrize(
    ("name", "raw", "where", "message", "hint"),
    [
        ("a.yaml", b"a: [", "2:1", "not valid YAML", "Correct"),
        ("a.yaml", b"a:\n\t- b\n", "2:1", "not valid YAML", "spaces"),
        ("a.yaml", b"a: 1\nb:\n  c: 2\n  c: 3\n", "4:3", "The key 'c' stands", "Remove one"),
        ("a.yaml", b"a: \x00", "1:4", "control character (code 0)", "text file"),
        ("a.yaml", b"a: 1\nb: \xff", "2:4", "not UTF-8", "UTF-8"),
        ("a.yaml", "a: 1".encode("utf-16"), "1:1", "not UTF-8", "UTF-8"),
        ("a.yaml", b"a: &x [*x]", "1:8", "alias *x", "before it"),
        ("a.yaml", b"a: *b", "1:4", "alias *b", "before it"),
        ("a.yaml", b"a: &x 1\n---\nb: *x", "3:4", "alias *x", "same document"),
        ("a.yaml", BOMB, "5:", f"more than {MAX_ALIASED}", "several files"),
        ("a.yaml", b"[" * 200, "1:101", "nested deeper", "Flatten"),
        ("a.yaml", b"? [a]\n: b", "1:3", "must be text, not a mapping", "quotes"),
        ("a.yaml", b"a: &x 1\n*x : b", "2:1", "must be text, not an alias", "out"),
        ("a.yaml", b"a: .inf", "1:4", "no number of JSON", "quotes"),
        ("a.yaml", b"a: -.INF", "1:4", "no number of JSON", "quotes"),
        ("a.yaml", b"a: 1." + b"0" * 10 + b"e+999", "1:4", "no number of JSON", "quotes"),
        ("a.yaml", b"a: !!binary YQ==", "1:4", "tag 'tag:yaml.org,2002:binary'", "Remove"),
        ("a.yaml", b"a: !!python/object:os.system {}", "1:4", "tag 'tag:yaml.org,2002:python", "Remove"),
        ("a.yaml", b"a: !!int x", "1:4", "tag", "Remove"),
        ("a.yaml", b"a: &x [1]\nb: {<<: *x}", "2:5", "Only mappings", "alias"),
        ("a.json", b'{"a": 1,}', "1:9", "not valid JSON", "Correct"),
        ("a.json", b'{"a": {"b": 1, "b": 2}}', "1:16", "The key 'b'", "Remove one"),
        ("a.json", b'{"a": NaN}', "", "NaN is no number", "quotes"),
        ("a.json", b"[" * 100_000, "1:1", "nested too deeply", "Flatten"),
        ("a.json", b'{"a":"\\"[",\n"b":' + b"[" * 150 + b"]" * 150 + b"}", "2:104", "nested deeper", "Flatten"),
        ("a.json", b"1" * 5000, "1:1", "cannot be read as JSON", ""),
        ("a.json", b'{"a": ["\\ud800"]}', "", "half a character", "itself"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(name: str, raw: bytes, where: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(name, raw)

    assert str(caught.value.place).startswith(f"{name}:{where}" if where else name)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_aliases_may_be_used_a_lot() -> None:
    raw = b"a: &a {b: 1}\nc:\n" + b"- *a\n" * 1000

    (value,) = parse("a.yaml", raw)

    assert value["c"] == [{"b": 1}] * 1000


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), part, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_what_was_written_is_read(value: Any) -> None:
    assert parse("a.json", json.dumps(value).encode()) == [value]
    assert parse("a.yaml", yaml.safe_dump(value, allow_unicode=False).encode()) == [value]


YAMLISH = st.text(alphabet="ab:-?,[]{}&*!|>'\"%@`#~ \n\t<\\0.", max_size=60).map(str.encode)


@given(st.sampled_from(["a.yaml", "a.json"]), st.binary(max_size=100) | YAMLISH)
@example("a.yaml", b"%YAML 3.0\n---\n")
@example("a.yaml", b"\xc2\x85")
@example("a.yaml", b"\xef\xbf\xbe")
def test_any_bytes_are_read_or_refused_with_a_place(name: str, raw: bytes) -> None:
    try:
        json.dumps(parse(name, raw), allow_nan=False)
    except ConfigError as error:
        assert error.place is not None
        assert error.place.file == name
        assert error.message.endswith(".")
