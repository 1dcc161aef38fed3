"""HTTPFilterPolicy (`seawall.dev/v1alpha1`): Envoy's own HTTP filters in the chain of a Gateway, in Envoy's own words.

Pure. For what neither the Gateway API nor a kind of ours can say. The filters run in the order written, after all of ours
and before the router.

    apiVersion: seawall.dev/v1alpha1
    kind: HTTPFilterPolicy
    metadata: {name: no-robots, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: Gateway, name: edge}
      filters:
      - name: robots
        typedConfig:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          defaultSourceCode: {inlineString: "function envoy_on_response(h) h:headers():add('x-robots-tag', 'none') end"}
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import FILTER_NAME


class NativeHTTPFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One filter. `typed_config` is its message in the protobuf JSON mapping, with `@type`."""

    name: Annotated[str, Meta(min_length=1, max_length=63, pattern=FILTER_NAME)]
    typed_config: Annotated[Mapping[str, Any], Meta(min_length=1)]


class HTTPFilterPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Envoy's own HTTP filters for all HTTP listeners of a Gateway, or for one (`sectionName`).

    A policy for one listener goes before those for the whole Gateway, which then do not apply to it; of several
    policies for the same target all apply, the filters of older ones first.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    filters: Annotated[tuple[NativeHTTPFilter, ...], Meta(min_length=1, max_length=16)]
