"""Door: the file in which Envoy reads what share of new requests it turns away. Writes it, in Envoy's folder."""

from pathlib import Path

from seawall.envoy.bootstrap import REFUSED_FILE


def prepare(folder: Path) -> None:
    """Have the file: an Envoy whose file is missing does not start."""
    if not (folder / REFUSED_FILE).exists():
        write(folder, 0.0)


def write(folder: Path, refused: float) -> None:
    """Say what share is turned away. Renamed into place: Envoy looks for that, and never reads half a number."""
    file = folder / REFUSED_FILE
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_suffix(".fresh")
    fresh.write_text(f"{refused:.2f}\n")
    fresh.rename(file)
