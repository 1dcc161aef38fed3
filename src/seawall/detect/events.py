"""What the protection machine hears, and what it says.

Pure records. Actions are wishes, safe to repeat; `Record` goes to an append-only log, from which `seawall why` answers.
Next room: `app` carries them out.
"""

from typing import Literal

import msgspec

from seawall.detect.scope import Scope
from seawall.detect.settings import Settings
from seawall.detect.sight import Slot
from seawall.detect.verdict import Action, Verdict
from seawall.kit.units import Instant, Seconds

Verb = Literal["add", "remove", "allow", "observe", "enforce"]
What = Literal[
    "excess-began",
    "excess-ended",
    "created",
    "raised",
    "lowered",
    "renewed",
    "enforced",
    "aborted",
    "ended",
    "switched",
    "refused",
    "overlaps",
    "spared",
]


class Configured(msgspec.Struct, frozen=True, kw_only=True, tag="configured"):
    """The policy says how protection behaves."""

    at: Instant
    settings: Settings


class Observed(msgspec.Struct, frozen=True, kw_only=True, tag="observed"):
    """A second of traffic of the whole fleet is complete."""

    at: Instant
    slot: Slot


class Peopled(msgspec.Struct, frozen=True, kw_only=True, tag="peopled"):
    """These edges are there."""

    at: Instant
    edges: tuple[str, ...]


class Commanded(msgspec.Struct, frozen=True, kw_only=True, tag="commanded"):
    """A person says so. `verdict` is the id to remove; `observe` switches everything off, `enforce` on again."""

    at: Instant
    verb: Verb
    who: str
    reason: str = ""
    scope: Scope = Scope()
    action: Action = Action(kind="deny", code=403)
    ttl: Seconds = Seconds(3600.0)
    verdict: str = ""


class Ticked(msgspec.Struct, frozen=True, kw_only=True, tag="ticked"):
    """Time has passed, and no traffic was heard of."""

    at: Instant


Event = Configured | Observed | Peopled | Commanded | Ticked


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Put a verdict into force, instead of an older generation of it. No `edges`: on all; `share`: of the requests there."""

    verdict: Verdict
    edges: tuple[str, ...] = ()
    share: float = 1.0


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, tag="withdraw"):
    """End a verdict everywhere, now."""

    verdict: str
    generation: int
    reason: str


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """Something has happened, for people to read."""

    at: Instant
    what: What
    subject: str
    said: str


ActionToDo = Publish | Withdraw | Record
