"""Perimeters: which one is in force, and which switches it turns on now.

Pure. The time comes as a fact: a switch whose `until` has passed is off, whatever its file says.
Next room: `gateway.resolve` puts both into the graph.
"""

from collections.abc import Iterable
from typing import Final

from seawall.gateway.gateways import age, quarantine_fault
from seawall.gateway.graph import ObjectKey, Perimeter, RuntimeValue
from seawall.gateway.indexes import ALL, PERIMETERS
from seawall.gateway.objects import Object
from seawall.gateway.resources.perimeter import PerimeterSpec, Switch, instant
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.view import Entries, Index, Rule, View
from seawall.kit.units import Instant

OVER: Final = "over"
"""The table of facts about time: names of switches whose time is over."""
SWITCHED: Final = Index[str, object, bool]("switches that are on, by key")


def perimeter(view: View, _: str) -> Perimeter | None:
    """Return the oldest Perimeter: there can only be one way to roll out."""
    objects = view.bucket(PERIMETERS, ALL).values()
    if not objects:
        return None
    first = min(objects, key=age)
    assert isinstance(first.spec, PerimeterSpec)
    return Perimeter(name=first.key, spec=first.spec)


def _publish(_: str, found: Perimeter | None) -> Entries:
    return {SWITCHED.at(one.key): True for one in found.spec.switches if one.is_on} if found is not None else {}


PERIMETER: Final = Rule(perimeter, each=PERIMETERS, publish=_publish)


def runtime(view: View, key: str) -> RuntimeValue | None:
    """Return the value that a key of Envoy's runtime has because its switch is on and its time not over."""
    found = view.get(PERIMETER, ALL)
    if found is None:
        return None
    on = (one for one in found.spec.switches if one.is_on and one.key == key)
    return next((one.value for one in on if not view.fact(OVER, one.name)), None)


RUNTIME: Final = Rule(runtime, each=SWITCHED)


def over(switches: Iterable[Switch], at: Instant) -> dict[str, bool]:
    """Name the switches whose time is over."""
    return {one.name: True for one in switches if one.until is not None and at >= instant(one.until)}


def perimeter_report(view: View, obj: Object) -> Status | None:
    """Say whether a Perimeter is in force, and what of it is not any more."""
    assert isinstance(obj.spec, PerimeterSpec)
    found = view.get(PERIMETER, ALL)
    assert found is not None
    lost = _conflict(found.name) if found.name != obj.key else ()
    refused = quarantine_fault(view, obj.key)
    conditions = [judge("Accepted", (*lost, *refused), "This Perimeter is in force.")]
    ended = [] if lost else [_ended(one, index) for index, one in enumerate(obj.spec.switches) if _is_over(view, one)]
    body = {"conditions": conditions_body(conditions, obj.meta.generation)}
    return Status(object=obj.key, body=body, problems=problems(obj.key, [*lost, *refused, *ended]))


def _conflict(winner: ObjectKey) -> tuple[Fault, ...]:
    _, _, name = winner.split("/", 2)
    fault = Fault(
        reason="Conflicted",
        message=f"Perimeter {name} is older, or first by name: it is in force, and this one has no effect.",
        path="$.metadata.name",
        hint="There is one Perimeter for a control plane: remove one of the two.",
    )
    return (fault,)


def _is_over(view: View, switch: Switch) -> bool:
    return switch.is_on and bool(view.fact(OVER, switch.name))


def _ended(switch: Switch, index: int) -> Fault:
    return Fault(
        reason="Expired",
        message=f"The switch {switch.name!r} went off by itself at {switch.until}.",
        path=f"$.spec.switches[{index}].until",
        hint="Say `on: false`, or a later time if it is still needed.",
        severity="warning",
    )
