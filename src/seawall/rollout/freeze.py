"""Freeze: while it lasts nothing is promoted. A rollback always is.

Pure. Windows stand in the `Perimeter`; people add others (an open incident) by command. An emergency passes a freeze: it is
what emergencies are for.
"""

import msgspec

from seawall.gateway.resources.perimeter import FreezeWindow, instant
from seawall.kit.units import Instant, duration


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """Said by somebody. `until` 0: until somebody thaws it."""

    who: str
    reason: str
    begun_at: Instant
    until: Instant = Instant(0.0)

    def is_over(self, at: Instant) -> bool:
        return bool(self.until) and at >= self.until


def frozen_because(windows: tuple[FreezeWindow, ...], freezes: list[Freeze], at: Instant) -> str:
    """Say in a sentence why nothing may be promoted now; empty if nothing stands against it."""
    for freeze in freezes:
        if not freeze.is_over(at):
            end = "until somebody thaws it" if not freeze.until else f"for {duration(freeze.until - at)} more"
            return f"{freeze.who} has frozen the perimeter {end}: {freeze.reason or 'no reason given'}."
    for window in windows:
        if _instant(window.begins) <= at < _instant(window.until):
            return f"the perimeter is frozen from {window.begins} until {window.until}: {window.reason}."
    return ""


def _instant(time: str) -> Instant:
    """A time that is none (30 February) freezes nothing; `seawall check` has said so."""
    try:
        return instant(time)
    except ValueError:
        return Instant(0.0)
