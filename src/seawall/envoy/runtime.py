"""Runtime: the switches that are on, as the one layer of Envoy's runtime that is ours (RTDS).

Pure. The resource is there even with no switch on: every Envoy asks for it by name and is to get an answer that says so.
"""

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from seawall.envoy.bootstrap import RUNTIME_LAYER
from seawall.envoy.proto import as_json, decode, from_json
from seawall.gateway.graph import RuntimeValue
from seawall.kit.digest import digest
from seawall.xds.resource import RUNTIME, Ref, Resource, ResourceName

RUNTIME_REF = Ref(RUNTIME, ResourceName(RUNTIME_LAYER))
_MESSAGE = "envoy.service.runtime.v3.Runtime"


def runtime(values: Mapping[str, RuntimeValue]) -> Resource:
    """Build the layer."""
    message = from_json(_MESSAGE, {"name": RUNTIME_LAYER, "layer": dict(values)})
    body = message.SerializeToString(deterministic=True)
    return Resource(type_url=RUNTIME, name=RUNTIME_REF.name, version=digest(body), body=body)


def switch(resource: Resource, key: str, otherwise: float) -> float:
    """Return the number that a key has in a layer."""
    try:
        layer = as_json(decode(_MESSAGE, resource.body)).get("layer", {})
    except DecodeError:
        return otherwise
    found = layer.get(key, otherwise)
    return float(found) if isinstance(found, int | float) else otherwise
