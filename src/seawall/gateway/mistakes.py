"""Mistakes: everything that is wrong with plain data that should have a certain shape, each with place and remedy.

Pure. `msgspec.convert` stops at the first mistake, in terms of types; this walks the same type information and collects
them all, in the operator's terms. It is slow and only runs when converting has failed.
"""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import inspect

from seawall.gateway.resources import scalars
from seawall.gateway.rules.rule import Finding, Findings

_PLAIN_KEY: Final = re.compile(r"^[A-Za-z0-9_-]+\Z")
_MANY: Final = 50
"""After so many mistakes the rest of one object is noise."""
_PATTERNS: Final = {
    scalars.DNS_LABEL: "a DNS label: lower-case letters, digits and '-', with a letter or digit at both ends",
    scalars.DNS_SUBDOMAIN: "a DNS name: lower-case letters, digits, '-' and '.'",
    scalars.HOSTNAME: "a host name: lower-case letters, digits, '-' and '.', perhaps with '*.' before it",
    scalars.GROUP: "an API group: a DNS name, or empty for the core group",
    scalars.KIND: "a kind: letters, digits and '-'",
    scalars.HEADER_NAME: "a header name: letters, digits and !#$%&'*+-.^_`|~",
    scalars.HEADER_VALUE: "a header value: visible ASCII characters with single blanks between them",
    scalars.DURATION: "a duration, as 10s, 1m30s or 250ms",
    scalars.URI_PATH: "a URI path: other characters must be percent-encoded",
    scalars.ORIGIN: "an origin: http:// or https://, a host, perhaps a port; or '*'",
    scalars.URI: "a URI",
    scalars.MEDIA_TYPE: "a media type in lower case, as text/html",
    scalars.LISTENER_PROTOCOL: "a protocol: HTTP, HTTPS, TLS, TCP, UDP, or domain/name",
    scalars.CONTROLLER: "a controller name: domain/path",
    scalars.ADDRESS_TYPE: "an address type: IPAddress, Hostname, NamedAddress, or domain/name",
    scalars.WELL_KNOWN_CA: "System, or domain/name",
    scalars.TIME: "a time with its zone, as 2026-01-31T12:00:00Z",
    scalars.BYTES: "a number of bytes, as 512Mi, 1.5G or 65536",
    scalars.HTTP_URL: "a URL: http:// or https://, a host, perhaps a port and a path",
    scalars.RUNTIME_KEY: "a key of Envoy's runtime: letters, digits, '.', '_' and '-'",
    scalars.TYPE_URL: "a type of Envoy's: type.googleapis.com/ and the name of a message",
    scalars.FILTER_NAME: "a name of a filter: letters, digits, '.', '_' and '-', with a letter or digit at both ends",
    scalars.LABEL_VALUE: "a label value: at most 63 letters, digits, '-', '_' and '.'",
}


def mistakes(data: object, shape: type, at: str, *, is_secret: bool = False) -> Findings:
    """List what keeps `data` from having `shape`. With `is_secret` no value is quoted."""
    walker = _Walker(is_secret)
    walker.walk(data, inspect.type_info(shape), at)
    return walker.findings


def child(path: str, key: str) -> str:
    """Extend a path by a key: `$.spec.rules`, `$.data["tls.crt"]`."""
    return f"{path}.{key}" if _PLAIN_KEY.match(key) else f"{path}[{json.dumps(key)}]"


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Find what somebody probably meant; empty if nothing is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower()[:100], by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else ""


def without_nulls(data: object) -> object:
    """Drop fields whose value is null: the API server does so before it fills in defaults."""
    if isinstance(data, dict):
        return {key: without_nulls(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [without_nulls(value) for value in data]
    return data


class _Walker:
    """Collects findings on its way through a value and its type."""

    def __init__(self, is_secret: bool) -> None:
        self.findings: Findings = []
        self._is_secret = is_secret

    def walk(self, value: object, kind: inspect.Type, at: str) -> None:
        if len(self.findings) >= _MANY:
            return
        match kind:
            case inspect.Metadata():
                self.walk(value, kind.type, at)
            case inspect.StructType():
                self._struct(value, kind, at)
            case inspect.VarTupleType():
                self._list(value, kind, at)
            case inspect.DictType():
                self._mapping(value, kind, at)
            case inspect.UnionType():
                self._union(value, kind, at)
            case inspect.LiteralType():
                self._choice(value, kind, at)
            case inspect.StrType():
                self._text(value, kind, at)
            case inspect.IntType() | inspect.FloatType():
                self._number(value, kind, at)
            case inspect.BoolType():
                if not isinstance(value, bool):
                    self._wrong_type(value, "true or false", at)
            case _:
                pass  # AnyType, NoneType: nothing to be wrong about

    def _struct(self, value: object, kind: inspect.StructType, at: str) -> None:
        if not isinstance(value, dict):
            self._wrong_type(value, "a mapping", at)
            return
        fields = {field.encode_name: field for field in kind.fields}
        for key, item in value.items():
            if key in fields:
                self.walk(item, fields[key].type, child(at, key))
            elif _forbids_unknown(kind):
                self._unknown(str(key), [name for name in fields if name not in value], at)
        for name, field in fields.items():
            if field.required and name not in value:
                self._add(at, f"The required field {name!r} is missing.", f"Add {name}{_purpose(field.type)}.")

    def _unknown(self, key: str, free: list[str], at: str) -> None:
        near = closest(key, free)
        hint = (
            f"Did you mean {near!r}?"
            if near
            else "Remove it" + (f"; free fields here: {', '.join(free)}." if free else ".")
        )
        self._add(child(at, key), f"The field {key!r} is unknown.", hint)

    def _list(self, value: object, kind: inspect.VarTupleType, at: str) -> None:
        if not isinstance(value, list):
            hint = "Write it as a list: a line with '- ' before each element."
            self._wrong_type(value, "a list", at, hint)
            return
        self._size(len(value), kind.min_length, kind.max_length, "elements", at)
        for index, item in enumerate(value):
            here = f"{at}[{index}]"
            if item is None:
                self._add(here, "The element is empty (null).", "Fill it in, or remove it.")
            else:
                self.walk(item, kind.item_type, here)

    def _mapping(self, value: object, kind: inspect.DictType, at: str) -> None:
        if not isinstance(value, dict):
            self._wrong_type(value, "a mapping", at)
            return
        self._size(len(value), kind.min_length, kind.max_length, "entries", at)
        for key, item in value.items():
            self.walk(item, kind.value_type, child(at, str(key)))

    def _union(self, value: object, kind: inspect.UnionType, at: str) -> None:
        types = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        best: Findings | None = None
        for member in types:
            walker = _Walker(self._is_secret)
            walker.walk(value, member, at)
            if not walker.findings:
                return
            if best is None or _fits(value, member):
                best = walker.findings
        self.findings += best or []

    def _choice(self, value: object, kind: inspect.LiteralType, at: str) -> None:
        if isinstance(value, bool) or value not in kind.values:
            choices = ", ".join(str(choice) for choice in kind.values)
            near = closest(value, [str(choice) for choice in kind.values]) if isinstance(value, str) else ""
            hint = f"Did you mean {near!r}?" if near else f"Use one of {choices}."
            self._add(at, f"{self._show(value)} is none of {choices}.", hint)

    def _text(self, value: object, kind: inspect.StrType, at: str) -> None:
        if not isinstance(value, str):
            hint = ""
            if isinstance(value, bool):
                hint = "Put it in quotes: YAML reads yes, no, on, off, true and false without quotes as true or false."
            elif isinstance(value, int | float):
                hint = "Put it in quotes."
            self._wrong_type(value, "text", at, hint)
            return
        self._size(len(value), kind.min_length, kind.max_length, "characters", at)
        too_long = kind.max_length is not None and len(value) > kind.max_length
        if kind.pattern is not None and not too_long and not re.search(kind.pattern, value):
            wanted = _PATTERNS.get(kind.pattern, f"text that fits {kind.pattern}")
            self._add(at, f"{self._show(value)} is not {wanted}.", _pattern_hint(kind.pattern, value))

    def _number(self, value: object, kind: inspect.IntType | inspect.FloatType, at: str) -> None:
        if isinstance(kind, inspect.FloatType):
            self._decimal(value, kind, at)
            return
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not is_whole:
            is_quoted = isinstance(value, str) and value.strip().lstrip("-").isdigit()
            self._wrong_type(value, "a whole number", at, "Remove the quotes." if is_quoted else "")
            return
        assert isinstance(value, int | float)
        low, high = kind.ge, kind.le
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"between {low} and {high}" if low is not None and high is not None else f"at least {low}"
            self._add(at, f"{self._show(value)} is not {span}.", f"Use a number {span}.")

    def _decimal(self, value: object, kind: inspect.FloatType, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            is_quoted = isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdigit()
            self._wrong_type(value, "a number", at, "Remove the quotes." if is_quoted else "")
            return
        bounds = (
            (f"greater than {kind.gt:g}" if kind.gt is not None else "", kind.gt is None or value > kind.gt),
            (f"at least {kind.ge:g}" if kind.ge is not None else "", kind.ge is None or value >= kind.ge),
            (f"at most {kind.le:g}" if kind.le is not None else "", kind.le is None or value <= kind.le),
        )
        if not all(holds for _, holds in bounds):
            span = " and ".join(words for words, _ in bounds if words)
            self._add(at, f"{self._show(value)} is not {span}.", f"Use a number {span}.")

    def _size(self, size: int, low: int | None, high: int | None, what: str, at: str) -> None:
        if low is not None and size < low:
            wanted = "be empty" if low == 1 else f"have less than {low} {what}"
            self._add(at, f"It must not {wanted}.", "Fill it in, or remove the field if it is optional.")
        if high is not None and size > high:
            self._add(at, f"It has {size} {what}; at most {high} are allowed.", "Shorten or split it.")

    def _wrong_type(self, value: object, wanted: str, at: str, hint: str = "") -> None:
        is_open = value is None or isinstance(value, dict | list)
        got = _type_name(value) if is_open or self._is_secret else f"{_type_name(value)} {self._show(value)}"
        self._add(at, f"It must be {wanted}, not {got}.", hint or f"Write {wanted} here.")

    def _show(self, value: object) -> str:
        if self._is_secret:
            return "The value"
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}…"

    def _add(self, at: str, message: str, hint: str) -> None:
        self.findings.append(Finding(path=at, message=message, hint=hint))


def _forbids_unknown(kind: inspect.StructType) -> bool:
    return bool(kind.cls.__struct_config__.forbid_unknown_fields)


def _fits(value: object, kind: inspect.Type) -> bool:
    plain = kind.type if isinstance(kind, inspect.Metadata) else kind
    return isinstance(plain, inspect.StrType) is isinstance(value, str)


def _type_name(value: object) -> str:
    names: dict[type, str] = {dict: "a mapping", list: "a list", str: "the text", bool: "the value", int: "the number"}
    return "empty (null)" if value is None else names.get(type(value), "the number")


def _purpose(kind: inspect.Type) -> str:
    plain: Any = kind.type if isinstance(kind, inspect.Metadata) else kind
    if isinstance(plain, inspect.LiteralType):
        return ": one of " + ", ".join(str(choice) for choice in plain.values)
    if isinstance(plain, inspect.VarTupleType):
        return ": a list"
    if isinstance(plain, inspect.StructType | inspect.DictType):
        return ": a mapping"
    return ""


def _pattern_hint(pattern: str, value: str) -> str:
    if value != value.strip():
        return "Remove the blanks or line breaks around it (a YAML block `|` ends in a line break; `|-` does not)."
    if value != value.lower() and re.search(pattern, value.lower()):
        return f"Write it in lower case: {value.lower()!r}."
    if pattern == scalars.DURATION:
        return "Use whole numbers with the units h, m, s and ms."
    return "Correct it."


def from_conversion(error: msgspec.ValidationError, at: str) -> Finding:
    """Report a failed conversion in msgspec's own words, for the case that the walk found nothing to say."""
    return Finding(path=at, message=f"{error}.", hint="Compare it with the reference of this kind.")
