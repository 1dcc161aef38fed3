"""Locate: a path inside a document → line and column.

No I/O. Nobody pays for positions while all is well: files are parsed without, and once more when somebody asks.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from seawall.kit.errors import ConfigError
from seawall.kit.place import Place
from seawall.source.parse import event_parser, json_spans, place_at

Path = tuple[str | int, ...]
"""A path taken apart: `$.spec.rules[0]` is ("spec", "rules", 0)."""
_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]|\[(\"(?:[^\"\\]|\\.)*\")\]")


def steps(path: str) -> Path:
    """Take apart a path as problems have it."""
    parts: list[str | int] = []
    for key, index, quoted in _STEP.findall(path):
        parts.append(int(index) if index else key or json.loads(quoted))
    return tuple(parts)


class Marks:
    """The positions in some documents of one file, or in all: of the keys of fields, of the starts of list elements."""

    def __init__(self, file: str, raw: bytes, documents: Iterable[int] | None) -> None:
        self._file = file
        self._marks: dict[tuple[int, Path], Place] = {}
        text = raw.decode("utf-8-sig", errors="replace")
        wanted = None if documents is None else set(documents)
        if file.endswith(".json"):
            self._read_json(text, wanted)
        else:
            self._read(text, wanted, 0, (0, 0))

    def place(self, document: int, path: Path) -> Place:
        """Find the place of a path, or of the nearest thing around it that was written."""
        for length in range(len(path), -1, -1):
            found = self._marks.get((document, path[:length]))
            if found is not None:
                return found
        return Place(file=self._file, line=1, column=1)

    def _read_json(self, text: str, wanted: set[int] | None) -> None:
        try:
            spans = json_spans(self._file, text)
        except ConfigError:
            return
        for number, (start, end) in enumerate(spans):
            if wanted is None or number in wanted:
                origin = place_at(self._file, text, start)
                # JSON is YAML, except that libyaml takes no tabs for blanks; one blank each keeps the columns.
                self._read(text[start:end].replace("\t", " "), {number}, number, (origin.line - 1, origin.column - 1))

    def _read(self, text: str, wanted: set[int] | None, first: int, origin: tuple[int, int]) -> None:
        parser = event_parser(text)
        try:
            number = first - 1
            while (event := parser.get_event()) is not None:
                if isinstance(event, yaml.DocumentStartEvent):
                    number += 1
                    if wanted is None or number in wanted:
                        self._document(parser, number, origin)
        except yaml.YAMLError:
            pass  # What was found until here still helps.
        finally:
            parser.dispose()

    def _document(self, parser: Any, number: int, origin: tuple[int, int]) -> None:
        path: list[str | int] = []
        keys: list[bool] = []  # for each container around: is a key due (mapping), or never (list)?
        kinds: list[bool] = []  # for each container around: is it a mapping?
        while not isinstance(event := parser.get_event(), yaml.DocumentEndEvent | None):
            if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                kinds.pop()
                keys.pop()
                path.pop()
                _advance(path, keys, kinds)
                continue
            if kinds and kinds[-1] and keys[-1]:
                path[-1] = getattr(event, "value", "")
                keys[-1] = False
                self._mark(number, path, event, origin)
                continue
            if not kinds or not kinds[-1]:
                self._mark(number, path, event, origin)
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                kinds.append(is_mapping)
                keys.append(is_mapping)
                path.append("" if is_mapping else 0)
            else:
                _advance(path, keys, kinds)

    def _mark(self, number: int, path: list[str | int], event: Any, origin: tuple[int, int]) -> None:
        line, column = event.start_mark.line, event.start_mark.column
        column += origin[1] if line == 0 else 0
        place = Place(file=self._file, line=line + origin[0] + 1, column=column + 1)
        self._marks.setdefault((number, tuple(path)), place)


def _advance(path: list[str | int], keys: list[bool], kinds: list[bool]) -> None:
    if not kinds:
        return
    if kinds[-1]:
        keys[-1] = True
    else:
        last = path[-1]
        assert isinstance(last, int)
        path[-1] = last + 1
