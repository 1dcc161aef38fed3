"""Finding: a detector says that something looks bad, or that it only looks so, and shows the numbers.

Pure records. Previous room: `detect.detectors`. Next room: `detect.judge` makes a verdict of it, or not.
"""

from typing import Literal

import msgspec

from seawall.detect.scope import Scope
from seawall.kit.units import Seconds

Twin = Literal["", "flash-crowd", "retry-storm"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A number beside what it is normally. `samples` are ids of requests that somebody may look up."""

    what: str
    value: float
    baseline: float
    window: Seconds
    samples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} {self.value:.4g} against {self.baseline:.4g} normally, over {self.window:g} s"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looks bad, and why.

    Args:
        score: how sure the detector is, 0 to 1.
        excess: requests a second that would not be there.
        coverage: the share of its route's excess that this explains.
        most: the highest rung that this kind of evidence may carry.
        allowed: requests a second that the scope has a right to: what a limit leaves it.
        per_client: whether `allowed` is meant for each client in the scope, or for all of them together.
        ignore_query: whether it would help to leave the query out of the cache's key.
        needs_baseline: whether it is only bad against what is normal; else it is bad by itself.
        twin: no attack, though it looks like one: who reads it protects the scope instead.
    """

    detector: str
    scope: Scope
    score: float
    reason: str
    evidence: tuple[Evidence, ...] = ()
    excess: float = 0.0
    coverage: float = 1.0
    most: int = 7
    allowed: float = 0.0
    per_client: bool = False
    ignore_query: bool = False
    needs_baseline: bool = True
    twin: Twin = ""
