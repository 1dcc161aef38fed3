"""The Gateway API's schemas, which lie beside the repository."""

from pathlib import Path
from typing import Any

import yaml

from seawall.gateway.resources.kinds import SHAPES

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "gateway-api-crds"


def schema_of(kind: str) -> dict[str, Any]:
    assert SCHEMAS.is_dir(), f"{SCHEMAS} is missing: the schemas of the Gateway API must lie beside the repository."
    for file in sorted(SCHEMAS.glob(f"gateway.networking*_{kind.lower()[:-1]}*.yaml")):
        crd = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        if crd.get("kind") == "CustomResourceDefinition" and crd["spec"]["names"]["kind"] == kind:
            return crd  # type: ignore[no-any-return]  # YAML is untyped
    raise AssertionError(f"No schema for {kind} in {SCHEMAS}.")


def spec_schema(kind: str) -> dict[str, Any]:
    versions = {version["name"]: version for version in schema_of(kind)["spec"]["versions"]}
    best = versions[SHAPES[kind].versions[0]]
    return best["schema"]["openAPIV3Schema"]["properties"]["spec"]  # type: ignore[no-any-return]  # YAML is untyped
