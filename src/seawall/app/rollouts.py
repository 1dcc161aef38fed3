"""Rollouts: the CHANGE flow, from a compiled snapshot to what each edge is told to run.

    deliver ─Snapshot─▶ proposals ─ChangeReport─▶ ┐                      ┌─Assign─▶ signed ─▶ edges (and plain ADS)
    edges ──reports──▶ reports ─────────Events──▶ ├─ ledger ─▶ conductor ┼─RunSandbox─▶ sandbox ─SandboxFinished─▶ ┐
    people ─commands─────────────────────────────▶ ┘            (pure)   └─Decide, MarkGood, Quarantine, Finish    ┘

The conductor decides (`rollout.conductor`); this file only carries out. Every event is in the history before what it leads
to is done, so a new leader that reads it comes to the same state; actions may be carried out twice without harm.

Two ways in, one machine. With `strategy: staged` every candidate takes the way above. With `immediate`, where nothing
objects, a change goes to all edges at once and the machine is told afterwards, once a second: a thousand routes changed one
by one must not wait for a thousand transactions.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, assert_never

import msgspec
import structlog

from seawall.app.dispatch import Dispatch
from seawall.app.ledger import Ledger
from seawall.app.library import Library
from seawall.app.lookout import Lookout, watch_of
from seawall.app.offline import Offline
from seawall.app.proposals import Proposals, let_pass
from seawall.app.replicas import Replicas
from seawall.app.shelf import Item, Shelf
from seawall.app.signer import Signer
from seawall.fleet.bundle import EVERY_EDGE, Assignment
from seawall.fleet.wire import Up, Watch
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import (
    Action,
    Answer,
    Assign,
    Commanded,
    Compare,
    Configured,
    Counted,
    Decide,
    EdgeApplied,
    Event,
    Finish,
    MarkGood,
    Proposed,
    Quarantine,
    RunSandbox,
    SandboxFinished,
    Ticked,
)
from seawall.server.edges import EdgeService
from seawall.store.history import FencedError
from seawall.xds.resource import Ref
from seawall.xds.snapshot import Snapshot

log = structlog.get_logger(__name__)

_PAUSE = 0.25
"""So often the clock is looked at, and other control planes are listened to."""
_RECORD = 1.0
_AT_ONCE = 500
_MOST_WISHES = 50_000
_MOST_SAID = 200
_MOST_ITEMS = 40
_SELF = "seawall"


class SandboxRunner(Protocol):
    """Tries a candidate beside its base in real Envoys; returns whether it passed, and why not."""

    async def __call__(
        self, base: Item | None, candidate: Item, report: ChangeReport, length: Seconds
    ) -> tuple[bool, str]: ...


class Hooks(msgspec.Struct, kw_only=True):
    """Who is told of what the machine wants of others. `settled`: all edges run this, as far as we can tell them."""

    decided: Callable[[Instant, Decide], None] = lambda at, decide: None
    quarantine: Callable[[Quarantine], None] = lambda quarantine: None
    settled: Callable[[Item], None] = lambda item: None
    sandbox: SandboxRunner | None = None
    offline: Callable[[Path], Offline] = Offline
    """Compiles other manifests as those that run were compiled: with the same settings and stand-ins."""


class _Wish(msgspec.Struct, kw_only=True):
    """An event that waits for its turn; whoever brought it may wait for what it leads to."""

    event: Event
    answer: asyncio.Future[Answer] | None = None


class Rollouts:
    """The flow. `configured`, `compiled`, `heard` and `command` bring things in; `run` works them off, in order."""

    def __init__(
        self,
        shelf: Shelf,
        ledger: Ledger,
        signer: Signer,
        edges: EdgeService,
        proposals: Proposals,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.conductor = Conductor()
        self.hooks = Hooks()
        self.said: deque[tuple[Instant, Decide]] = deque(maxlen=_MOST_SAID)
        self.is_leader = False
        self.outcomes: Counter[str] = Counter()
        self.candidate: Item | None = None
        """The newest state of the manifests, as far as guards let it."""
        self.report: ChangeReport | None = None
        self._shelf = shelf
        self._ledger = ledger
        self._signer = signer
        self._edges = edges
        self._proposals = proposals
        self._clock = clock
        self._replicas = Replicas(ledger.scribe) if ledger.is_shared else None
        self._library = Library(shelf, ledger.scribe, edges, clock)
        self._dispatch = Dispatch(ledger, self._library, signer, edges, clock)
        self._lookout = Lookout(lambda edge, version: shelf.by_version(version), self._is_connected)
        self._wishes: deque[_Wish] = deque()
        self._asked: set[asyncio.Future[Answer]] = set()
        self._elsewhere: set[str] = set()
        """Edges that were heard last through another control plane."""
        self._wake = asyncio.Event()
        self._sandboxes: set[str] = set()
        self._newest: Snapshot | None = None
        self._sent: Item | None = None
        """What went to everybody without stages, and nobody has gone back from."""
        self._spec: PerimeterSpec | None = None
        self._watched: Watch | None = None
        self._kept: dict[str, frozenset[Ref]] = {}
        self._is_recorded = True
        self._later: dict[str, EdgeApplied] = {}
        """What edges say of what the machine has not been told yet."""
        self._is_paused = False
        self._recorded_at = self._led_at = Instant(0.0)
        self._counter = 0

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────

    def configured(self, spec: PerimeterSpec) -> None:
        """Take in how the perimeter is described; call it before `compiled` of the same step."""
        if spec == self._spec:
            return
        self._spec = spec
        self._want(Configured(at=self._now(), spec=spec))
        self._watch()

    def _watch(self) -> None:
        """Have the edges look as closely as is needed now."""
        watch = watch_of(self.policy, is_busy=bool(self.conductor.under_way) and self.conductor.is_staged)
        if watch != self._watched:
            self._watched = watch
            self._edges.watch(watch)

    def compiled(self, snapshot: Snapshot) -> None:
        """Take in the newest state of the manifests. Where nothing objects and nobody wants stages, it goes out now."""
        self._newest = snapshot
        if not self.is_leader:
            # Whoever becomes leader compiles what is newest then.
            return
        now = self._now()
        item, report = self._proposals.propose(snapshot, self.base, self.policy, now)
        self.candidate, self.report = item, report
        self._tell_kept(report)
        if self._goes_at_once(item, report, now):
            self._send_to_all(item)
        else:
            self._propose(item, report, now)

    def _tell_kept(self, report: ChangeReport) -> None:
        """Say, once, what guards keep as it was while the rest goes out."""
        kept = {one.guard: frozenset(one.keep) for one in report.guards if one.keep and one.verdict == "warn"}
        for one in report.guards:
            if one.guard in kept and self._kept.get(one.guard) != kept[one.guard]:
                reason = f"{one.guard} ({one.title}): {one.message} {one.remedy}"
                self._say(Decide(rollout="", stage="guards", decision="hold", reason=reason))
        self._kept = kept

    def _say(self, decide: Decide) -> None:
        now = self._now()
        self.said.append((now, decide))
        log.info("rollout_decided", **msgspec.to_builtins(decide))
        self.hooks.decided(now, decide)

    def heard(self, edge: str, message: Up) -> None:
        """Take in what an edge of ours says."""
        now = self._now()
        self._elsewhere.discard(edge)
        if self._replicas is not None:
            tell = self._replicas.know if self.is_leader else self._replicas.say
            tell(edge, message, now)
        self._hear(edge, message, now)

    async def command(self, command: Commanded) -> Answer:
        """Carry out what a person says; return what came of it. Raises UnavailableError if nobody can be told."""
        if self._replicas is not None and not self.is_leader:
            await self._replicas.ask(command)
            said = "another control plane leads and has been told; see `seawall rollout status`."
            return Answer(who=command.who, verb=command.verb, is_accepted=True, reason=said)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.add(answer)
        self._want(command, answer)
        try:
            return await answer
        finally:
            self._asked.discard(answer)

    def _hear(self, edge: str, message: Up, at: Instant) -> None:
        for event in self._lookout.heard(edge, message, at):
            if isinstance(event, EdgeApplied) and not self._is_recorded:
                self._later[event.edge] = event
            else:
                self._want(event)

    def _propose(self, item: Item, report: ChangeReport, at: Instant, rollout: str = "") -> None:
        self._counter += 1
        stamp = time.strftime("%m%d-%H%M%S", time.gmtime(at))
        name = rollout or f"r-{stamp}-{self._counter}-{item.name[:6]}"
        self._want(Proposed(at=at, rollout=name, report=report, reason=item.bundle.reason))

    def _want(self, event: Event, answer: asyncio.Future[Answer] | None = None) -> None:
        if len(self._wishes) >= _MOST_WISHES:
            # Edges say most of it again by themselves.
            self._wishes.popleft()
        self._wishes.append(_Wish(event=event, answer=answer))
        self._wake.set()

    # ── the strategy without stages ──────────────────────────────────────────────────────────────────────────────

    def _goes_at_once(self, item: Item, report: ChangeReport, now: Instant) -> bool:
        if self._is_careful or report.verdict in ("hold", "refuse"):
            return False
        return self.conductor.lets_pass(item.name, now)

    def _send_to_all(self, item: Item) -> None:
        """One message for all, made once. The machine hears of it within a second."""
        order = self._dispatch.sign(Assign(edges=(), bundle=item.name, stage="all"), EVERY_EDGE, self.conductor)
        self._edges.publish(item.snapshot, bundle=item.signed, assignment=order)
        self._sent, self._is_recorded = item, False
        self.hooks.settled(item)
        if len(self._shelf) > _MOST_ITEMS:
            self._tidy()

    def _record(self, now: Instant, *, is_due: bool = False) -> None:
        """Tell the machine what went to all edges: the newest state, compared with what it knows of."""
        if self._is_recorded or self._sent is None or not (is_due or now - self._recorded_at >= _RECORD):
            return
        self._is_recorded, self._recorded_at = True, now
        base = self._shelf.get(self.conductor.candidate or self.conductor.running)
        item, report = self._proposals.propose(self._sent.snapshot, base, self.policy, now)
        if item.name == self._sent.name:
            # Guards have let every step of it pass; all steps of a second together must not wait for somebody now.
            report = let_pass(report)
        if base is None or item.name != base.name:
            self._propose(item, report, now)
        for event in self._later.values():
            self._want(event)
        self._later.clear()

    # ── the flow ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Work for ever: follow while another control plane leads, lead when nobody else does."""
        async with asyncio.TaskGroup() as self._group:
            while True:
                try:
                    await self._become_leader()
                    await self._decide()
                except FencedError as exc:
                    log.warning("leadership_lost", reason=str(exc))
                self._step_down()

    def _step_down(self) -> None:
        """Another control plane leads, and its word counts: forget what we wanted, and say so to whoever waits for it."""
        self.is_leader = False
        self._ledger.scribe.drop()
        self._ledger.number = 0
        self._wishes.clear()
        # What one has found may be among what we forget: if we lead again, it is asked again.
        self._sandboxes.clear()
        if self._replicas is not None:
            self._replicas.step_down()
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(UnavailableError("another control plane leads now; say it once more."))

    async def _become_leader(self) -> None:
        while True:
            try:
                if await self._ledger.scribe.lead():
                    await self._take_over(await self._ledger.restore())
                    return
                await self._follow()
            except UnavailableError as exc:
                if self._replicas is None:
                    # One control plane alone serves, whatever its disk says; what cannot be written stops promotions.
                    log.error("history_not_read", reason=str(exc))
                    await self._take_over(Conductor())
                    return
            await asyncio.sleep(_PAUSE)

    async def _take_over(self, conductor: Conductor) -> None:
        scribe = self._ledger.scribe
        self.conductor, self.is_leader = conductor, True
        scribe.number = self._ledger.number
        self._signer.lead(scribe.epoch or int(self._clock()))
        self._led_at = self._now()
        self._lookout.reports.begin(self._led_at)
        self._library.begin()
        log.info("leading", epoch=scribe.epoch, running=conductor.running, under_way=conductor.under_way)
        with contextlib.suppress(UnavailableError):
            await self._library.offer(conductor.used)
        if self._spec is not None:
            self._wishes.appendleft(_Wish(event=Configured(at=self._now(), spec=self._spec)))
        if self._replicas is not None:
            self._replicas.begin()
        course = conductor.view(self._now()).rollout
        if scribe.epoch and course is not None and _SELF in course.paused_by:
            # Whoever led before us paused it for want of a history, and did not live to resume it.
            self._resume()
        await self._act([(None, conductor.again(self._now()))])
        if self._newest is not None:
            self.compiled(self._newest)

    async def _follow(self) -> None:
        """Serve our edges what the leader orders, and tell it what they say."""
        assert self._replicas is not None
        self._wishes.clear()
        if self._ledger.number:
            await self._ledger.follow(self.conductor)
        else:
            # The front of the log may be gone already: begin with the state that covers it.
            self.conductor = await self._ledger.restore()
        for order in await self._replicas.orders():
            await self._library.offer([msgspec.msgpack.decode(order.body, type=Assignment).bundle])
            self._edges.assign(order)
        await self._replicas.send()

    async def _decide(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._wake.wait()
            self._wake.clear()
            await self._listen_to_replicas()
            self._look_at_the_clock()
            while self._wishes:
                await self._work()
            if self._ledger.scribe.waiting or self._dispatch.is_cut_off:
                await self._send([], is_written_now=True)

    async def _listen_to_replicas(self) -> None:
        """Stay leader, and take in what the others heard."""
        if self._replicas is None:
            return
        epoch = self._ledger.scribe.epoch
        try:
            if not await self._ledger.scribe.lead() or self._ledger.scribe.epoch != epoch:
                raise FencedError("another control plane leads now.")
            for edge, message, at in await self._replicas.hear(self._led_at):
                self._elsewhere.add(edge)
                self._hear(edge, message, at)
            for command in await self._replicas.asked():
                self._want(command)
        except FencedError:
            raise
        except UnavailableError:
            self._pause()
        else:
            if self._is_paused and not self._dispatch.is_cut_off:
                # It was away for a moment only, in which nothing had to be written.
                self._resume()

    def _look_at_the_clock(self) -> None:
        now = self._now()
        self._record(now)
        for event in self._lookout.due(self.conductor, self.policy, now):
            self._want(event)

    async def _work(self) -> None:
        """Handle what has come in: note it, decide, note that too, and act."""
        wishes = [self._wishes.popleft() for _ in range(min(len(self._wishes), _AT_ONCE))]
        said: list[tuple[_Wish | None, list[Action]]] = []
        for wish in self._in_order(wishes):
            self._ledger.event(wish.event, self.conductor)
            actions = self.conductor.handle(wish.event)
            for action in actions:
                self._ledger.action(action, wish.event.at)
            said.append((wish, actions))
        told = (self.conductor.running, self.conductor.candidate)
        if self._sent is not None and self._is_recorded and self._sent.name not in told:
            # Somebody, or the machine, has gone back from it.
            self._sent = None
        self._watch()
        await self._act(said)

    def _in_order(self, wishes: list[_Wish]) -> list[_Wish]:
        """What went to all edges is told before what edges and people say of it. (What they have applied waits in `_later`.)"""
        early = Proposed | Ticked | Counted | EdgeApplied
        if self._is_recorded or all(isinstance(wish.event, early) for wish in wishes):
            return wishes
        waiting = len(self._wishes)
        self._record(self._now(), is_due=True)
        fresh = [self._wishes.pop() for _ in range(len(self._wishes) - waiting)]
        return [*fresh, *wishes]

    # ── what goes out ────────────────────────────────────────────────────────────────────────────────────────────

    async def _act(self, said: list[tuple[_Wish | None, list[Action]]]) -> None:
        await self._send([action for _, actions in said for action in actions])
        for wish, actions in said:
            for action in actions:
                await self._carry_out(action, wish)

    async def _send(self, actions: list[Action], *, is_written_now: bool = False) -> None:
        """Send orders. While the history is away nothing goes forward; when it is back everything is said once more."""
        was_cut_off = self._dispatch.is_cut_off
        sent = self._sent.name if self._sent is not None and not self._is_careful else ""
        await self._dispatch.send(actions, self.conductor, sent=sent, is_careful=self._is_careful or is_written_now)
        if self._dispatch.is_cut_off:
            self._pause()
        elif was_cut_off:
            self._resume()
            await self._dispatch.send(self.conductor.again(self._now()), self.conductor, sent=sent)

    def _resume(self) -> None:
        self._is_paused = False
        self._want(Commanded(at=self._now(), verb="resume", who=_SELF, reason="the history can be written again"))

    def _pause(self) -> None:
        if self.conductor.under_way and not self._is_paused:
            self._is_paused = True
            self._want(Commanded(at=self._now(), verb="pause", who=_SELF, reason="the history cannot be written"))

    async def _carry_out(self, action: Action, wish: _Wish | None) -> None:
        match action:
            case Assign():
                pass
            case Answer():
                if wish is not None and wish.answer is not None and not wish.answer.done():
                    wish.answer.set_result(action)
                if (
                    action.is_accepted
                    and self._newest is not None
                    and action.verb in ("override", "approve", "unpin", "thaw")
                ):
                    self.compiled(self._newest)
            case Decide():
                self._say(action)
            case RunSandbox():
                self._run_sandbox(action)
            case MarkGood(bundle=bundle):
                await self._mark_good(bundle)
            case Quarantine():
                self.hooks.quarantine(action)
            case Compare():
                await self._compare(action)
            case Finish():
                await self._finish(action)
            case _:
                assert_never(action)

    async def _compare(self, action: Compare) -> None:
        """Compare a candidate with what runs now, and propose it again."""
        item = await self._library.find(action.candidate)
        if item is not None:
            now = self._now()
            item, report = self._proposals.propose(item.snapshot, self._shelf.get(action.base), self.policy, now)
            self._propose(item, report, now, action.rollout)

    def _run_sandbox(self, action: RunSandbox) -> None:
        candidate = self._shelf.get(action.candidate)
        if candidate is not None and action.rollout not in self._sandboxes:
            self._sandboxes.add(action.rollout)
            self._group.create_task(self._sandbox(action, candidate), name=f"sandbox-{action.rollout}")

    async def _sandbox(self, action: RunSandbox, candidate: Item) -> None:
        base, now = self._shelf.get(action.base), self._now()
        _, report = self._proposals.propose(candidate.snapshot, base, self.policy, now)
        is_passed, reason = True, "there is no sandbox here"
        if self.hooks.sandbox is not None:
            is_passed, reason = await self.hooks.sandbox(base, candidate, report, action.seconds)
        self._sandboxes.discard(action.rollout)
        self._want(SandboxFinished(at=self._now(), rollout=action.rollout, is_passed=is_passed, reason=reason))

    async def _mark_good(self, bundle: str) -> None:
        """It has baked: keep it, and have every edge keep it."""
        at, epoch = self._now(), self._ledger.scribe.epoch
        with contextlib.suppress(UnavailableError):
            await self._library.offer([bundle])
            await self._ledger.scribe.call(lambda history: history.mark_good(epoch, bundle, at))
        if self._sent is not None and self._sent.name == bundle and not self._is_careful:
            self._send_to_all(self._sent)
            self._is_recorded = True
            return
        await self._send(self.conductor.again(at))

    async def _finish(self, action: Finish) -> None:
        self.outcomes[action.outcome] += 1
        log.info("rollout_finished", rollout=action.rollout, outcome=action.outcome, reason=action.reason)
        item = self._shelf.get(self.conductor.running)
        if item is not None and not self.conductor.under_way and self._sent is None:
            self.hooks.settled(item)
        used = self._tidy()
        keep = self.policy.rollout.keep
        with contextlib.suppress(UnavailableError):
            await self._ledger.scribe.call(lambda history: history.retain(keep, used))

    def _tidy(self) -> frozenset[str]:
        """Let go of bundles that nobody needs; return those that somebody does."""
        newest = {item.name for item in (self._sent, self.candidate) if item is not None}
        used = self.conductor.used | newest
        self._library.keep_only(used)
        return used

    # ── small things ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def base(self) -> Item | None:
        """What runs: what a change is compared with."""
        return self._sent or self._shelf.get(self.conductor.running)

    def compare(self, path: Path) -> ChangeReport:
        """Compare other manifests with what runs. Raises ConfigError if there is nothing to read."""
        return self._proposals.compare(self.base, self.hooks.offline(path), self.policy, self._now())

    @property
    def policy(self) -> PerimeterSpec:
        return self._spec or PerimeterSpec()

    @property
    def _is_careful(self) -> bool:
        """Write first, act then: stages are a promise; and other control planes must be able to follow."""
        return self.policy.rollout.strategy == "staged" or self._ledger.is_shared

    def _now(self) -> Instant:
        return Instant(self._clock())

    def _is_connected(self, edge: str) -> bool:
        """An edge that another control plane serves is heard of, or silent; here it is not known."""
        known = None if edge in self._elsewhere else self._edges.edges.get(edge)
        return known is None or known.is_connected
