"""Enforcer: has Envoy act on the verdicts that the control plane sends, within milliseconds, without a bundle or a rollout.

Talks to the relay beside it, and keeps what is in force in a file, so that an agent that is started anew, and an Envoy that is,
act on it though nobody is there to tell them. Each verdict ends by Envoy's own clock, whatever becomes of this process.

    uplink ──Verdicts──▶ holding ─▶ envoy.verdicts ─▶ relay ──ECDS──▶ Envoy
           ◀──Held────── enforcer ◀───────────────────────ACK, NACK────┘
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec
import structlog

from seawall.agent.firewall import Firewall
from seawall.agent.relay import Relay
from seawall.envoy.acts import ENFORCE_PCT
from seawall.envoy.verdicts import Judged, Prepared, judge, keys, prepare
from seawall.fleet.holding import UNKNOWN, Holding
from seawall.fleet.nftables import dropped
from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Held, Verdicts
from seawall.kit.units import Instant
from seawall.xds.resource import Resource

log = structlog.get_logger(__name__)

_PATIENCE = 5.0
"""An Envoy that has not answered for so long has other troubles; what it was given stays with the relay."""
_POLL = 0.002
_LOOK = 1.0
_SAVE = 1.0
_MOST_REFUSED = 100
"""So many refusals are told by id; the number of entries says the rest."""
_LONGEST_FILE = 256 << 20


class Enforcer:
    """The verdicts of one edge."""

    def __init__(self, relay: Relay, firewall: Firewall, say: Callable[[Held], None], file: Path) -> None:
        self._refusal = ""
        self._relay = relay
        self._firewall = firewall
        self._say = say
        self._file = file
        self._holding = Holding()
        self._prepared: dict[str, dict[str, Prepared | str]] = {}
        self._judged: dict[str, Judged] = {}
        self._heard_at = 0.0
        self._wake = asyncio.Event()
        self._unsaved = asyncio.Event()

    def gauges(self) -> dict[str, float]:
        """Count what is in force, for monitoring."""
        return {
            "verdicts": float(len(self._holding)),
            "verdicts_refused": float(len(self._refused())),
            "networks_dropped": float(self._firewall.dropped),
            "kernel_refuses": float(bool(self._firewall.problem)),
        }

    @property
    def problem(self) -> str:
        """What an operator should see to; empty if nothing."""
        return self._refusal or self._firewall.problem

    async def load(self) -> None:
        """Read what an earlier agent has kept. A file that cannot be read is none."""
        try:
            self._holding.load(await asyncio.to_thread(_read, self._file), _now())
        except (OSError, ValueError, msgspec.DecodeError) as exc:
            log.warning("verdicts_not_read", file=str(self._file), reason=str(exc))
        if not dropped(self._holding.entries, _now()):
            # What an agent that was killed has left in the kernel; where there is something to drop, it is written anew.
            await self._firewall.remove()
        await self._judge(self._holding.changed(_now()))

    async def close(self) -> None:
        """Leave nothing in the kernel."""
        await self._firewall.remove()

    def take(self, message: Verdicts) -> None:
        """Obey the control plane."""
        step = self._holding.take(message, _now())
        if step == "hole":
            self._say(Held(number=UNKNOWN, entries=len(self._holding)))
        elif step == "taken":
            self._heard_at = self._heard_at or time.monotonic()
            self._wake.set()
            self._unsaved.set()

    async def run(self) -> None:
        """Enforce what is held, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(), name="enforcer-keep")
            while True:
                try:
                    async with asyncio.timeout(_LOOK):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                heard_at, self._heard_at = self._heard_at, 0.0
                number = self._holding.number
                await self._enforce()
                if heard_at:
                    self._tell(number, time.monotonic() - heard_at)

    async def _enforce(self) -> None:
        changed = self._holding.changed(_now())
        await self._judge(changed)
        # Verdicts that only look are none for the kernel, which knows of no runtime.
        entries = self._holding.entries if self._relay.runtime_number(ENFORCE_PCT, 100) > 0 else ()
        await self._firewall.sync(entries, self._relay.ports(), _now())

    async def _judge(self, changed: Mapping[str, Collection[Entry]]) -> None:
        if not changed:
            return
        try:
            built = [await self._built(slot, entries) for slot, entries in changed.items()]
        except BaseException:
            self._holding.stale_again(changed)
            raise
        # Equal ones are told again: the relay knows that it has them.
        resources = [keys(fields for one in self._judged.values() for fields in one.fields), *built]
        self._relay.judge(resources)
        await self._acknowledged(resources)

    async def _built(self, slot: str, entries: Collection[Entry]) -> Resource:
        """Build a slot; what is unchanged in it is not prepared again."""
        known = self._prepared.get(slot, {})
        # On a thread: ten thousand take a while, and Envoy may want to talk to us.
        made, judged = await asyncio.to_thread(_build, slot, entries, known, self._relay.chains())
        self._prepared[slot], self._judged[slot] = made, judged
        return judged.resource

    async def _acknowledged(self, resources: Collection[Resource]) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and not self._relay.is_judging():  # noqa: ASYNC110
            await asyncio.sleep(_POLL)  # the stream says when all is applied, and something else may never be
        refused = [message for one in resources if (message := self._relay.refused_judge(one.ref))]
        problem = f"Envoy refuses the verdicts and acts on those before: {refused[0][:300]}" if refused else ""
        if problem and problem != self._refusal:
            log.error("verdicts_refused", reason=problem)
        self._refusal = problem

    def _tell(self, number: int, took: float) -> None:
        refused = self._refused()
        if self._refusal:
            refused = {"": self._refusal}
        self._say(Held(number=number, entries=len(self._holding), refused=refused, took=took))
        log.info(
            "verdicts_enforced", number=number, entries=len(self._holding), refused=len(refused), took=round(took, 4)
        )

    def _refused(self) -> dict[str, str]:
        found = dict(self._holding.refused)
        for slot, made in self._prepared.items():
            found |= {name: one for name, one in made.items() if isinstance(one, str)}
            found |= self._judged[slot].refused
        return dict(list(found.items())[:_MOST_REFUSED])

    async def _keep(self) -> None:
        """Keep what is held on the disk: soon, at most once a second, and at the end."""
        try:
            while True:
                await self._unsaved.wait()
                self._unsaved.clear()
                await self._save()
                await asyncio.sleep(_SAVE)
        finally:
            if self._unsaved.is_set():
                await asyncio.shield(self._save())

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(_write, self._file, self._holding.entries)
        except OSError as exc:
            log.warning("verdicts_not_kept", file=str(self._file), reason=str(exc))


def _build(
    slot: str, entries: Collection[Entry], known: dict[str, Prepared | str], chains: int
) -> tuple[dict[str, Prepared | str], Judged]:
    made: dict[str, Prepared | str] = {}
    for entry in entries:
        one = known.get(entry.id)
        is_same = isinstance(one, Prepared) and one.entry == entry
        made[entry.id] = one if is_same and one is not None else prepare(entry, slot)
    return made, judge(slot, [one for one in made.values() if isinstance(one, Prepared)], chains)


def _read(file: Path) -> tuple[Entry, ...]:
    if not file.exists():
        return ()
    if file.stat().st_size > _LONGEST_FILE:
        raise ValueError("it is too long to be ours.")
    return msgspec.msgpack.decode(file.read_bytes(), type=tuple[Entry, ...])


def _write(file: Path, entries: tuple[Entry, ...]) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(msgspec.msgpack.encode(entries))
    fresh.rename(file)


def _now() -> Instant:
    """Read the clock that verdicts end by, which is Envoy's."""
    return Instant(time.time())
