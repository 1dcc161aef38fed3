"""The golden cases: folders with a story in `in.yaml`."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from seawall.gateway.decode import decode
from seawall.gateway.objects import Object
from seawall.kit.units import Instant

_HERE = Path(__file__).parent
CASES = sorted(path for path in (_HERE / "gateway").iterdir() if path.is_dir())


def load(folder: Path) -> list[Object]:
    """Decode the objects of a case, each created a second after the one before."""
    found: list[Object] = []
    for index, document in enumerate(yaml.safe_load_all((folder / "in.yaml").read_text())):
        obj = decode(_filled(document))
        assert isinstance(obj, Object), obj
        found.append(aged(obj, index))
    return found


def aged(obj: Object, at: int) -> Object:
    """Say when an object was created."""
    return msgspec.structs.replace(obj, meta=msgspec.structs.replace(obj.meta, created=Instant(float(at))))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one) for one in value]
    if value in ("{certificate}", "{key}"):
        return (_HERE / f"{value[1:-1]}.pem").read_text()
    return value
