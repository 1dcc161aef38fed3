"""Grants: may an object of one namespace refer to an object of another?

Pure. Next room: whoever follows a reference (`gateway.secrets`, `gateway.backends`).
"""

from typing import Final

import msgspec

from seawall.gateway.indexes import GRANTS
from seawall.gateway.resources.policies import ReferenceGrantSpec
from seawall.gateway.resources.refs import GATEWAY_GROUP
from seawall.gateway.view import Rule, View


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference across namespaces, as far as a ReferenceGrant looks at it; `from` is of the Gateway API's group."""

    from_kind: str
    from_namespace: str
    group: str
    kind: str
    namespace: str
    name: str


def is_granted(view: View, reference: Reference) -> bool:
    """Say whether some ReferenceGrant in the target's namespace allows it; ask only across namespaces."""
    return any(
        isinstance(grant.spec, ReferenceGrantSpec) and _allows(grant.spec, reference)
        for grant in view.bucket(GRANTS, reference.namespace).values()
    )


def _allows(grant: ReferenceGrantSpec, reference: Reference) -> bool:
    source = (GATEWAY_GROUP, reference.from_kind, reference.from_namespace)
    target = (reference.group, reference.kind)
    return any((from_.group, from_.kind, from_.namespace) == source for from_ in grant.from_) and any(
        (to.group, to.kind) == target and to.name in (None, "", reference.name) for to in grant.to
    )


def grant_hint(reference: Reference) -> str:
    """Say which ReferenceGrant is missing."""
    return (
        f"Add a ReferenceGrant to namespace {reference.namespace} that lets {reference.from_kind} of namespace "
        f"{reference.from_namespace} refer to {reference.kind}, or refer to one in the same namespace."
    )


GRANT: Final = Rule(is_granted)
