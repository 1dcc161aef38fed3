"""Native filters: the configuration of an HTTPFilterPolicy against Envoy's own schema, and as Envoy's message.

Pure. `check` is handed to the resolver, so that a mistake is found with its place before any Envoy sees it. What only
Envoy can find out (a script that does not compile) it says when it refuses the listener.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf import json_format

from seawall.envoy.proto import TYPE_PREFIX, from_json, message_names
from seawall.gateway.graph import NativeFilter
from seawall.gateway.mistakes import closest
from seawall.gateway.native import unreadable_filters
from seawall.gateway.objects import Object
from seawall.gateway.rules.rule import Finding
from seawall.gateway.status import Problem, problems

_FILTERS: Final = "envoy.extensions.filters.http."
_NEAR: Final = 3
_ALIKE: Final = 0.75
# The words of google.protobuf.json_format, outermost field first.
_STEP: Final = re.compile(r"^Failed to parse (\w+) field: ")
_AT: Final = re.compile(r' at "?\w+((?:\.\w+|\[\d+\])+)"?')
_UNKNOWN: Final = re.compile(r'Message type "([\w.]+)" has no field named "([^"]+)"')
_FIELDS: Final = re.compile(r"'(\w+)'")


def check(type_url: str, config: Mapping[str, Any]) -> Finding | None:
    """Say what keeps this Envoy from reading a filter's configuration; nothing if it can."""
    name = type_url.removeprefix(TYPE_PREFIX)
    try:
        from_json(name, config)
    except KeyError:
        message = f"The Envoy that Seawall is made for has no HTTP filter {name}."
        return Finding(path='["@type"]', message=message, hint=_nearest(name))
    except json_format.ParseError as error:
        return _explain(name, str(error))
    return None


def unreadable(obj: Object) -> tuple[Problem, ...]:
    """Say of an object from a source what no Envoy could read, so that its last good version stays in force."""
    return problems(obj.key, unreadable_filters(obj, check))


def typed_config(native: NativeFilter) -> dict[str, Any]:
    """Build a filter's configuration, which `check` has passed."""
    name = native.type_url.removeprefix(TYPE_PREFIX)
    built = from_json(name, msgspec.json.decode(native.config))
    return {"type_url": TYPE_PREFIX + name, "value": built.SerializeToString(deterministic=True)}


def _nearest(name: str) -> str:
    known = [one.removeprefix(_FILTERS) for one in message_names() if one.startswith(_FILTERS)]
    found: list[str] = []
    while len(found) < _NEAR and (near := closest(name.removeprefix(_FILTERS), known, cutoff=_ALIKE)):
        known.remove(near)
        found.append(_FILTERS + near)
    if not found:
        return f"Names of filters begin with {_FILTERS}, as in {_FILTERS}lua.v3.Lua; not every build has every filter."
    return f"Did you mean {' or '.join(found)}?"


def _explain(name: str, text: str) -> Finding:
    path = ""
    while (step := _STEP.match(text)) is not None:
        path += f".{step.group(1)}"
        text = text[step.end() :]
    exact = _AT.search(text)
    if exact is not None:
        path = exact.group(1)
    unknown = _UNKNOWN.search(text)
    if unknown is not None:
        fields = _FIELDS.findall(text.partition("Available Fields")[2])
        near = closest(unknown.group(2), fields)
        message = f"The field {unknown.group(2)!r} is unknown in {unknown.group(1)}."
        hint = f"Did you mean {near!r}?" if near else f"Its fields are {', '.join(fields)}."
        return Finding(path=f"{path}.{unknown.group(2)}", message=message, hint=hint)
    said = _AT.sub("", text.partition("\n")[0]).strip(" .")
    message = f"{name} cannot be read: {said}."
    return Finding(path=path, message=message, hint="Compare it with Envoy's documentation of this filter.")
