"""Status: what we think of a resource. A mistake is a value with its place and a remedy, never an exception.

Pure. `resolve` fills it; the shell shows it (`check`, `status`, the console) in the Gateway API's own shape.

A `Fault` is a mistake while it is being found out: it knows the reason that a condition will carry and the path that a
problem will carry. One fault becomes both, so that no condition is False without a problem that says where and what to do.
"""

from collections.abc import Iterable
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


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong: the reason (a word of the Gateway API), a full sentence, where in the object, what to do."""

    reason: str
    message: str
    path: str = "$"
    hint: str = ""
    severity: Literal["error", "warning"] = "error"


def problems(owner: ObjectKey, faults: Iterable[Fault]) -> tuple[Problem, ...]:
    """Say faults as problems of an object, each once."""
    return tuple(
        dict.fromkeys(
            Problem(object=owner, path=fault.path, message=fault.message, hint=fault.hint, severity=fault.severity)
            for fault in faults
        )
    )


def good(kind: str, reason: str = "", message: str = "") -> Condition:
    """Make a condition that is True; its reason is its type unless said otherwise."""
    return Condition(type=kind, status="True", reason=reason or kind, message=message)


def bad(kind: str, faults: Iterable[Fault], reason: str = "") -> Condition:
    """Make a condition that is False because of faults: the first gives the reason, all give the message."""
    faults = tuple(faults)
    messages = dict.fromkeys(fault.message for fault in faults)
    return Condition(type=kind, status="False", reason=reason or faults[0].reason, message=" ".join(messages)[:32_000])


def judge(kind: str, faults: Iterable[Fault], message: str = "") -> Condition:
    """Make a condition that is False if there is a fault, else True."""
    faults = tuple(faults)
    return bad(kind, faults) if faults else good(kind, message=message)


def conditions_body(conditions: Iterable[Condition], generation: int) -> list[dict[str, Any]]:
    """Write conditions as the Gateway API does; all of them speak of the same generation."""
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": generation,
        }
        for condition in conditions
    ]
