"""Errors, in three families by who must act.

    SeawallError
    ├── ConfigError        the operator must change something; carries where and how
    ├── UnavailableError   nobody yet: try again later; carries when
    └── InvariantError     we must: a bug

A resource that is wrong is no exception but a condition (`gateway.status`): all mistakes are reported at once.
Pure.
"""

from seawall.kit.place import Place
from seawall.kit.units import Seconds


class SeawallError(Exception):
    """What Seawall raises on purpose."""


class ConfigError(SeawallError):
    """Something an operator wrote or set up cannot work.

    Args:
        message: a full sentence: what is wrong.
        place: where it was written, if it was written.
        hint: what to do next.
    """

    def __init__(self, message: str, *, place: Place | None = None, hint: str = "") -> None:
        self.message = message
        self.place = place
        self.hint = hint
        where = f"{place}: " if place is not None else ""
        then = f" {hint}" if hint else ""
        super().__init__(f"{where}{message}{then}")


class UnavailableError(SeawallError):
    """Somebody we need is not there now; the same call may succeed later."""

    def __init__(self, message: str, *, retry_after: Seconds | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class InvariantError(SeawallError):
    """Something that cannot happen has happened: a bug in Seawall."""
