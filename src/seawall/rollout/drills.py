"""Drills: which positions a kill switch has stood in, learned from the Perimeters that were in force.

Pure. A position counts once the switch has stood in it for `LONG_ENOUGH`: edges had it, and somebody would have noticed. A switch
that leaves the Perimeter, or becomes another key or value, has not been drilled.
Next room: `guards.switches` holds a switch that is thrown and was not drilled in both positions.
"""

from collections.abc import Mapping

import msgspec

from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant, Seconds

LONG_ENOUGH = Seconds(60.0)


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """Where a switch stands, since when, and until when it last stood in each position long enough."""

    what: str
    is_on: bool
    since: Instant
    on_until: Instant = Instant(0.0)
    off_until: Instant = Instant(0.0)


def stands(known: Mapping[str, Stand], spec: PerimeterSpec, at: Instant) -> dict[str, Stand]:
    """Take in a Perimeter."""
    found = {}
    for switch in spec.switches:
        what = f"{switch.key}={switch.value}"
        before = known.get(switch.name)
        if before is None or before.what != what:
            before = Stand(what=what, is_on=switch.is_on, since=at)
        elif before.is_on != switch.is_on:
            before = msgspec.structs.replace(_weighed(before, at), is_on=switch.is_on, since=at)
        found[switch.name] = before
    return found


def positions(stand: Stand) -> dict[bool, Instant]:
    """Say which positions were left after having been stood in long enough, and when."""
    both = {True: stand.on_until, False: stand.off_until}
    return {is_on: at for is_on, at in both.items() if at}


def _weighed(stand: Stand, at: Instant) -> Stand:
    if at - stand.since < LONG_ENOUGH:
        return stand
    return msgspec.structs.replace(stand, **{"on_until" if stand.is_on else "off_until": at})
