"""Prices: the files in which Envoy reads what a request costs in the buckets of limits that the fleet shares.

Writes files in Envoy's folder, `quota/<slot>.json`, which Envoy takes as secrets by SDS. They are there before it starts: a
configuration that names a missing file is refused.
"""

import json
from pathlib import Path

from seawall.envoy.limits import QUOTA_FOLDER, price
from seawall.fleet.quota import SCALE, SLOTS


def prepare(folder: Path) -> None:
    """Have a file for every slot; what an earlier Envoy was told stays."""
    (folder / QUOTA_FOLDER).mkdir(exist_ok=True)
    for slot in range(SLOTS):
        if not (folder / f"{QUOTA_FOLDER}/{slot}.json").exists():
            write(folder, slot, SCALE)


def write(folder: Path, slot: int, cost: int) -> None:
    """Say what a request costs. Renamed into place: Envoy looks for that, and never reads half a file."""
    fresh = folder / QUOTA_FOLDER / "fresh"
    fresh.write_text(json.dumps(price(slot, cost)))
    fresh.rename(folder / f"{QUOTA_FOLDER}/{slot}.json")
