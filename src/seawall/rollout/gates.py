"""Gates: what the counts of a candidate and of its control say: go back, wait, or nothing against it.

Pure. `rollout.tallies` makes the counts, `rollout.evidence` weighs them; `rollout.conductor` acts on a `Look`. The same
looks lead to the same decisions, whoever repeats them (`seawall rollout replay`), also from a state that was put away.

    gates = Gates(policy)
    gates.begin("canary")                      # soft gates start afresh, hard gates remember the whole rollout
    look = gates.look(new, old, at)            # every few seconds
    look.tripped → roll back      look.holding → not yet      neither → may go on
"""

import msgspec

from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.kit.units import Instant
from seawall.rollout.events import Counts


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A hard gate says no: `reason` is a sentence for people, `value` what was measured."""

    gate: str
    reason: str
    value: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look has found. `holding` are sentences that begin with the name of their gate (`cpu: …`)."""

    tripped: tuple[Trip, ...] = ()
    holding: tuple[str, ...] = ()
    evidence: dict[str, float] = {}


class GatesState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a `Gates` remembers; may be kept as JSON or MessagePack."""

    stage: str = ""


class Gates:
    """Watches one rollout from its first canary to its end."""

    def __init__(self, policy: GatePolicy, state: GatesState | None = None) -> None:
        self._policy = policy
        self._state = state or GatesState()

    def begin(self, stage: str) -> None:
        """A stage begins: what was compared once per stage is compared anew."""
        self._state = GatesState(stage=stage)

    def look(self, new: Counts, old: Counts, at: Instant) -> Look:
        """Weigh what both arms have counted since the look before. `old.edges == 0`: there is no control."""
        return Look(evidence={"control": float(old.edges > 0), "at": at, "edges": new.edges})

    def state(self) -> GatesState:
        return self._state

    @classmethod
    def restore(cls, policy: GatePolicy, state: GatesState) -> "Gates":
        return cls(policy, state)
