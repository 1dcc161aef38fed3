"""Notes: what a comparison has found so far. Pure."""

from typing import Literal

from seawall.rollout.change import Difference, Risk, Subject
from seawall.rollout.guards.question import Emptied, NewFilter, Pattern
from seawall.xds.resource import Ref

Action = Literal["added", "removed", "changed", "reordered"]


class Notes:
    """Collects differences and facts; each file of this room writes into it."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.drained: dict[str, None] = {}
        self.emptied: list[Emptied] = []
        self.patterns: list[Pattern] = []
        self.filters: list[NewFilter] = []
        self.unbudgeted: list[str] = []
        self.touched: set[str] = set()
        """Hosts, by name with port."""
        self.hosts_gone: dict[str, Ref] = {}
        self.hosts_come: set[str] = set()
        self.is_brief = False
        """So much is found already that details of what is merely added or removed are not worth a look."""

    def add(
        self,
        what: tuple[Subject, Action],
        name: str,
        detail: str,
        because: tuple[Risk, str],
        at: tuple[Ref | None, tuple[str, ...]],
    ) -> None:
        subject, action = what
        risk, why = because
        ref, origins = at
        self.differences.append(
            Difference(
                subject=subject,
                action=action,
                name=name,
                detail=detail,
                risk=risk,
                why=why,
                origins=origins,
                ref=ref,
            )
        )
