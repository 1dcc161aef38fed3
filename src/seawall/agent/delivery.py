"""Delivery: the way of a bundle to Envoy: proven, within memory, tasted, and with the guardian's leave.

Talks to the disk and to Envoy through the parts of the edge. Every refusal leaves the main Envoy as it is, is said once,
and names who refused.

    Publish ─▶ intake ─▶ memory? pinned? ─▶ taster ─▶ guardian ─Take─▶ keeper (disk), relay ─▶ Envoy
       `seawall edge back` ─▶ a kept bundle ──────────────┘
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from seawall.agent.intake import Accepted, Intake, RefusedError, Refuser
from seawall.agent.parts import Parts, now
from seawall.fleet.bundle import Assignment, Bundle, Limits, Signed
from seawall.fleet.guardian import Offered, Promote, Refuse, Remember, Restore, Take, Vouched
from seawall.fleet.wire import Publish, Refused, Tasted
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.store.kept import Held
from seawall.xds.snapshot import Snapshot

log = structlog.get_logger(__name__)

_STOCK_AFTER = Seconds(2.0)
"""What Envoy has served for so long is kept as a bundle: a stream of edits is not written down twice."""
_MOST_KEPT = 3
_SILENCE = Seconds(0.2)
"""Refusals may come as fast as somebody sends; at most five a second are worth a line."""


class TasteReport(Protocol):
    """What `agent.taster` found."""

    @property
    def is_good(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def figures(self) -> dict[str, float]: ...


class Taster(Protocol):
    """Lets a sacrificial Envoy live with a snapshot."""

    async def taste(
        self, snapshot: Snapshot, limits: Limits, seconds: Seconds, *, base: Snapshot | None = None
    ) -> TasteReport:
        """`base` is what runs now: what it says, too, is no fault of the snapshot."""


class Delivery:
    """What this edge was told, what it runs, and what it can go back to."""

    def __init__(self, parts: Parts, intake: Intake, taster: Taster, on_change: Callable[[], None]) -> None:
        """`on_change` is called when the heartbeat has something new to say."""
        self.taken_at = time.monotonic()
        self._parts = parts
        self._intake = intake
        self._taster = taster
        self._on_change = on_change
        self._wanted: Accepted | None = None
        self._is_cleared = False
        self._described = ""
        self._verdicts: dict[tuple[str, int], str] = {}
        self._refusal: tuple[str, str, str] = ("", "", "")
        self._tasting: tuple[str, asyncio.Task[None]] | None = None
        self._complained_at = float("-inf")
        self._group: asyncio.TaskGroup | None = None
        self._changed_at = time.monotonic()

    def open(self, group: asyncio.TaskGroup) -> None:
        """Take up what the disk holds; tasters run in `group`."""
        self._group = group
        description = self.running()
        if description is not None:
            self._describe(*description)

    def close(self) -> None:
        """Taste no more."""
        self._stop_tasting()

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pinned(self) -> str:
        return self._parts.keeper.memo().pinned

    @property
    def wanted(self) -> Accepted | None:
        return self._wanted

    @property
    def is_tasting(self) -> bool:
        return self._tasting is not None

    @property
    def refusal(self) -> str:
        """Say what was refused last, since something else was obeyed; empty if nothing was."""
        by, bundle, reason = self._refusal
        return f"{bundle[:12]}, by {by}: {reason}" if by else ""

    @property
    def obeyed(self) -> int:
        """The fence of the order that Envoy follows now; 0 while it follows none."""
        wanted = self._wanted
        is_followed = wanted is not None and self._is_cleared and self._described == wanted.bundle.name
        return wanted.assignment.fence if wanted is not None and is_followed else 0

    def held(self) -> Snapshot:
        """What the control plane may build on: what it sent last, even if Envoy does not run it."""
        return self._parts.keeper.current() if self._intake.received is None else self._intake.received

    def running(self) -> tuple[Bundle, Signed] | None:
        """Describe what Envoy is given; None where nobody has ever named it."""
        return self._description(self._parts.keeper.current().version)

    def name_of(self, version: str) -> str:
        """Name the bundle of a version; empty for one that nobody has named."""
        description = self._description(version)
        return description[0].name if description is not None else ""

    def kept(self) -> tuple[Held, ...]:
        """What this edge can go back to by itself: last-known-good ones first, then the newest."""
        held, good = self._parts.cellar.all(), self._parts.keeper.memo().good
        others = sorted((one for name, one in held.items() if name not in good), key=lambda one: -one.saved_at)
        return (*(held[name] for name in good if name in held), *others)

    def _description(self, version: str) -> tuple[Bundle, Signed] | None:
        for signed in self._parts.keeper.memo().bundles:
            bundle = _decoded(signed)
            if bundle.version == version:
                return bundle, signed
        held = self._parts.cellar.find(version)
        if held is not None:
            return held.bundle, held.signed
        wanted = self._wanted
        return (wanted.bundle, wanted.signed) if wanted is not None and wanted.bundle.version == version else None

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, message: Publish) -> None:
        """Take what the control plane publishes. Raises OutOfStepError where it builds on what we lack."""
        try:
            accepted = self._intake.take(message, self._find, self._parts.keeper.memo().fence)
            self._admit(accepted)
        except RefusedError as exc:
            self._refuse(exc.by, exc.bundle, str(exc))
            return
        self._wanted = accepted
        self._begin()

    def _find(self, version: str) -> Snapshot | None:
        current = self._parts.keeper.current()
        if current.version == version:
            return current
        held = self._parts.cellar.find(version)
        return held.snapshot if held is not None else None

    def _admit(self, accepted: Accepted) -> None:
        """Raise RefusedError for what this host cannot run, or must not now."""
        name, assignment = accepted.bundle.name, accepted.assignment
        try:
            self._parts.supervisor.check(accepted.bundle.limits)
        except ConfigError as exc:
            raise RefusedError(
                "memory", name, f"This host cannot give what it asks for: {exc} {exc.hint}".strip()
            ) from exc
        self._parts.remember(fence=assignment.fence, good=assignment.keep[:_MOST_KEPT])
        self._stock()
        if self.pinned and not (assignment.is_proven and name == self.pinned):
            self._wanted = accepted
            reason = f"A local operator has pinned the bundle {self.pinned[:12]} on this edge: seawall edge unpin."
            raise RefusedError("operator", name, reason)

    def _begin(self) -> None:
        """Bring what is wanted on its way."""
        assert self._wanted is not None
        wanted, name = self._wanted, self._wanted.bundle.name
        self._parts.uplink.unsay(Refused, Tasted)
        self._refusal = ("", "", "")
        self._vouch(wanted.assignment)
        order = wanted.assignment
        running = self.running()
        is_running = running is not None and running[0].name == name
        if order.taste <= 0 or order.is_proven or is_running:
            self._stop_tasting()
            self._clear()
            return
        self._is_cleared = False
        verdict = self._verdicts.get((name, order.fence))
        if verdict is not None:
            self._judge(wanted, verdict)
        elif self._tasting is None or self._tasting[0] != name:
            self._stop_tasting()
            assert self._group is not None
            self._tasting = (name, self._group.create_task(self._taste(wanted), name="agent-taste"))

    def _vouch(self, assignment: Assignment) -> None:
        """Where changes go out in stages, what the fleet has lived with is the way back; else the state before."""
        held = next((one for name in assignment.keep if (one := self._parts.cellar.get(name)) is not None), None)
        version = held.bundle.version if held is not None and assignment.rollout else ""
        self._parts.guardian.handle(Vouched(version=version))

    # ── the taster ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _taste(self, wanted: Accepted) -> None:
        name, began = wanted.bundle.name, time.monotonic()
        log.info("bundle_tasting_begun", bundle=name, seconds=wanted.assignment.taste)
        try:
            limits, seconds, base = wanted.bundle.limits, wanted.assignment.taste, self._parts.keeper.current()
            report = await self._taster.taste(wanted.snapshot, limits, seconds, base=base if len(base) else None)
            verdict, figures = "" if report.is_good else report.reason or "It is bad.", report.figures
        except (ConfigError, UnavailableError, OSError) as exc:
            # What cannot be tasted is not safe: no news is bad news.
            verdict, figures = f"It could not be tasted: {exc}", {}
        # Not cancelled until here, so this is what is wanted still, if by a newer order.
        self._tasting = None
        if self._wanted is None or self._wanted.bundle.name != name:
            return
        self._verdicts = {(name, self._wanted.assignment.fence): verdict}
        if not verdict:
            self._parts.uplink.say(Tasted(bundle=name, took=time.monotonic() - began, report=dict(figures)))
        self._judge(self._wanted, verdict)

    def _judge(self, wanted: Accepted, verdict: str) -> None:
        if verdict:
            self._refuse("taster", wanted.bundle.name, verdict[:1].upper() + verdict[1:])
            return
        self._clear()

    def _clear(self) -> None:
        self._is_cleared, self.taken_at = True, time.monotonic()
        self.offer()

    def _stop_tasting(self) -> None:
        if self._tasting is not None:
            self._tasting[1].cancel()
            self._tasting = None

    # ── to Envoy ─────────────────────────────────────────────────────────────────────────────────────────────────

    def offer(self) -> None:
        """Ask the guardian whether to run what is wanted; may be asked again and again."""
        wanted = self._wanted
        if wanted is None or not self._is_cleared or (self.pinned and wanted.bundle.name != self.pinned):
            return
        self._run(wanted, is_proven=wanted.assignment.is_proven)

    def _run(self, target: "Accepted | Held", *, is_proven: bool) -> None:
        had_fallback = self._parts.guardian.fallback
        version = target.bundle.version
        for action in self._parts.guardian.handle(Offered(at=now(), version=version, is_proven=is_proven)):
            match action:
                case Take(mark=mark):
                    self._take(target, mark)
                case Promote(mark=mark):
                    self._parts.keeper.promote(mark)
                case Remember(refused=refused, deaths=deaths, haven=haven):
                    self._parts.remember(refused=refused, deaths=deaths, haven=haven)
                case Refuse(reason=reason, is_for_now=True):
                    # The control plane sees that we wait; the candidate has done nothing wrong.
                    self._put_off(reason)
                case Refuse(reason=reason):
                    self._refuse("guardian", target.bundle.name, reason)
        if self._parts.keeper.current().version == version:
            self._describe(target.bundle, target.signed)
        if self._parts.guardian.fallback != had_fallback:
            self._on_change()

    def _take(self, target: "Accepted | Held", mark: int) -> None:
        current = self._parts.keeper.current()
        if isinstance(target, Accepted) and target.base == current.version:
            change = target.change
        else:
            change = target.snapshot.difference(current)
        self._changed_at = time.monotonic()
        self._parts.keeper.save(change, target.bundle.version, mark)
        self._parts.relay.take(change, target.bundle.version)

    def _describe(self, bundle: Bundle, signed: Signed) -> None:
        """Note what it is that runs, and start the next Envoy with its limits."""
        if self._described == bundle.name:
            return
        self._described = bundle.name
        good = self._description(self._parts.keeper.good().version)
        self._parts.remember(bundles=(signed,) if good is None or good[1] == signed else (signed, good[1]))
        try:
            self._parts.supervisor.limit(bundle.limits)
        except ConfigError as exc:
            log.error("bundle_limits_not_used", bundle=bundle.name, reason=str(exc))
        self._on_change()

    def restore(self, action: Restore) -> None:
        """Go back, because Envoy has died; the next one is started on it."""
        keeper, refused = self._parts.keeper, self.name_of(action.refused) or action.refused
        held, mark = self._parts.cellar.find(action.version), keeper.mark() + 1
        description = self._description(action.version)
        restored = keeper.restore()
        if held is not None and restored.version != action.version:
            keeper.save(held.snapshot.difference(restored), held.bundle.version, mark)
            keeper.promote(mark)
        log.error("snapshot_restored", version=keeper.current().version, reason=action.reason)
        if description is not None:
            self._describe(*description)
        else:
            self._described = ""
            self._parts.supervisor.limit(Limits())
        self._changed_at = time.monotonic()
        self._refuse("guardian", refused, action.reason)

    # ── the way back ─────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, *, is_settled: bool) -> None:
        """Keep what has served for a moment, and try again what is wanted."""
        if is_settled and time.monotonic() - self._changed_at > _STOCK_AFTER:
            self._stock(serves=True)
        self.offer()

    def _stock(self, *, serves: bool = False) -> None:
        """Keep what runs, if it is good or `serves`; forget what is neither last-known-good nor in use."""
        keeper, cellar = self._parts.keeper, self._parts.cellar
        description, good = self.running(), keeper.memo().good
        if description is not None and (serves or description[0].name in good):
            bundle, signed = description
            if cellar.get(bundle.name) is None:
                saved_at = Instant(time.time())
                cellar.save(Held(bundle=bundle, signed=signed, snapshot=keeper.current(), saved_at=saved_at))
        names = {*good, self.pinned, description[0].name if description is not None else ""}
        if not good:
            names.update(one.bundle.name for one in self.kept()[: _MOST_KEPT + 1])
        cellar.retain(frozenset(names))

    def back(self, name: str = "") -> Held:
        """Run a kept bundle, the newest last-known-good one if none is named, and nothing else until unpinned.

        Raises ConfigError where there is none.
        """
        running = self.running()
        kept = self.kept()
        if name:
            chosen = [one for one in kept if one.bundle.name.startswith(name)]
        else:
            chosen = [one for one in kept if running is None or one.bundle.name != running[0].name][:1]
        if len(chosen) != 1:
            what = f"no bundle {name}" if name else "no other bundle"
            names = ", ".join(one.bundle.name[:12] for one in kept) or "none"
            raise ConfigError(f"this edge keeps {what}.", hint=f"Kept are: {names}.")
        self._stop_tasting()
        self._parts.remember(pinned=chosen[0].bundle.name)
        log.warning("bundle_pinned", bundle=chosen[0].bundle.name)
        self._run(chosen[0], is_proven=True)
        self._on_change()
        return chosen[0]

    def unpin(self) -> str:
        """Obey the control plane again; return what was pinned."""
        pinned = self.pinned
        if pinned:
            self._parts.remember(pinned="")
            log.warning("bundle_unpinned", bundle=pinned)
            if self._wanted is not None:
                self._begin()
            self._on_change()
        return pinned

    def _put_off(self, reason: str) -> None:
        if time.monotonic() - self._complained_at > _SILENCE:
            self._complained_at = time.monotonic()
            log.warning("bundle_put_off", reason=reason[:500])

    def _refuse(self, by: Refuser, bundle: str, reason: str) -> None:
        """Say it once: whoever asks again and again gets no line of the log each time."""
        if self._refusal[:2] != (by, bundle) or (by != "guardian" and self._refusal[2] != reason):
            if time.monotonic() - self._complained_at > _SILENCE:
                self._complained_at = time.monotonic()
                log.error("bundle_refused", bundle=bundle, by=by, reason=reason[:500])
            self._parts.uplink.say(Refused(bundle=bundle, by=by, reason=reason[:2000]))
        self._refusal = (by, bundle, reason)


def _decoded(signed: Signed) -> Bundle:
    return msgspec.msgpack.decode(signed.body, type=Bundle)
