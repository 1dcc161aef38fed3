"""The suite's data: where it lies, and what a case is.

Talks to the file system. Cases and steps stay plain JSON, as the suite's README describes them; `Case` names what the
runner decides by.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from tests.support.echo_http import Pod

Json = dict[str, Any]

_VARIABLE = "SEAWALL_CONFORMANCE"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the suite."""

    short_name: str
    features: tuple[str, ...]
    profiles: tuple[str, ...]
    support: str
    manifests: tuple[str, ...]
    steps: tuple[Json, ...]
    file_mode: str
    provisional: bool
    description: str = ""


class Suite:
    """All of the data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def cases(self) -> dict[str, Case]:
        """Every case of index.json, in its order."""
        names = [entry["short_name"] for entry in self._read("index.json")["cases"]]
        return {name: msgspec.convert(self._read(f"cases/{name}.json"), Case) for name in names}

    @functools.cached_property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(msgspec.convert(list(self._read("endpoints.json")["pods"].values()), list[Pod]))

    @functools.cached_property
    def services(self) -> tuple[Json, ...]:
        return tuple(self._read("endpoints.json")["services"].values())

    @functools.cached_property
    def generated(self) -> tuple[Json, ...]:
        """Secrets and ConfigMaps to be made."""
        return tuple(self._read("generated.json")["objects"])

    def manifest(self, name: str) -> str:
        return (self.folder / "manifests" / name).read_text(encoding="utf-8")

    def _read(self, name: str) -> Json:
        data: Json = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return data


def suite() -> Suite:
    """Find the data. Raises FileNotFoundError, saying where it was looked for, if it is not there."""
    named = os.environ.get(_VARIABLE)
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "conformance"
    if not (folder / "index.json").is_file():
        raise FileNotFoundError(
            f"the conformance suite's data is not in {folder} (no index.json there): "
            f"put it there, or say with {_VARIABLE} where it is."
        )
    return Suite(folder)
