"""Change report: what a candidate changes, how risky that is, and what the guards say.

Pure. `envoy.diff` finds the differences, `rollout.risk` sums them up, `rollout.guards` judges; `seawall diff` and every
rollout show it.
"""

from typing import Literal

import msgspec

from seawall.kit.units import Instant
from seawall.xds.resource import Ref

Risk = Literal["R0", "R1", "R2", "R3"]
"""R0: endpoints within bounds. R1: routes, clusters, one tenant. R2: filters, any reorder, limits, switches, data.
R3: listeners, bootstrap, overload; and whatever cannot be classified. Computed, never declared."""

Subject = Literal[
    "listener", "filter", "host", "route", "cluster", "endpoints", "secret", "extension", "runtime", "limits", "other"
]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was, in words: `name` is what people call it (a hostname, a socket), `detail` a sentence,
    `why` the reason for its class, `origins` the objects that it was built from (`Kind/namespace/name`)."""

    subject: Subject
    action: Literal["added", "removed", "changed", "reordered"]
    name: str
    detail: str
    risk: Risk
    why: str
    origins: tuple[str, ...] = ()
    ref: Ref | None = None


class Blast(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it can hurt. `share` is the part of the last hour's requests that went to the touched hosts, None where nobody
    counted; `drained` are the sockets whose connections end, with how many were open when we looked (-1: unknown). Where only
    some filter chains of a socket lose theirs, its name is followed by the chain's, and the number is that of the socket."""

    hosts: int = 0
    hosts_total: int = 0
    tenants: tuple[str, ...] = ()
    share: float | None = None
    drained: tuple[tuple[str, int], ...] = ()


class GuardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one guard says. `refuse`: this may not go out. `hold`: somebody must say yes first. `warn`: go, but know it.

    `keep`: the resources that should stay as they were, so that the rest may go. `override` names who lifted it.
    """

    guard: str
    title: str
    verdict: Literal["pass", "warn", "hold", "refuse"]
    message: str = ""
    remedy: str = ""
    keep: tuple[Ref, ...] = ()
    override: str = ""


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody takes it upon himself: guard, who, why, until when. An event of the history."""

    guard: str
    who: str
    reason: str
    until: Instant
    candidate: str = ""
    """Only for this bundle; empty: for any."""


class ChangeReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `differences` is cut at MOST_DIFFERENCES, the riskiest first; `counts` counts them all, as
    `{"host added": 3}`; `is_cut` says that there were more."""

    base: str
    candidate: str
    risk: Risk
    why: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    counts: dict[str, int] = {}
    is_cut: bool = False
    blast: Blast = Blast()
    guards: tuple[GuardResult, ...] = ()
    origins: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    """Those of the origins that were written last, where others were written before: whom to suspect first."""

    @property
    def verdict(self) -> Literal["pass", "warn", "hold", "refuse"]:
        """The strictest word of a guard that nobody has overridden."""
        order: tuple[Literal["pass", "warn", "hold", "refuse"], ...] = ("pass", "warn", "hold", "refuse")
        return max((one.verdict for one in self.guards if not one.override), key=order.index, default="pass")


MOST_DIFFERENCES = 500
