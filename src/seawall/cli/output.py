"""Output: how the commands speak: text for people, JSON for programs, exit codes for scripts.

Writes to stdout and stderr. Colours only on a terminal that wants them (https://no-color.org).
"""

import os
import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
from typing import Any, NoReturn, TextIO

import typer


class Exit(IntEnum):
    """What a command's exit code means; documented in `seawall --help`."""

    OK = 0
    PROBLEMS = 1
    CANNOT = 2


class Format(StrEnum):
    """How to print a result."""

    TEXT = "text"
    JSON = "json"


class Style(StrEnum):
    """What a piece of text is; the terminal's colours follow."""

    ERROR = "1;31"
    WARNING = "1;33"
    GOOD = "32"
    STRONG = "1"
    FAINT = "2"


class Printer:
    """Prints on one stream, with colours if it is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._has_colours = self._stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, style: Style) -> str:
        return f"\x1b[{style.value}m{text}\x1b[0m" if self._has_colours and text else text

    def line(self, text: str = "") -> None:
        self._stream.write(text + "\n")

    def flush(self) -> None:
        self._stream.flush()

    def table(self, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """Print columns as wide as they need; colour codes do not count."""
        every = [tuple(self.paint(head, Style.FAINT) for head in heads), *rows]
        widths = [max(visible_length(row[column]) for row in every) for column in range(len(heads))]
        for row in every:
            cells = [
                cell + " " * (width - visible_length(cell)) for cell, width in zip(row[:-1], widths[:-1], strict=True)
            ]
            self.line("  " + "  ".join([*cells, row[-1]]).rstrip())


def visible_length(text: str) -> int:
    """Count the characters that a terminal shows."""
    return sum(len(part) for part in _without_codes(text))


def _without_codes(text: str) -> Iterator[str]:
    first, *others = text.split("\x1b[")
    yield first
    for other in others:
        yield other.partition("m")[2]


def print_json(data: object) -> None:
    """Print a result for programs."""
    import msgspec  # noqa: PLC0415 - `seawall --help` need not wait for it

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def plain(record: object) -> Any:
    """Turn a record into plain JSON data."""
    import msgspec  # noqa: PLC0415 - see above

    return msgspec.to_builtins(record)


def fail(message: str, hint: str = "") -> NoReturn:
    """Say why the command cannot run, and end it."""
    printer = Printer(sys.stderr)
    printer.line(f"{printer.paint('error:', Style.ERROR)} {message}")
    if hint:
        printer.line(f"  → {hint}")
    raise typer.Exit(Exit.CANNOT)
