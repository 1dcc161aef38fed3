"""ProtectionPolicy (`seawall.dev/v1alpha1`): what is done about floods and abusive clients, and how far it may go.

Pure.

    apiVersion: seawall.dev/v1alpha1
    kind: ProtectionPolicy
    metadata: {name: shop, namespace: edge}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: Gateway, name: shop}
      mode: enforce
      allow:
      - {client: 192.0.2.0/24}
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import Duration

ProtectionMode = Literal["observe", "enforce"]
HighestAction = Literal["tag", "limit", "tarpit", "deny", "drop"]
_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Clients(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Requests that match all that is said here: by `client` (an address or a network), `host`, `path` (without the query,
    with `*` for a part that varies), `agent` (the User-Agent, whole) or `ja4` (its first two parts)."""

    client: _Text | None = None
    host: _Text | None = None
    path: _Text | None = None
    agent: _Text | None = None
    ja4: _Text | None = None


class Floors(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Below these nothing is an attack, whatever is normal: requests a second of a route (`route`) and of one client over
    8 s (`client`), seconds of a backend's time that a route takes in a second (`cost`), refused logins a second over a
    minute (`failures`)."""

    route: Annotated[float, Meta(gt=0, le=1e9)] = 50.0
    client: Annotated[float, Meta(gt=0, le=1e9)] = 25.0
    cost: Annotated[float, Meta(gt=0, le=1e9)] = 8.0
    failures: Annotated[float, Meta(gt=0, le=1e9)] = 1.0


class ProtectionPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How protection behaves.

    `mode`: `observe` (the default) says what would be done and does nothing; `enforce` does it. `highest` is as far as an
    automatic verdict may go, `drop` by default; people may go further. `sensitivity` 2 asks for half the excess, 0.5 for
    twice of it. `learning`: for so long what is normal is provisional, and nobody is denied because of it. Who is in
    `allow` is never touched, who is in `protected` never denied without a person. `deniedShare` bounds what of a route's
    normal requests all automatic denies together may touch, `maxVerdicts` how many automatic verdicts there are at a time.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    mode: ProtectionMode = "observe"
    highest: HighestAction = "drop"
    sensitivity: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
    floors: Floors = Floors()
    learning: Duration = "15m"
    allow: Annotated[tuple[Clients, ...], Meta(max_length=256)] = ()
    protected: Annotated[tuple[Clients, ...], Meta(max_length=256)] = ()
    denied_share: Annotated[float, Meta(ge=0, le=1)] = 0.05
    max_verdicts: Annotated[int, Meta(ge=1, le=200_000)] = 100_000
