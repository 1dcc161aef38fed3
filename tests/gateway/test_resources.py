"""The shapes equal the Gateway API's schemas, field by field: known fields, required ones, defaults, enums, limits, patterns."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from seawall.gateway.resources import scalars
from seawall.gateway.resources.kinds import SHAPES
from seawall.gateway.resources.scalars import seconds
from tests.gateway.crds import schema_of, spec_schema

ELSEWHERE = {
    "AccessPolicy",
    "Backend",
    "HTTPFilterPolicy",
    "Perimeter",
    "ProtectionPolicy",
    "ListenerPolicy",
    "RateLimitPolicy",
    "TrafficPolicy",
    "Namespace",
    "Service",
    "Secret",
    "ConfigMap",
    "EndpointSlice",
}
"""Kinds whose schema is not the Gateway API's."""

EQUIVALENT = {
    # Python backtracks exponentially on the API's pattern; test_header_values_are_the_apis compares the two.
    r"^[!-~]+([\t ]?[!-~]+)*$": r"^[!-~]+([\t ][!-~]+)*$",
}

STRICTER = {
    # The API's Go type is an unsigned 16 bit number, which its schema does not say.
    "externalAuth.forwardBody.maxSize": {"ge": 0, "le": 65535},
}


KINDS = sorted(set(SHAPES) - ELSEWHERE)


@pytest.mark.parametrize("kind", KINDS)
def test_shape_equals_the_schema(kind: str) -> None:
    differences = list(compare(spec_schema(kind), inspect.type_info(SHAPES[kind].spec), "spec"))

    assert differences == []


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_taken_in_every_version_that_is_served(kind: str) -> None:
    crd = schema_of(kind)["spec"]

    assert SHAPES[kind].group == crd["group"]
    assert set(SHAPES[kind].versions) == {version["name"] for version in crd["versions"] if version["served"]}
    assert SHAPES[kind].is_namespaced == (crd["scope"] == "Namespaced")


def compare(schema: dict[str, Any], kind: inspect.Type, at: str) -> Iterator[str]:
    kind = plain(kind)
    match kind:
        case inspect.StructType():
            yield from compare_struct(schema, kind, at)
        case inspect.VarTupleType():
            yield from compare_limits(schema, {"minItems": kind.min_length, "maxItems": kind.max_length}, at)
            yield from compare(schema["items"], kind.item_type, f"{at}[]")
        case inspect.DictType():
            yield from compare_limits(schema, {"maxProperties": kind.max_length}, at)
            yield from compare(schema["additionalProperties"], kind.value_type, f"{at}{{}}")
        case inspect.LiteralType():
            if sorted(map(str, schema.get("enum", []))) != sorted(map(str, kind.values)):
                yield f"{at}: enum {schema.get('enum')} is {kind.values} here"
        case inspect.StrType():
            yield from compare_text(schema, kind, at)
        case inspect.IntType():
            yield from compare_number(schema, kind, at)
        case inspect.BoolType():
            if schema["type"] != "boolean":
                yield f"{at}: {schema['type']} is a boolean here"
        case _:
            yield f"{at}: {kind} cannot be compared"


def plain(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        else:
            kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    return kind


def compare_limits(schema: dict[str, Any], limits: dict[str, Any], at: str) -> Iterator[str]:
    for name, value in limits.items():
        if schema.get(name) != value:
            yield f"{at}: {name} {schema.get(name)} is {value} here"


def compare_struct(schema: dict[str, Any], kind: inspect.StructType, at: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in kind.fields}
    for name in schema["properties"].keys() ^ fields.keys():
        yield f"{at}.{name}: only {'in the schema' if name in schema['properties'] else 'here'}"
    if not kind.cls.__struct_config__.forbid_unknown_fields:
        yield f"{at}: takes unknown fields"
    for name in schema["properties"].keys() & fields.keys():
        part, field = schema["properties"][name], fields[name]
        if field.required != (name in schema.get("required", [])):
            yield f"{at}.{name}: required {name in schema.get('required', [])} is {field.required} here"
        yield from compare_default(part, field, f"{at}.{name}")
        yield from compare(part, field.type, f"{at}.{name}")


def compare_default(schema: dict[str, Any], field: inspect.Field, at: str) -> Iterator[str]:
    if field.required:
        return
    empty = field.default in (None, ()) or field.default_factory is not msgspec.NODEFAULT
    if "default" not in schema:
        if not empty:
            yield f"{at}: has a default here, {field.default}"
        return
    ours = msgspec.to_builtins(field.default)
    if fill(schema, schema["default"]) != without_empty(ours):
        yield f"{at}: default {schema['default']} is {ours} here"


def fill(schema: dict[str, Any], value: Any) -> Any:
    """Fill in the defaults inside a default, as the API server does."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        filled = {name: part["default"] for name, part in known.items() if "default" in part} | value
        return {name: fill(known[name], part) for name, part in filled.items()}
    if isinstance(value, list):
        return [fill(schema["items"], part) for part in value]
    return value


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v not in (None, (), [], {})}
    if isinstance(value, list | tuple):
        return [without_empty(part) for part in value]
    return value


def compare_text(schema: dict[str, Any], kind: inspect.StrType, at: str) -> Iterator[str]:
    if schema["type"] != "string" or "enum" in schema:
        yield f"{at}: {schema} is any text here"
    pattern = None if kind.pattern is None else kind.pattern.replace(r"\Z", "$")
    if EQUIVALENT.get(schema.get("pattern", ""), schema.get("pattern")) != pattern:
        yield f"{at}: pattern {schema.get('pattern')} is {pattern} here"
    yield from compare_limits(schema, {"minLength": kind.min_length, "maxLength": kind.max_length}, at)


def compare_number(schema: dict[str, Any], kind: inspect.IntType, at: str) -> Iterator[str]:
    if schema["type"] != "integer":
        yield f"{at}: {schema['type']} is a number here"
    for path, stricter in STRICTER.items():
        if at.endswith(path):
            if stricter != {"ge": kind.ge, "le": kind.le}:
                yield f"{at}: is not {stricter}"
            return
    if schema.get("minimum") != kind.ge:
        yield f"{at}: minimum {schema.get('minimum')} is {kind.ge} here"
    # A number without maximum is a Go int32 (or is used as one): larger ones are refused here instead of overflowing.
    allowed = {schema["maximum"]} if "maximum" in schema else {None, scalars.INT32_MAX}
    if kind.le not in allowed:
        yield f"{at}: maximum {schema.get('maximum')} is {kind.le} here"


def test_every_dollar_is_the_very_end() -> None:
    patterns = [value for name, value in vars(scalars).items() if name.isupper() and isinstance(value, str)]

    assert [p for p in patterns if re.search(p, "a.example.com\n") and p != scalars.URI] == []


@given(st.text(alphabet="a~ \t\x7f", max_size=12))
def test_header_values_are_the_apis(text: str) -> None:
    (theirs,) = EQUIVALENT

    assert bool(re.search(scalars.HEADER_VALUE, text)) == bool(re.search(theirs.replace("$", r"\Z"), text))


def test_header_values_do_not_backtrack() -> None:
    assert re.search(scalars.HEADER_VALUE, "a" * 4095 + "\x7f") is None


@pytest.mark.parametrize(
    ("text", "expected"), [("0s", 0.0), ("250ms", 0.25), ("1m30s", 90.0), ("1h1ms", 3600.001), ("10s10s", 20.0)]
)
def test_durations_count_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)
