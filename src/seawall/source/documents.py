"""Documents: the single objects in what a file holds: one per document, or the items of a `kind: List`.

No I/O.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from seawall.source.locate import Path


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One object as written: in which document of its file, where in there, and what (None where only the place counts)."""

    number: int
    prefix: Path = ()
    value: Any = None


def documents(values: list[Any]) -> Iterator[Document]:
    """Go through all objects; empty documents are none."""
    for number, value in enumerate(values):
        if _is_list(value):
            for index, item in enumerate(value["items"]):
                yield Document(number=number, prefix=("items", index), value=item)
        elif value is not None:
            yield Document(number=number, value=value)


def _is_list(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        return False
    kind = value.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("apiVersion"), str)
