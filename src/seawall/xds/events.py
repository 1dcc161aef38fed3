"""Events and actions of a delta stream: what a client did, what to do about it.

Pure. Events are past, actions imperative; every event says when, because the machine has no clock.
Next room: `xds.stream` turns the ones into the others.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from seawall.kit.units import Instant
from seawall.xds.resource import Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import Change, Snapshot


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """The client changed what it wants of a type, or asked for a type for the first time.

    `initial_versions` is what it still holds from an earlier stream; it counts only in the first request of a type.
    """

    at: Instant
    type_url: TypeUrl
    subscribe: tuple[ResourceName, ...] = ()
    unsubscribe: tuple[ResourceName, ...] = ()
    initial_versions: Mapping[ResourceName, str] = {}


class Acked(msgspec.Struct, frozen=True, kw_only=True):
    """The client holds what the response with this nonce said."""

    at: Instant
    type_url: TypeUrl
    nonce: str


class Nacked(msgspec.Struct, frozen=True, kw_only=True):
    """The client refused the response with this nonce, or a part of it: it says why, not which."""

    at: Instant
    type_url: TypeUrl
    nonce: str
    message: str


class SnapshotChanged(msgspec.Struct, frozen=True, kw_only=True):
    """There is a newer snapshot; `change` is all that differs from the one before."""

    at: Instant
    snapshot: Snapshot
    change: Change


class Ticked(msgspec.Struct, frozen=True, kw_only=True):
    """Time has passed. Due at `DeltaStream.wake_at`, harmless at any other time."""

    at: Instant


Event = Subscribed | Acked | Nacked | SnapshotChanged | Ticked


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Send one DeltaDiscoveryResponse."""

    type_url: TypeUrl
    nonce: str
    resources: tuple[Resource, ...] = ()
    removed: tuple[ResourceName, ...] = ()
    system_version: str = ""


Cause = Literal["refused", "missing", "stuck"]


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Report a resource that the client does not run.

    refused: the client said no, in the words of `message`; this version is not sent again.
    missing: it refers to a resource that the snapshot does not hold; it is sent when the other comes.
    stuck:   it was sent but is not acknowledged in time; what refers to it is held back, all else goes on.
    """

    ref: Ref
    version: str
    message: str
    cause: Cause


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """Report that a rejected resource is well again, or gone."""

    ref: Ref


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """Report that the client holds everything that it wants of this version; once for each change of version."""

    version: str


Action = Send | Rejected | Recovered | Applied
