"""Journal: when each object was first seen, and its generation, so that both survive a restart.

I/O: one file of JSON lines, appended to, so that a change costs one line; rewritten at start when it has grown. It is a
convenience: losing it loses the order of age among objects, nothing else, so no damage to it stops anything.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.kit.digest import digest
from seawall.kit.units import Instant

_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
_WITHOUT_DIGEST: Final = frozenset({"Secret", "ConfigMap", "Namespace"})


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is remembered of one object. `file` is where it came from; empty `file` says that it is gone."""

    key: ObjectKey
    created: Instant
    generation: int
    digest: str = ""
    file: str = ""


def spec_digest(thing: Object) -> str:
    """Name the content of a spec; empty for kinds whose specs hold secrets, or have no generation that matters."""
    if thing.kind in _WITHOUT_DIGEST:
        return ""
    return digest(_ENCODER.encode(thing.spec))


class Journal:
    """The entries of one file. Without a path it remembers nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.trouble = ""

    @property
    def is_kept(self) -> bool:
        return self._path is not None

    def read(self) -> dict[ObjectKey, Entry]:
        """Read what was remembered; lines that are damaged count as never written."""
        if self._path is None:
            return {}
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell(f"cannot be read ({error.strerror})")
            return {}
        entries: dict[ObjectKey, Entry] = {}
        damaged = 0
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.MsgspecError:
                damaged += 1
                continue
            if entry.file:
                entries[entry.key] = entry
            else:
                entries.pop(entry.key, None)
        if damaged:
            self._tell(f"has {damaged} damaged lines, which were passed over")
        if damaged or len(lines) > 2 * len(entries) + 100:
            self._rewrite(entries.values())
        return entries

    def append(self, entries: Iterable[Entry]) -> None:
        """Add to the end. Failing costs the memory, not the change."""
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        if self._path is None or not lines:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            self._tell(f"cannot be written ({error.strerror})")

    def _rewrite(self, entries: Iterable[Entry]) -> None:
        assert self._path is not None
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            fresh.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
            fresh.replace(self._path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            self._tell(f"cannot be written ({error.strerror})")

    def _tell(self, what: str) -> None:
        self.trouble = f"The journal {self._path} {what}: the order of age among objects may be lost at a restart."
