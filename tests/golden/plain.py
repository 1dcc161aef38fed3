"""Records as short plain data: what has its default is left out, secrets do not show."""

from collections.abc import Mapping
from typing import Any

import msgspec

from seawall.kit.secret import Secret


def plain(value: object) -> Any:
    """Turn a record into what YAML can say, without what goes without saying."""
    if isinstance(value, msgspec.Struct):
        tag = {"type": value.__struct_config__.tag} if value.__struct_config__.tag else {}
        fields = msgspec.structs.fields(value)
        return tag | {
            field.encode_name: plain(said) for field in fields if (said := getattr(value, field.name)) != field.default
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "***" if isinstance(value, Secret) else value
