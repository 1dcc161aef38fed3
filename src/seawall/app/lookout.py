"""Lookout: turns what edges say, and the passing of time, into events for the rollout machine.

message ─▶ reports ─▶ Joined, EdgeApplied, …        clock ─▶ Lost, Counted (a look at the gates), Ticked
        └▶ tallies ────────────────────────────────────────────▲
"""

from collections.abc import Callable

from seawall.app.reports import BundleOf, Reports
from seawall.fleet.wire import Journey, Recovery, Tally, Up, Watch
from seawall.gateway.resources.perimeter import PerimeterSpec, seconds
from seawall.kit.units import Instant
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Counted, Event, Ticked
from seawall.rollout.tallies import Tallies

_TICK, _IDLE_TICK = 1.0, 30.0
_LOOK, _BAKE_LOOK = 5.0, 30.0
_TALLY_AT_REST = 5.0
_SHORTEST_LOOK = 1.0
"""Tallies come once or twice a second."""


class Lookout:
    """One control plane's view of the fleet."""

    def __init__(self, bundle_of: BundleOf, is_connected: Callable[[str], bool]) -> None:
        self.reports = Reports(bundle_of)
        self.tallies = Tallies()
        self._is_connected = is_connected
        self._looked_at = self._ticked_at = Instant(0.0)

    def heard(self, edge: str, message: Up, at: Instant) -> list[Event]:
        """Take in a message of an edge."""
        if isinstance(message, Tally):
            self.tallies.heard(edge, message, at)
        return self.reports.heard(edge, message, at)

    def due(self, conductor: Conductor, spec: PerimeterSpec, now: Instant) -> list[Event]:
        """Say what the clock has brought."""
        events = self.reports.lost(now, seconds(spec.rollout.gates.silence), self._is_connected)
        course = conductor.under_way
        if course and now - self._looked_at >= _look_interval(conductor.stage, spec.rollout.pace):
            self._looked_at = now
            new, old = conductor.arms(course)
            counts = self.tallies.look(new, old, now, candidate=conductor.candidate)
            if new and conductor.is_staged:
                events.append(Counted(at=now, rollout=course, new=counts[0], old=counts[1]))
        if now - self._ticked_at >= (_TICK if course else _IDLE_TICK):
            self._ticked_at = now
            events.append(Ticked(at=now))
        return events


def _look_interval(stage: str, pace: float) -> float:
    """Every five seconds, as the table of detection times says; faster where the pace is."""
    longest = _BAKE_LOOK if stage == "bake" else _LOOK
    return max(_SHORTEST_LOOK, longest * min(1.0, pace))


def watch_of(spec: PerimeterSpec, *, is_busy: bool) -> Watch:
    """Say how edges are to look at themselves: closely while a change goes out in stages, else now and then."""
    journeys = tuple(
        Journey(name=one.name, url=one.url, method=one.method, headers=dict(one.headers), status=one.status)
        for one in spec.rollout.journeys
    )
    slow = seconds(spec.rollout.gates.slow)
    interval = min(1.0, max(0.5, spec.rollout.pace)) if is_busy else _TALLY_AT_REST
    back = spec.recovery
    recovery = Recovery(ramp=back.ramp, step=seconds(back.step), memory=back.memory_share, busy=back.busy)
    return Watch(tally_interval=interval, slow=slow, journeys=journeys, recovery=recovery)
