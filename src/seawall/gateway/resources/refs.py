"""References from one object to another, and label selectors.

Pure. `namespace` None means the namespace of the object that refers.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from seawall.gateway.resources.scalars import Group, Kind, Namespace, ObjectName, Port, SectionName, Weight

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
EXPERIMENTAL_GROUP: Final = "gateway.networking.x-k8s.io"
OWN_GROUP: Final = "seawall.dev"


class ParentReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The Gateway or ListenerSet that a route attaches to, or one section or port of it."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: Namespace | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: Port | None = None


class ParentGatewayReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The Gateway that a ListenerSet adds listeners to."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: Namespace | None = None
    name: ObjectName


class BackendObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A backend without a share of the requests: where copies or questions go."""

    group: Group = ""
    kind: Kind = "Service"
    namespace: Namespace | None = None
    name: ObjectName
    port: Port | None = None


class BackendRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A backend and its share."""

    group: Group = ""
    kind: Kind = "Service"
    namespace: Namespace | None = None
    name: ObjectName
    port: Port | None = None
    weight: Weight = 1


class SecretObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A certificate with its key."""

    group: Group = ""
    kind: Kind = "Secret"
    namespace: Namespace | None = None
    name: ObjectName


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Any object, named in full."""

    group: Group
    kind: Kind
    namespace: Namespace | None = None
    name: ObjectName


class LocalObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Any object of the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class LocalPolicyTargetReferenceWithSectionName(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What a policy applies to: an object of the same namespace, or one section of it (a Service's named port)."""

    group: Group
    kind: Kind
    name: ObjectName
    section_name: SectionName | None = None


class LabelSelectorRequirement(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One condition on a label; `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of it must hold; empty selects everything."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
