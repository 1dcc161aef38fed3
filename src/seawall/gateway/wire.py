"""Wire: Secrets and ConfigMaps as they are written, with bytes in base64, and what becomes of them.

Pure.
"""

import base64
import binascii
from collections.abc import Mapping

import msgspec

from seawall.gateway.mistakes import child
from seawall.gateway.resources.core import ConfigMapSpec, SecretSpec
from seawall.gateway.rules.rule import Finding, Findings
from seawall.kit.secret import Secret


class RawSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Secret as written: `data` in base64, `stringData` as it is; the latter wins."""

    type: str = "Opaque"
    data: Mapping[str, str] = {}
    string_data: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "RawSecret(***)"


class RawConfigMap(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A ConfigMap as written: `binaryData` in base64."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, str] = {}


def secret(raw: RawSecret, findings: Findings) -> SecretSpec:
    data = {key: Secret(value) for key, value in _decoded(raw.data, "$.data", findings).items()}
    data |= {key: Secret(value.encode()) for key, value in raw.string_data.items()}
    return SecretSpec(type=raw.type or "Opaque", data=data)


def config_map(raw: RawConfigMap, findings: Findings) -> ConfigMapSpec:
    return ConfigMapSpec(data=raw.data, binary_data=_decoded(raw.binary_data, "$.binaryData", findings))


def _decoded(values: Mapping[str, str], at: str, findings: Findings) -> dict[str, bytes]:
    decoded = {}
    for key, value in values.items():
        try:
            # Go's decoder passes over line breaks, so manifests have them.
            decoded[key] = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            message = f"The value of {key!r} is not base64."
            hint = "Encode it, or write it as it is under " + ("stringData." if at == "$.data" else "data.")
            findings.append(Finding(path=child(at, key), message=message, hint=hint))
    return decoded
