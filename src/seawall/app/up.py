"""Up: a control plane and one edge in one process: the laptop product, and what the end-to-end tests drive.

The two speak over a unix socket in the run dir, just as they would over a network; Envoy is a child that dies with us.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from seawall.agent.agent import Agent
from seawall.app.config import UpSettings
from seawall.app.deliver import Delivered
from seawall.app.news import Event, News
from seawall.app.overview import Overview, overview
from seawall.app.rundir import RunDir
from seawall.app.serve import EDGES_SOCKET, ControlPlane, serving_control_plane
from seawall.fleet.wire import Applied, Rejected, Up
from seawall.gateway.graph import ListenerName
from seawall.kit.units import Instant
from seawall.rollout.events import Decide

_STOPPED = {"refuse", "roll_back"}


class Display(Protocol):
    """What `up` tells a person, or a program. The command line implements it."""

    def started(self, seen: Overview) -> None:
        """The edge serves."""

    def changed(self, seen: Overview) -> None:
        """Listeners or their state changed; routes as they are now."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def stopping(self) -> None:
        """The edge drains."""


async def up(settings: UpSettings, run: RunDir, stop: asyncio.Event, display: Display) -> None:
    """Run until told to stop, then drain."""
    async with serving_control_plane(settings.serve, run) as plane:
        watched = _Watched(plane, display, run)
        edge = msgspec.structs.replace(
            settings.edge,
            control=(f"unix:{run.path / EDGES_SOCKET}",),
            trusted=(plane.rollouting.public_key,),
        )
        agent = Agent(edge)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(agent.run(), name="agent")
            stopped = tasks.create_task(stop.wait(), name="stop")
            await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
            watched.is_stopping = True
            if not running.done():
                display.stopping()
                agent.stop()
            stopped.cancel()


class _Watched:
    """Watches a control plane and tells the display."""

    def __init__(self, plane: ControlPlane, display: Display, run: RunDir) -> None:
        self.is_stopping = False
        self._plane = plane
        self._display = display
        self._run = run
        self._seen: Overview | None = None
        self._faults: dict[ListenerName, str] = {}
        self._early: list[Event] = []
        self._news = News(plane.problems, self._tell)
        plane.on_delivered = self._delivered
        plane.rollouts.hooks.decided = self._decided
        plane.on_report = self._reported

    def _delivered(self, delivered: Delivered) -> None:
        self._news.delivered(delivered, self._plane.deliver.resolver.statuses.get)
        if self._seen is not None:
            # Only what the table's heads say: looking at every route would cost more than the change itself.
            faults = self._plane.deliver.blame.faults
            if delivered.graph.listeners or faults != self._faults:
                self._look(self._display.changed)
        elif not self._plane.deliver.resolver.graph.listeners:
            # No edge will report anything: there is nothing to report about.
            self._start()

    def _decided(self, _: Instant, decide: Decide) -> None:
        """Without stages only what did not go out is news; with stages each step is."""
        is_held = decide.decision == "hold" and decide.stage == "guards"
        if self._plane.rollouts.conductor.is_staged or is_held or decide.decision in _STOPPED:
            self._tell(Event(kind="rollout", text=f"{decide.decision.replace('_', ' ')}: {decide.reason}"))

    def _reported(self, edge: str, message: Up) -> None:
        if self.is_stopping:
            return
        if self._seen is None and self._serves(message):
            self._start()
        self._news.reported(edge, message)

    def _start(self) -> None:
        self._look(self._display.started)
        for event in self._early:
            self._display.event(event)
        self._early.clear()

    def _serves(self, message: Up) -> bool:
        return isinstance(message, Applied | Rejected) and bool(message.version)

    def _look(self, show: Callable[[Overview], None]) -> None:
        self._faults = self._plane.deliver.blame.faults
        seen = overview(self._plane.deliver.resolver.graph, self._faults)
        if seen == self._seen:
            return
        self._seen = seen
        self._run.announce((*self._plane.addresses, *(one.url for one in seen.listeners if not one.fault)))
        show(seen)

    def _tell(self, event: Event) -> None:
        """Keep what happens before the table is printed, so that it stands below the table."""
        if self._seen is not None:
            self._display.event(event)
        elif event.kind in ("problem", "more", "rollout"):
            self._early.append(event)
        elif event.kind == "solved":
            self._early[:] = [one for one in self._early if one.problem != event.problem]
