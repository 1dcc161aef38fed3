"""Wrong: documents with exactly one mistake each, made from the shapes of the kinds, so that no field is forgotten.

For every field of every record that a kind is made of: the smallest document that has this field, with something in it that
its type, its bounds, its pattern or its length forbid.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from seawall.gateway.mistakes import child
from seawall.gateway.resources.core import ConfigMapSpec, SecretSpec
from seawall.gateway.resources.kinds import SHAPES, Shape

Json = dict[str, Any]
HOSTILE: Final = "\u202e<script>'\";{{7*7}}${jndi:x}\u2028 %s"
"""Fits no pattern of ours, and must not harm whoever prints it."""
_TEXTS: Final = (
    "a",
    "1s",
    "/a",
    "1Mi",
    "a/b",
    "HTTP",
    "System",
    "192.0.2.1",
    "http://a",
    "http://a/",
    "spiffe://a/b",
    "IPAddress",
    "2026-01-01T00:00:00Z",
    "type.googleapis.com/a.B",
)
_MANY: Final = 100
"""Lists that may be longer than this are not filled: the file would be large and the mistake the same."""


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """A document, the path of its mistake, and a name for it."""

    name: str
    document: Json
    path: str


def wrong_documents() -> list[Wrong]:
    """Make all of them; what several kinds share is made wrong once."""
    seen: set[tuple[str, str, str]] = set()
    return [one for shape in SHAPES.values() for one in _of_kind(shape, seen)]


def document(shape: Shape, body: Json) -> Json:
    metadata = {"name": "wrong", **({"namespace": "test"} if shape.is_namespaced else {})}
    place = body if shape.is_flat else {"spec": body}
    return {"apiVersion": shape.api_version, "kind": shape.kind, "metadata": metadata, **place}


def _of_kind(shape: Shape, seen: set[tuple[str, str, str]]) -> Iterator[Wrong]:
    if shape.spec in (SecretSpec, ConfigMapSpec):  # Decoded by hand: `tests.gateway.test_resources` has their mistakes.
        return
    root = inspect.type_info(shape.spec)
    assert isinstance(root, inspect.StructType)
    start = "$" if shape.is_flat else "$.spec"
    for what, body, path in _in_struct(root, start, seen, ()):
        yield Wrong(name=f"{shape.kind}{path.removeprefix('$')}: {what}", document=document(shape, body), path=path)


# ── the mistakes of a type: (what is wrong, a value with it, where in the value) ─────────────────────────────────────

_Found = Iterator[tuple[str, Any, str]]


def _in_struct(
    info: inspect.StructType, path: str, seen: set[tuple[str, str, str]], around: tuple[type, ...]
) -> _Found:
    if info.cls in around:
        return
    if info.forbid_unknown_fields and _is_new(seen, info, "", "unknown field"):
        yield "unknown field", {**_right(info), "noSuchField": 1}, child(path, "noSuchField")
    for field in info.fields:
        if field.required and _is_new(seen, info, field.encode_name, "missing"):
            rest = {key: value for key, value in _right(info).items() if key != field.encode_name}
            yield f"{field.encode_name} missing", rest, path
        inside = child(path, field.encode_name)
        for what, value, at in _in(field.type, inside, seen, (*around, info.cls)):
            # A record that is shared brings its own mistakes only the first time; its place is always tried.
            if at != inside or _is_new(seen, info, field.encode_name, what):
                yield what, {**_right(info), field.encode_name: value}, at


def _is_new(seen: set[tuple[str, str, str]], info: inspect.StructType, field: str, what: str) -> bool:
    key = (info.cls.__name__, field, what)
    is_new = key not in seen
    seen.add(key)
    return is_new


def _in(info: inspect.Type, path: str, seen: set[tuple[str, str, str]], around: tuple[type, ...]) -> _Found:
    match info:
        case inspect.UnionType(types=types):
            kinds = [one for one in types if not isinstance(one, inspect.NoneType)]
            if len(kinds) == 1:
                yield from _in(kinds[0], path, seen, around)
            else:
                yield "wrong type", [], path
        case inspect.Metadata(type=inner):
            yield from _in(inner, path, seen, around)
        case inspect.StructType():
            yield "wrong type", "text", path
            yield from _in_struct(info, path, seen, around)
        case inspect.VarTupleType() | inspect.ListType():
            yield from _in_list(info, path, seen, around)
        case inspect.DictType():
            yield "wrong type", "text", path
            for what, value, at in _in(info.value_type, child(path, "a"), seen, around):
                yield f"value: {what}", {"a": value}, at
        case inspect.StrType():
            yield from ((what, value, path) for what, value in _texts(info))
        case inspect.IntType() | inspect.FloatType():
            yield from ((what, value, path) for what, value in _numbers(info))
        case inspect.BoolType():
            yield "wrong type", "yes please", path
        case inspect.LiteralType():
            yield "unknown value", "NoSuchValue", path
            yield "hostile", HOSTILE, path
            yield "wrong type", {}, path


def _in_list(
    info: inspect.VarTupleType | inspect.ListType, path: str, seen: set[tuple[str, str, str]], around: tuple[type, ...]
) -> _Found:
    one = _right(info.item_type)
    yield "wrong type", {"a": 1}, path
    yield "empty element", [*[one] * (info.min_length or 1), None][-max(1, info.max_length or 2) :], f"{path}["
    if info.min_length:
        yield "too few", [], path
    if info.max_length is not None and info.max_length < _MANY:
        yield "too many", [one] * (info.max_length + 1), path
    for what, value, at in _in(info.item_type, f"{path}[0]", seen, around):
        yield f"element: {what}" if at == f"{path}[0]" else what, [value], at


def _texts(info: inspect.StrType) -> Iterator[tuple[str, Any]]:
    yield "wrong type", ["text"]
    yield "number", 8080
    if info.pattern:
        yield "hostile", HOSTILE
        yield "line break", f"{_right(info)}\n"
    if info.min_length:
        yield "empty", ""
    if info.max_length is not None:
        yield "too long", "a" * (info.max_length + 1)
        yield "absurdly long", "a" * 200_000


def _numbers(info: inspect.IntType | inspect.FloatType) -> Iterator[tuple[str, Any]]:
    yield "wrong type", "80"
    yield "truth", True
    if isinstance(info, inspect.IntType):
        yield "fraction", 1.5
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    if low is not None:
        yield "too low", low - 1
        yield "far too low", -(10**30)
    if high is not None:
        yield "too high", high + 1
        yield "far too high", 10**30


# ── something right ──────────────────────────────────────────────────────────────────────────────────────────────────


def _right(info: inspect.Type) -> Any:
    match info:
        case inspect.UnionType(types=types):
            return _right(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case inspect.Metadata(type=inner):
            return _right(inner)
        case inspect.StructType(fields=fields):
            return {one.encode_name: _right(one.type) for one in fields if one.required}
        case inspect.VarTupleType(item_type=item):
            return [_right(item)] * (info.min_length or 1)
        case inspect.DictType():
            return {"a": _right(info.value_type)}
        case inspect.StrType():
            return next(one for one in _TEXTS if _fits(one, info))
        case inspect.IntType() | inspect.FloatType():
            return info.ge if info.ge is not None else 1 if info.gt is None else (info.gt + (info.le or 1)) / 2
        case inspect.BoolType():
            return True
        case inspect.LiteralType(values=values):
            return values[0]
        case _:
            return {}


def _fits(text: str, info: inspect.StrType) -> bool:
    is_long_enough = (info.min_length or 0) <= len(text) <= (info.max_length or len(text))
    return is_long_enough and (info.pattern is None or re.search(info.pattern, text) is not None)
