"""Status: what we think of a resource. A mistake is a value with its place and a remedy, never an exception.

Pure. `resolve` fills it; the shell shows it (`check`, `status`, the console) in the Gateway API's own shape.
"""

from typing import Any, Literal

import msgspec

from seawall.gateway.graph import ObjectKey

ConditionStatus = Literal["True", "False", "Unknown"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in one object.

    `path` is where, inside the object, as `$.spec.rules[0].backendRefs[1].name`; the shell turns it into file:line:column.
    `message` says what is wrong, `hint` what to do. An error keeps something from working; a warning does not.
    """

    object: ObjectKey
    path: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway API condition, without the times (the shell knows when it first saw it)."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What we say of one object: its `status` field as the Gateway API shapes it, and all its problems.

    `body` is plain JSON data: `conditions`, `listeners`, `parents`, `ancestors`, `addresses` … as the kind has them,
    every condition with `observedGeneration` and without `lastTransitionTime`.
    """

    object: ObjectKey
    body: dict[str, Any]
    problems: tuple[Problem, ...] = ()
