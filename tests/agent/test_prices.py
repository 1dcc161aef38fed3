"""Prices: files that are there before Envoy is, and are never half."""

import json
from pathlib import Path

from seawall.agent.prices import prepare, write
from seawall.fleet.quota import SCALE, SLOTS


def _cost(folder: Path, slot: int) -> tuple[str, int]:
    (found,) = json.loads((folder / f"quota/{slot}.json").read_text())["resources"]
    return found["name"], int(found["generic_secret"]["secret"]["inline_string"])


def test_every_slot_has_a_file_with_the_whole_limit(tmp_path: Path) -> None:
    prepare(tmp_path)

    assert [_cost(tmp_path, slot) for slot in range(SLOTS)] == [(f"quota-{slot}", SCALE) for slot in range(SLOTS)]


def test_what_was_told_before_stays_when_envoy_is_started_again(tmp_path: Path) -> None:
    prepare(tmp_path)
    write(tmp_path, 3, 7)

    prepare(tmp_path)

    assert _cost(tmp_path, 3) == ("quota-3", 7)
    assert not (tmp_path / "quota/fresh").exists()
