"""Protection: each second of the fleet's traffic to the machine that decides, its verdicts to the edges.

The decisions are `detect.guard`'s. Here are the clock, the disk and the streams: verdicts take a way of their own, past bundles and
rollouts, and hold on an edge within milliseconds. An edge that greets, or that has missed something, gets all of them.

    app.traffic ─ seconds ─▶ Guard ─ Publish, Withdraw ─▶ server.edges ─▶ agents
                              └─ Record ─▶ what `seawall attacks` and `seawall why` tell, and the state on disk
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from seawall.app.attack_reports import AttackReports
from seawall.app.traffic import Traffic
from seawall.detect.events import ActionToDo, Commanded, Configured, Event, Observed, Peopled, Publish, Ticked, Withdraw
from seawall.detect.guard import Guard
from seawall.detect.scope import Scope
from seawall.detect.settings import Settings
from seawall.detect.verdict import Verdict
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Held, Verdicts
from seawall.kit.digest import digest
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService

log = structlog.get_logger(__name__)

_INTERVAL: Final = 0.25
_KEEP_EVERY: Final = 30.0
_ALLOWED_FOR: Final = 86_400.0
_RENEW_EVERY: Final = 3_600.0
"""An edge goes on for a day to spare whom the policy allows, though nobody says so any more."""
_STATE: Final = "protection.msgpack"
_SAID: Final = frozenset(
    {"created", "raised", "ended", "aborted", "switched", "excess-began", "excess-ended", "refused"}
)


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it went out. No `edges`: to all of them."""

    entry: Entry
    edges: frozenset[str]


class Protection:
    """Decides for the edges that are connected here."""

    def __init__(
        self,
        edges: EdgeService,
        traffic: Traffic,
        state_dir: Path | None,
        clock: Callable[[], float] = time.time,
        settings: Callable[[], Settings | None] = Settings,
    ) -> None:
        """`settings` says what the policy wants now; None: nobody has read it yet, and it stays as it was before a restart.
        Without a `state_dir` nothing is kept."""
        self.held: dict[str, Held] = {}
        """What edges said last of what they hold."""
        self.slowest = 0.0
        """The longest that deciding about a second has taken, in seconds."""
        self._edges = edges
        self._traffic = traffic
        self._clock = clock
        self._settings = settings
        self._file = state_dir / _STATE if state_dir is not None else None
        self._guard = _restored(self._file)
        self.reports = AttackReports(state_dir / "attacks" if state_dir is not None else None)
        self._sent: dict[str, _Sent] = {}
        self._numbers: dict[str, int] = {}
        self._people: frozenset[str] = frozenset()
        self._seen = Instant(0.0)
        self._kept_at = clock()
        self._deciding = asyncio.Lock()
        self._allowed: tuple[Scope, ...] = ()
        self._allowed_at = 0.0
        self._restore()

    @property
    def guard(self) -> Guard:
        return self._guard

    def serves(self, edge: str) -> bool:
        """Say whether verdicts for this edge go out from here."""
        return edge in self._people

    def has_seen(self, second: Instant) -> bool:
        """Say whether a second has been decided about."""
        return second <= self._seen

    async def run(self) -> None:
        """Decide until cancelled; put the state away now and then, and at the end."""
        try:
            while True:
                await self._step()
                await asyncio.sleep(_INTERVAL)
        finally:
            self._keep()

    async def command(self, event: Commanded) -> list[ActionToDo]:
        """Do what a person says, and say what came of it."""
        return await self.handle(event)

    def greeted(self, edge: str) -> None:
        """An edge has a new stream: it is told everything."""
        self._send(edge, (), (), is_whole=True)

    def heard(self, edge: str, message: Held) -> None:
        """An edge says what it holds."""
        if message.number < 0:
            self._send(edge, (), (), is_whole=True)
            return
        if message.refused:
            log.warning("verdicts_refused", edge=edge, refused=dict(list(message.refused.items())[:5]))
        self.held[edge] = message

    async def handle(self, event: Event) -> list[ActionToDo]:
        """Ask the machine, one event after the other, beside the event loop: a second under attack takes it a while."""
        async with self._deciding:
            began = time.perf_counter()
            actions = await asyncio.to_thread(self._decide, event)
            self.slowest = max(self.slowest, time.perf_counter() - began)
        self._carry_out(actions)
        return actions

    def _decide(self, event: Event) -> list[ActionToDo]:
        actions = self._guard.handle(event)
        if isinstance(event, Observed):
            self.reports.note(event.slot)
        self.reports.follow(actions, self._guard)
        return actions

    def _now(self) -> Instant:
        return Instant(self._clock())

    async def _step(self) -> None:
        wanted = self._settings()
        if wanted is not None and wanted != self._guard.settings:
            await self.handle(Configured(at=self._now(), settings=wanted))
        people = self._edges.connected
        if people != self._people:
            self._people = people
            self._numbers = {edge: number for edge, number in self._numbers.items() if edge in people}
            self.held = {edge: one for edge, one in self.held.items() if edge in people}
            await self.handle(Peopled(at=self._now(), edges=tuple(sorted(people))))
        self._allow()
        slots = self._traffic.slots(self._now())
        for slot in slots:
            await self.handle(Observed(at=slot.at, slot=slot) if slot.totals or slot.peers else Ticked(at=slot.at))
            self._seen = slot.at
        if self._clock() - self._kept_at > _KEEP_EVERY:
            self._kept_at = self._clock()
            await asyncio.to_thread(self._keep)

    def _carry_out(self, actions: Iterable[ActionToDo]) -> None:
        """Send what has changed, in one message to each edge."""
        before, gone = dict(self._sent), set[str]()
        for action in actions:
            match action:
                case Publish(verdict=verdict) if verdict.mode == "observe":
                    # It only says what it would do: no edge needs to know.
                    if self._sent.pop(verdict.id, None) is not None:
                        gone.add(verdict.id)
                case Publish(verdict=verdict, edges=edges, share=share):
                    self._sent[verdict.id] = _Sent(entry=_entry(verdict, share), edges=frozenset(edges))
                    gone.discard(verdict.id)
                case Withdraw(verdict=name):
                    self._sent.pop(name, None)
                    gone.add(name)
                case _ if action.what in _SAID:
                    log.info("protection", what=action.what, subject=action.subject[:200], said=action.said[:500])
                case _:
                    pass
        self._tell(before, gone)

    def _allow(self) -> None:
        """Tell edges whom the policy allows: a verdict on many may be about one of these too."""
        allowed, now = self._guard.settings.allow, self._clock()
        if allowed == self._allowed and now - self._allowed_at < _RENEW_EVERY:
            return
        before = dict(self._sent)
        fresh = {one.id: _Sent(entry=one, edges=frozenset()) for one in map(partial(_allowance, now=now), allowed)}
        gone = {name for name in map(_allowed_name, self._allowed) if name not in fresh}
        for name in gone:
            self._sent.pop(name, None)
        self._sent |= fresh
        self._allowed, self._allowed_at = allowed, now
        self._tell(before, gone)

    def _tell(self, before: dict[str, _Sent], gone: set[str]) -> None:
        """Tell each edge what is different."""
        changed = [one for name, one in self._sent.items() if before.get(name) is not one]
        if not changed and not gone:
            return
        for edge in self._people:
            put = tuple(one.entry for one in changed if not one.edges or edge in one.edges)
            left = {one.entry.id for one in changed if one.edges and edge not in one.edges and _had(before, one, edge)}
            if put or gone or left:
                self._send(edge, put, tuple(gone | left))

    def _send(self, edge: str, put: tuple[Entry, ...], gone: tuple[str, ...], *, is_whole: bool = False) -> None:
        number = self._numbers[edge] = self._numbers.get(edge, 0) + 1
        if is_whole:
            now = self._now()
            put = tuple(
                one.entry
                for one in self._sent.values()
                if one.entry.expires > now and (not one.edges or edge in one.edges)
            )
        self._edges.judge(edge, Verdicts(number=number, whole=is_whole, put=put, gone=gone))

    def _restore(self) -> None:
        """Have the verdicts in force go out again: edges that greet a new control plane keep them."""
        for verdict in self._guard.in_force(self._now()):
            if verdict.mode == "enforce":
                self._sent[verdict.id] = _Sent(entry=_entry(verdict, 1.0), edges=frozenset())

    def _keep(self) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(".fresh")
        try:
            fresh.write_bytes(self._guard.state())
            fresh.replace(self._file)
        except OSError as exc:
            log.warning("protection_not_kept", reason=str(exc))
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)


def _allowed_name(allowed: Scope) -> str:
    return f"policy-{digest(str(allowed).encode())[:12]}"


def _allowance(allowed: Scope, now: float) -> Entry:
    return Entry(
        id=_allowed_name(allowed),
        generation=int(now),
        expires=Instant(now + _ALLOWED_FOR),
        kind="allow",
        route=allowed.route,
        match={one.field: one.value for one in allowed.match},
    )


def _had(before: dict[str, _Sent], one: _Sent, edge: str) -> bool:
    old = before.get(one.entry.id)
    return old is not None and (not old.edges or edge in old.edges)


def _entry(verdict: Verdict, share: float) -> Entry:
    action = verdict.action
    return Entry(
        id=verdict.id,
        generation=verdict.generation,
        expires=verdict.expires,
        kind=action.kind,
        route=verdict.scope.route,
        match={one.field: one.value for one in verdict.scope.match},
        rate=action.rate,
        burst=action.burst,
        per_client=action.per_client,
        ignore_query=action.ignore_query,
        delay_ms=action.delay_ms,
        code=action.code or 403,
        where=action.where,
        is_override=verdict.author == "human" and action.refuses,
        share=share,
    )


def _restored(file: Path | None) -> Guard:
    """Go on from the state on disk; what cannot be read is set aside, and learning begins anew."""
    if file is None:
        return Guard()
    try:
        return Guard.restore(file.read_bytes())
    except FileNotFoundError:
        return Guard()
    except (OSError, msgspec.MsgspecError) as exc:
        with contextlib.suppress(OSError):
            file.replace(file.with_suffix(".unreadable"))
        log.warning("protection_learns_anew", file=str(file), reason=str(exc), remedy="nothing needs to be done")
        return Guard()
