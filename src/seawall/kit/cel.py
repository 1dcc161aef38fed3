"""CEL: expressions of the Common Expression Language, read into the tree that Envoy takes (it has no parser of its own).

Pure. The grammar is that of the language's specification (cel-spec, doc/langdef.md) without comprehensions (`all`, `exists`,
`map` …), which Envoy does not evaluate, and without the names of messages. A tree is plain data, as JSON of
google.api.expr.v1alpha1.Expr.
"""

import re
from collections.abc import Callable
from typing import Any, Final

Node = dict[str, Any]
LONGEST: Final = 4096
DEEPEST: Final = 32
MEMBERS: Final = frozenset(
    {"contains", "endsWith", "startsWith", "matches", "size"}
    | {f"get{part}" for part in ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear")}
    | {f"get{part}" for part in ("Hours", "Minutes", "Seconds", "Milliseconds")}
)
"""What can be called on a value."""
FUNCTIONS: Final = frozenset(
    {"size", "matches", "int", "uint", "double", "string", "bytes", "duration", "timestamp", "type"}
)
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<number>0x[0-9a-fA-F]+u?|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+u?)
    |(?P<text>[rR]?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_RELATIONS: Final = {one: f"_{one}_" for one in ("==", "!=", "<", "<=", ">", ">=")} | {"in": "@in"}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPED: Final = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<one>.))"
)
_RESERVED: Final = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "namespace",
        "package",
    }
    | {"return", "var", "void", "while"}
)


class CelError(Exception):
    """What is wrong with an expression, as the end of a sentence; `at` is the place, from 1."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"{message} (character {at})")
        self.at = at


def parse(text: str, names: frozenset[str]) -> Node:
    """Read an expression that may use these names. Raises CelError."""
    if len(text) > LONGEST:
        raise CelError(f"is longer than {LONGEST} characters", LONGEST)
    return _Parser(_tokens(text), names).whole()


def numbered(node: Node) -> Node:
    """Give every part of a tree a number of its own, as Envoy wants it. Returns a new tree."""
    count = 0

    def each(value: Any) -> Any:
        nonlocal count
        if isinstance(value, list):
            return [each(one) for one in value]
        if not isinstance(value, dict):
            return value
        made = {key: each(one) for key, one in value.items()}
        if any(key.endswith("_expr") for key in value):
            count += 1
            made["id"] = count
        return made

    found: Node = each(node)
    return found


class _Token:
    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind, self.text, self.at = kind, text, at


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise CelError(f"cannot be read from {text[place : place + 10]!r} on", place + 1)
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match[0], place + 1))
        place = match.end()
    return [*found, _Token("end", "", len(text) + 1)]


def _call(function: str, *args: Node, target: Node | None = None) -> Node:
    called: Node = {"function": function, "args": list(args)}
    return {"call_expr": {**called, "target": target} if target is not None else called}


class _Parser:
    """Reads tokens by the grammar's rules, loosest first."""

    def __init__(self, tokens: list[_Token], names: frozenset[str]) -> None:
        self._tokens, self._place, self._names, self._depth = tokens, 0, names, 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def whole(self) -> Node:
        node = self._ternary()
        if self._next.kind != "end":
            raise self._unexpected("its end")
        return node

    def _takes(self, *signs: str) -> _Token | None:
        token = self._next
        if token.kind in ("sign", "name") and token.text in signs:
            self._place += 1
            return token
        return None

    def _needs(self, sign: str) -> None:
        if self._takes(sign) is None:
            raise self._unexpected(f"`{sign}`")

    def _unexpected(self, wanted: str) -> CelError:
        token = self._next
        found = f"`{token.text}`" if token.kind != "end" else "its end"
        return CelError(f"has {found} where {wanted} is expected", token.at)

    def _ternary(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise CelError(f"is nested deeper than {DEEPEST}", self._next.at)
        node = self._left(self._and, {"||": "_||_"})
        if self._takes("?"):
            chosen = self._left(self._and, {"||": "_||_"})
            self._needs(":")
            node = _call("_?_:_", node, chosen, self._ternary())
        self._depth -= 1
        return node

    def _left(self, part: Callable[[], Node], signs: dict[str, str]) -> Node:
        node = part()
        while token := self._takes(*signs):
            node = _call(signs[token.text], node, part())
        return node

    def _and(self) -> Node:
        return self._left(self._relation, {"&&": "_&&_"})

    def _relation(self) -> Node:
        return self._left(self._sum, _RELATIONS)

    def _sum(self) -> Node:
        return self._left(self._product, {"+": "_+_", "-": "_-_"})

    def _product(self) -> Node:
        return self._left(self._unary, {"*": "_*_", "/": "_/_", "%": "_%_"})

    def _unary(self) -> Node:
        signs = []
        while token := self._takes("!", "-"):
            signs.append(token.text)
            if len(signs) > DEEPEST:
                raise CelError(f"has more than {DEEPEST} signs in a row", token.at)
        node = self._member()
        for sign in reversed(signs):
            node = _call(f"{sign}_", node)
        return node

    def _member(self) -> Node:
        node = self._primary()
        while token := self._takes(".", "["):
            if token.text == "[":
                node = _call("_[_]", node, self._ternary())
                self._needs("]")
                continue
            field = self._next
            if field.kind != "name":
                raise self._unexpected("a name")
            self._place += 1
            if self._takes("("):
                if field.text not in MEMBERS:
                    raise CelError(f"calls {field.text}, which is no function of a value", field.at)
                node = _call(field.text, *self._list(")"), target=node)
            else:
                node = {"select_expr": {"operand": node, "field": field.text}}
        return node

    def _list(self, end: str) -> list[Node]:
        found: list[Node] = []
        while self._takes(end) is None:
            if found:
                self._needs(",")
                if self._takes(end):
                    break
            found.append(self._ternary())
        return found

    def _primary(self) -> Node:
        token = self._next
        self._place += 1
        match token.kind:
            case "number":
                return {"const_expr": _number(token)}
            case "text":
                return {"const_expr": {"string_value": _unquoted(token)}}
            case "name":
                return self._named(token)
        if token.text == "(":
            node = self._ternary()
            self._needs(")")
            return node
        if token.text == "[":
            return {"list_expr": {"elements": self._list("]")}}
        self._place -= 1
        raise self._unexpected("a value")

    def _named(self, token: _Token) -> Node:
        if token.text in {"true", "false"}:
            return {"const_expr": {"bool_value": token.text == "true"}}
        if token.text == "null":
            return {"const_expr": {"null_value": None}}
        if self._takes("("):
            if token.text == "has":
                return self._has(token)
            if token.text not in FUNCTIONS:
                raise CelError(f"calls {token.text}, which is no function", token.at)
            return _call(token.text, *self._list(")"))
        if token.text in _RESERVED or token.text not in self._names:
            known = ", ".join(sorted(self._names))
            raise CelError(f"uses {token.text}, and may use {known}", token.at)
        return {"ident_expr": {"name": token.text}}

    def _has(self, token: _Token) -> Node:
        asked = self._list(")")
        selected = asked[0].get("select_expr") if len(asked) == 1 else None
        if selected is None:
            raise CelError("asks has() for something that is no field, as in has(request.host)", token.at)
        return {"select_expr": {**selected, "test_only": True}}


def _number(token: _Token) -> Node:
    text, unsigned = token.text.removesuffix("u"), token.text.endswith("u")
    if not text.startswith("0x") and any(sign in text for sign in ".eE"):
        return {"double_value": float(text)}
    value = int(text, 0 if text.startswith("0x") else 10)
    if value >= 1 << (64 if unsigned else 63):
        raise CelError(f"has a number that is too large: {text[:30]}", token.at)
    return {"uint64_value" if unsigned else "int64_value": value}


def _unquoted(token: _Token) -> str:
    if token.text[0] in "rR":
        return token.text[2:-1]

    def meant(match: re.Match[str]) -> str:
        code = match["x"] or match["u"] or match["long"]
        if code is None:
            known = _ESCAPES.get(match["one"], match["one"])
            if known == match["one"] and known.isalnum():
                raise CelError(f"has an unknown escape \\{known}", token.at)
            return known
        if int(code, 16) > 0x10FFFF or 0xD800 <= int(code, 16) < 0xE000:
            raise CelError("has an escape that is no character", token.at)
        return chr(int(code, 16))

    return _ESCAPED.sub(meant, token.text[1:-1])
