"""Object: one decoded resource of an operator, whatever its kind.

Pure. `gateway.decode` makes them from plain data; `gateway.resources` holds the shapes of their specs; a source
(`seawall.source`) adds what the API server would have added: generation and creation time.
"""

from collections.abc import Mapping

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.kit.units import Instant


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is. `created` orders conflicts (older wins); `generation` counts changes of the spec."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    generation: int = 1
    created: Instant = Instant(0.0)


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded resource. `spec` is a Struct of `gateway.resources` that fits `kind`, with the CRD's defaults filled in."""

    kind: str
    meta: Meta
    spec: msgspec.Struct

    @property
    def key(self) -> ObjectKey:
        return object_key(self.kind, self.meta.namespace, self.meta.name)


def object_key(kind: str, namespace: str, name: str) -> ObjectKey:
    """Name an object: `Kind/namespace/name`."""
    return ObjectKey(f"{kind}/{namespace}/{name}")
