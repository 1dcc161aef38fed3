"""CEL: what is read, how it binds, and what is said of what cannot be read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.envoy.proto import message
from seawall.kit.cel import DEEPEST, LONGEST, CelError, Node, numbered, parse

NAMES = frozenset({"request", "source"})


def shown(node: Node) -> str:
    """Write a tree with every call in brackets."""
    (kind, value), *_ = ((key, value) for key, value in node.items() if key != "id")
    match kind:
        case "const_expr":
            return str(next(iter(value.values())))
        case "ident_expr":
            return str(value["name"])
        case "select_expr":
            return f"{shown(value['operand'])}.{value['field']}" + ("?" if value.get("test_only") else "")
        case "list_expr":
            return f"[{', '.join(map(shown, value['elements']))}]"
    target = f"{shown(value['target'])}." if "target" in value else ""
    return f"{target}{value['function']}({', '.join(map(shown, value['args']))})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("request.a", "request.a"),
        ("request.a.b['c']", "_[_](request.a.b, c)"),
        ("1 + 2 * 3", "_+_(1, _*_(2, 3))"),
        ("1 - 2 - 3", "_-_(_-_(1, 2), 3)"),
        ("-1 == !true", "_==_(-_(1), !_(True))"),
        ("--1", "-_(-_(1))"),
        ("request == 1 || source && true", "_||_(_==_(request, 1), _&&_(source, True))"),
        ("request in [1, 'a',]", "@in(request, [1, a])"),
        ("true ? 1 : false ? 2 : 3", "_?_:_(True, 1, _?_:_(False, 2, 3))"),
        ("request.path.startsWith('/a')", "request.path.startsWith(/a)"),
        ("size(request) > 0x1f", "_>_(size(request), 31)"),
        ("has(request.headers)", "request.headers?"),
        ("1.5 < 2e3 && 3u != null", "_&&_(_<_(1.5, 2000.0), _!=_(3, None))"),
        (r"""r'\d' + "\x41\u0042\n" """, "_+_(\\d, AB\n)"),
        ("true // and so on", "True"),
        ("(request)", "request"),
    ],
)
def test_an_expression_is_read_as_the_language_says(text: str, tree: str) -> None:
    found = parse(text, NAMES)
    assert shown(found) == tree
    # It is a message of Envoy's.
    message("google.api.expr.v1alpha1.Expr")(**numbered(found))


@pytest.mark.parametrize(
    ("text", "words", "at"),
    [
        ("", "its end where a value", 1),
        ("request ==", "its end where a value", 11),
        ("request request", "`request` where its end", 9),
        ("requst.path", "uses requst, and may use request, source", 1),
        ("if", "uses if", 1),
        ("request.path.startWith('a')", "calls startWith, which is no function of a value", 14),
        ("delete(request)", "calls delete", 1),
        ("[1, 2].all(x, x > 0)", "calls all", 8),
        ("has(request)", "no field", 1),
        ("'open", "cannot be read", 1),
        ("request @ 1", "cannot be read", 9),
        (r"'\q'", "unknown escape", 1),
        (r"'\ud800'", "no character", 1),
        ("9223372036854775808", "too large", 1),
        ("(" * (DEEPEST + 1), "nested deeper", DEEPEST + 1),
        ("!" * (DEEPEST + 1) + "true", "signs in a row", DEEPEST + 1),
        ("1" * (LONGEST + 1), "longer than", LONGEST),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, words: str, at: int) -> None:
    with pytest.raises(CelError) as said:
        parse(text, NAMES)

    assert words in str(said.value)
    assert said.value.at == at


def test_every_part_has_a_number_of_its_own() -> None:
    numbers: list[int] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            numbers.extend([value["id"]] if "id" in value else [])
            for one in value.values():
                collect(one)
        elif isinstance(value, list):
            for one in value:
                collect(one)

    collect(numbered(parse("request.a == 1 && size([1, 2]) > 1", NAMES)))

    assert len(numbers) == len(set(numbers)) == 11


@given(st.text(alphabet="rquest.()[]{}'\"\\!&|<>=?:+-*/%,1u0x \n", max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text, NAMES)
    except CelError as exc:
        assert 1 <= exc.at <= len(text) + 1
    else:
        message("google.api.expr.v1alpha1.Expr")(**numbered(found))
