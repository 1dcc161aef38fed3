"""Parse: the bytes of a file → plain JSON data, one value per document.

No I/O. YAML is built from the parser's events: without PyYAML's nodes and tags it takes two thirds of the time (67 µs
instead of 103 for a route of 20 lines), and what must be refused (duplicate keys, alias bombs, endless nesting) is seen
on the way. As Kubernetes does, it reads YAML 1.1's
yes, no, on and off as booleans; as there, times stay text.
"""

import functools
import json
import math
import re
from typing import Any, Final

import yaml

from seawall.kit.errors import ConfigError
from seawall.kit.place import Place

MAX_DEPTH: Final = 100
MAX_ALIASED: Final = 100_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z", re.ASCII)
_OTHER_INT: Final = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+)\Z", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?\Z", re.ASCII)
_NOT_FINITE: Final = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
_TAGS: Final[dict[str, tuple[type, ...]]] = {
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:null": (type(None),),
}
_MERGE: Final = "<<"


def parse(file: str, raw: bytes) -> list[Any]:
    """Read every document. Raises ConfigError, with the place, if one of them cannot be read: then none counts."""
    text = _decode(file, raw)
    documents = _parse_json(file, text) if file.endswith(".json") else _Builder(file).build(text)
    if b"\\u" in raw or b"\\U" in raw or b"\\x" in raw:
        _refuse_surrogates(file, documents)
    return documents


def _decode(file: str, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        place = Place(file=file, line=line, column=column)
        raise ConfigError("The file is not UTF-8.", place=place, hint="Save it as UTF-8.") from error
    found = _CONTROL.search(text)
    if found is not None:
        place = place_at(file, text, found.start())
        message = f"The file has a control character (code {ord(found.group())})."
        raise ConfigError(message, place=place, hint="Remove it; is this a text file?")
    return text


def place_at(file: str, text: str, position: int) -> Place:
    line = text.count("\n", 0, position) + 1
    return Place(file=file, line=line, column=position - (text.rfind("\n", 0, position) + 1) + 1)


def _refuse_surrogates(file: str, documents: list[Any]) -> None:
    rest: list[Any] = list(documents)
    seen: set[int] = set()
    while rest:
        value = rest.pop()
        if isinstance(value, str) and _SURROGATE.search(value):
            message = "An escape in the file stands for half a character (a lone surrogate)."
            raise ConfigError(message, place=Place(file=file), hint="Write the character itself.")
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            rest += [*value, *value.values()] if isinstance(value, dict) else value


def event_parser(text: str) -> Any:
    """Parse YAML into events: by libyaml, or ten times slower where PyYAML came without it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)


# ── YAML ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _yaml_error(file: str, text: str, error: yaml.YAMLError) -> ConfigError:
    """Translate what the YAML parser says."""
    place, message, hint = Place(file=file), str(error), "Correct the file at this place."
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            place = Place(file=file, line=mark.line + 1, column=mark.column + 1)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        if mark is not None and text[mark.index : mark.index + 1] == "\t":
            hint = "Indent with spaces: YAML does not allow tabs there."
    return ConfigError(f"The file is not valid YAML: {message}.", place=place, hint=hint)


class _Builder:
    """Builds the documents of one file from the events of libyaml. Holds no position deeper than its own stack."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._documents: list[Any] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def build(self, text: str) -> list[Any]:
        parser = event_parser(text)
        try:
            self._run(parser)
        except yaml.YAMLError as error:
            raise _yaml_error(self._file, text, error) from error
        finally:
            parser.dispose()
        return self._documents

    def _run(self, parser: Any) -> None:
        next_event = parser.get_event
        while (event := next_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._start(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._anchors = {}

    def _scalar(self, event: Any) -> None:
        self._nodes += 1
        top = self._stack[-1] if self._stack else None
        value: Any = event.value
        if top is not None and top.awaits_key:
            top.set_key(self, event, value)
            return
        if event.tag is not None and event.tag != "!":
            value = self._tagged(event)
        elif event.implicit[0] and len(value) < 64:
            value = plain(value)
            if value is _NOT_JSON:
                raise self._refuse(event, f"{event.value} is no number of JSON.", "Put it in quotes.")
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(top, value)

    def _tagged(self, event: Any) -> Any:
        if event.tag == "tag:yaml.org,2002:str":
            return event.value
        wanted = _TAGS.get(event.tag)
        value = plain(event.value)
        if wanted is None or not isinstance(value, wanted):
            message = f"The tag {event.tag!r} is not supported here."
            raise self._refuse(event, message, "Remove the tag.")
        return value

    def _start(self, event: Any, container: Any) -> None:
        self._nodes += 1
        if self._stack and self._stack[-1].awaits_key:
            raise self._refuse(event, "A key must be text, not a mapping or a list.", "Put it in quotes.")
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(event, f"It is nested deeper than {MAX_DEPTH} levels.", "Flatten it.")
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._refuse(event, f"The tag {event.tag!r} is not supported here.", "Remove the tag.")
        self._stack.append(_Open(container, event.anchor, self._nodes))

    def _end(self) -> None:
        top = self._stack.pop()
        value = top.close()
        if top.anchor is not None:
            self._anchors[top.anchor] = (value, self._nodes - top.since + 1)
        self._add(self._stack[-1] if self._stack else None, value)

    def _alias(self, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.awaits_key:
            raise self._refuse(event, "A key must be text, not an alias.", "Write it out.")
        if event.anchor not in self._anchors:
            message = f"The alias *{event.anchor} stands for nothing, or for what it is itself a part of."
            raise self._refuse(event, message, f"Write &{event.anchor} before it, in the same document.")
        value, size = self._anchors[event.anchor]
        self._nodes += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            message = f"The aliases of the file stand for more than {MAX_ALIASED} values."
            raise self._refuse(event, message, "Write out what they stand for, in several files.")
        self._add(top, value)

    def _add(self, top: "_Open | None", value: Any) -> None:
        if top is None:
            self._documents.append(value)
        elif isinstance(top.container, list):
            top.container.append(value)
        else:
            top.add_value(self, value)

    def _refuse(self, event: Any, message: str, hint: str) -> ConfigError:
        place = Place(file=self._file, line=event.start_mark.line + 1, column=event.start_mark.column + 1)
        return ConfigError(message, place=place, hint=hint)


class _Open:
    """A mapping or list that has begun."""

    __slots__ = ("_key", "_key_event", "_merged", "anchor", "awaits_key", "container", "since")

    def __init__(self, container: Any, anchor: str | None, since: int) -> None:
        self.container = container
        self.anchor = anchor
        self.since = since
        self.awaits_key = isinstance(container, dict)
        self._key = ""
        self._key_event: Any = None
        self._merged: list[dict[str, Any]] = []

    def set_key(self, builder: _Builder, event: Any, key: str) -> None:
        # JSON's keys are text; a key that YAML would read as a number or boolean is taken as it is written.
        if key in self.container:
            message = f"The key {key[:80]!r} stands in this mapping for the second time."
            raise builder._refuse(event, message, "Remove one of the two.")
        self._key, self._key_event, self.awaits_key = key, event, False

    def add_value(self, builder: _Builder, value: Any) -> None:
        self.awaits_key = True
        if self._key == _MERGE and self._key_event.implicit[0]:
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in parts):
                raise builder._refuse(self._key_event, "Only mappings can be merged with <<.", "Correct the alias.")
            self._merged += parts
        else:
            self.container[self._key] = value

    def close(self) -> Any:
        for part in self._merged:
            for key, value in part.items():
                self.container.setdefault(key, value)
        return self.container


_NOT_JSON: Final = object()


@functools.lru_cache(maxsize=16384)
def plain(text: str) -> Any:
    """Read a scalar without quotes as YAML 1.1 does, but for times and base 60, which Go's parser leaves as text too."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    try:
        if _DECIMAL.match(text):
            return int(text.replace("_", ""))
        if _OTHER_INT.match(text):
            digits = text.replace("_", "")
            is_octal = digits.lstrip("+-")[1:2] not in "bx"
            return int(digits, 8) if is_octal else int(digits, 0)
        if _FLOAT.match(text):
            value = float(text.replace("_", ""))
            return value if math.isfinite(value) else _NOT_JSON
    except ValueError:
        return text
    return _NOT_JSON if _NOT_FINITE.match(text) else text


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_json(file: str, text: str) -> list[Any]:
    documents = []
    for start, end in json_spans(file, text):
        if text.count("[", start, end) + text.count("{", start, end) > MAX_DEPTH:
            _refuse_depth(file, text, start, end)
        documents.append(_json_value(file, text, start)[0])
    return documents


def json_spans(file: str, text: str) -> list[tuple[int, int]]:
    """Find where each of the documents, which follow each other without any separator, begins and ends."""
    spans, at = [], 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
            continue
        end = _json_value(file, text, at)[1]
        spans.append((at, end))
        at = end
    return spans


def _json_value(file: str, text: str, at: int) -> tuple[Any, int]:
    def constant(name: str) -> Any:
        raise ConfigError(f"{name} is no number of JSON.", place=Place(file=file), hint="Put it in quotes.")

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            place = place_at(file, text, max(text.rfind(json.dumps(twice)), 0))
            message = f"The key {twice[:80]!r} stands in one mapping for the second time."
            raise ConfigError(message, place=place, hint="Remove one of the two.")
        return value

    try:
        return json.JSONDecoder(parse_constant=constant, object_pairs_hook=mapping).raw_decode(text, at)
    except json.JSONDecodeError as error:
        place = Place(file=file, line=error.lineno, column=error.colno)
        message = f"The file is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}."
        raise ConfigError(message, place=place, hint="Correct the file at this place.") from error
    except (RecursionError, ValueError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        message = f"The file cannot be read as JSON: {what}."
        raise ConfigError(message, place=place_at(file, text, at), hint="Flatten or shorten it.") from error


def _refuse_depth(file: str, text: str, start: int, end: int) -> None:
    depth, is_text, is_escaped = 0, False, False
    for position in range(start, end):
        character = text[position]
        if is_text:
            is_text = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
        elif character == '"':
            is_text = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                message = f"It is nested deeper than {MAX_DEPTH} levels."
                raise ConfigError(message, place=place_at(file, text, position), hint="Flatten it.")
        elif character in "]}":
            depth -= 1
