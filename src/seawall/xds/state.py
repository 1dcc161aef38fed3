"""The state of a stream as others may see it: for status pages and metrics. Pure; bounded, whatever the client holds."""

import msgspec

from seawall.xds.events import Rejected
from seawall.xds.resource import Ref, TypeUrl

MOST_LISTED = 100
"""So many names are listed at most; the numbers beside them are complete."""


class TypeState(msgspec.Struct, frozen=True, kw_only=True):
    """One type of a stream, in numbers."""

    type_url: TypeUrl
    is_wildcard: bool
    names: int
    acked: int
    pending: int
    in_flight: int
    rejected: int


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """A stream at a moment. `applied` is the last version acknowledged whole, `version` the one wanted.

    `awaited` counts the resources that others wait for, `retiring` those kept at the client only because they may be in
    use there.
    """

    version: str
    applied: str
    types: tuple[TypeState, ...]
    awaited: int
    retiring: int
    retirements: tuple[Ref, ...]
    rejected: int
    rejections: tuple[Rejected, ...]
