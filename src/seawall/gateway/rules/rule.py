"""Rule: one thing that must hold in an object, and how tables of rules run.

Pure. Rules append to a list instead of yielding: a route passes some thirty of them, nearly always without a finding.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that does not hold: where (as `$.spec.rules[0]`), why, what to do."""

    path: str
    message: str
    hint: str = ""


Findings = list[Finding]
Check = Callable[[T, str, Findings], None]
"""Look at a part of an object, whose path is given; append what is wrong."""


class Rule(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`quotes` are the messages of the API's own rules that `check` implements; none if the rule is ours."""

    check: Check[T]
    quotes: tuple[str, ...] = ()


def run(rules: tuple[Rule[T], ...], part: T, at: str, findings: Findings) -> None:
    """Run every rule of a table: all findings at once."""
    for rule in rules:
        rule.check(part, at, findings)
