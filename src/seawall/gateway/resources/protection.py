"""ProtectionPolicy (`seawall.dev/v1alpha1`): whether what protection decides is done, how far it may go, and whom it never touches.

Pure. Without one, Seawall learns and only says what it would do. There is one decision for the whole fleet, so one policy is in
force for a control plane, whichever Gateway it is attached to.

    apiVersion: seawall.dev/v1alpha1
    kind: ProtectionPolicy
    metadata: {name: shop, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: Gateway, name: edge}
      mode: enforce
      highest: deny
      allow: {clients: [192.0.2.0/24]}
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import Duration

_Clients = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=1000)]
_Values = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=1024)], ...], Meta(max_length=1000)]


class Floors(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Below these nothing is an attack, however unusual it is.

    `requests`: of a route, in a second. `clientRequests`: of one client, in a second, over 8 seconds. `originSeconds`: of the
    origin's time that a route takes in a second. `failedLogins`: in a second, over a minute.
    """

    requests: Annotated[float, Meta(ge=1, le=1_000_000)] = 50.0
    client_requests: Annotated[float, Meta(ge=1, le=1_000_000)] = 25.0
    origin_seconds: Annotated[float, Meta(ge=0.1, le=1_000_000)] = 8.0
    failed_logins: Annotated[float, Meta(ge=0.1, le=1_000_000)] = 1.0


class Whose(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose requests: one of these is enough. `clients` are addresses or networks, `paths` are whole and without a query,
    `tokens` are API keys as `seawall top` shows them."""

    clients: _Clients = ()
    paths: _Values = ()
    tokens: _Values = ()


class Budgets(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How much all automatic verdicts together may do. `denied`: the share of a route's normal requests that they may deny.
    `verdicts`: so many at a time; people may add to them up to 250,000."""

    denied: Annotated[float, Meta(ge=0, le=0.5)] = 0.05
    verdicts: Annotated[int, Meta(ge=1, le=250_000)] = 100_000


class TokenQuota(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Requests a second that an API key has a right to: below it, it is no outlier; above, it is, whatever others do."""

    token: Annotated[str, Meta(min_length=1, max_length=1024)]
    requests: Annotated[float, Meta(gt=0, le=1_000_000)]


class ProtectionPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the fleet is protected.

    The oldest policy whose Gateway is ours is in force, for all that the edges serve. `mode: observe` says what would be done,
    `enforce` does it. `highest` is the hardest thing that is done to anybody without a person: nobody is limited under `tag`,
    nobody refused under `limit`. `sensitivity` 2 asks for half the excess, 0.5 for twice of it. For `coldStart` from the first
    request nobody is denied, because little is known. `allow` is never touched; to deny what is in `protected`, a person has to
    say so. A person's own deny goes before both.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    mode: Literal["observe", "enforce"] = "observe"
    highest: Literal["tag", "limit", "tarpit", "deny", "drop"] = "drop"
    sensitivity: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
    floors: Floors = Floors()
    cold_start: Duration = "15m"
    allow: Whose = Whose()
    protected: Whose = Whose()
    budgets: Budgets = Budgets()
    quotas: Annotated[tuple[TokenQuota, ...], Meta(max_length=1000)] = ()
