"""Guardian: keeps one Envoy alive: when to start it again, when a state is proven, when to go back to the one before.

Pure: time and luck arrive inside events; what to do leaves as actions. `seawall.agent.agent` carries them out.

    Offered ─▶ Take ─(mark)─▶ Settled ─60 s alive─▶ Promote
                        └─ Died ─▶ Start ─ Died ─▶ Restore, Start; that version is refused
    Offered(is_proven) ─▶ Take, Promote

A *mark* groups the changes of five seconds: what is promoted or undone together. While any mark is unproven, a death is
held against the newest state: what kills Envoy within a minute is most often what it was just given.
"""

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from seawall.kit.units import Instant, Seconds

PROBATION: Final = Seconds(60.0)
"""A state is proven when Envoy has lived for so long with it."""
DEATHS: Final = 2
"""So many deaths on an unproven state, and it is undone."""
_MARK_LENGTH: Final = Seconds(5.0)
_FIRST_DELAY: Final = Seconds(0.5)
_LONGEST_DELAY: Final = Seconds(15.0)
_LONGEST_HOLD: Final = Seconds(600.0)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Booted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The agent has started. `is_adopted`: an Envoy of an earlier agent is alive and ours now. `was_running`: an Envoy
    ran when the earlier agent died, and is gone."""

    at: Instant
    is_adopted: bool
    was_running: bool


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An Envoy process runs."""

    at: Instant


class Died(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The Envoy process is gone, and nobody had asked it to go. `luck` in [0, 1) spreads restarts over a fleet."""

    at: Instant
    reason: str
    luck: float = 0.0


class Offered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The control plane wants `version` here. May be offered again and again while it is refused. `is_proven`: the fleet
    has lived with it, so it is taken even if it was refused here once, and nothing before it is gone back to."""

    at: Instant
    version: str
    is_proven: bool = False


class Vouched(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The fleet has lived with `version`, and it is on this disk: the way back from now on. Empty: there is none."""

    version: str


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Envoy has answered to every resource of `version`. `is_serving`: it has at least one listener."""

    at: Instant
    version: str
    is_serving: bool


class Ticked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Time has passed."""

    at: Instant


Event = Booted | Started | Died | Offered | Vouched | Settled | Ticked


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Take(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Store the offered version under `mark` and give it to Envoy."""

    version: str
    mark: int


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Leave Envoy on what it has, and say why. `is_for_now`: it is not about this version, whose turn comes by itself."""

    version: str
    reason: str
    is_for_now: bool = False


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start an Envoy after so long."""

    after: Seconds


class Restore(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Go back to `version` before the next start: undo everything that is not proven, or take what is kept. `refused` has
    killed Envoy."""

    version: str
    refused: str
    reason: str


class Promote(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Everything up to `mark` is proven."""

    mark: int


class Remember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write down what a later agent on this host must know: what is refused, how often Envoy died on what is unproven, and
    `haven`, where we fell to from what is refused."""

    refused: str = ""
    deaths: int = 0
    haven: str = ""


NOTHING_REMEMBERED: Final = Remember()
Action = Take | Refuse | Start | Restore | Promote | Remember


class _Trial(msgspec.Struct, kw_only=True):
    """One mark, unproven: the versions that were taken under it, oldest first."""

    mark: int
    begun_at: Instant
    versions: list[str]
    settled_at: Instant | None = None


class Guardian:
    """The state of one edge. `fallback` says why Envoy does not run what is wanted; empty if it does."""

    def __init__(
        self,
        *,
        mark: int,
        version: str,
        good: str,
        remembered: Remember = NOTHING_REMEMBERED,
        vouched: str = "",
    ) -> None:
        """Take up what the store holds.

        Args:
            mark: the newest unproven mark, 0 if the current state is proven.
            version: the current state's.
            good: the last proven state's; empty if there is none that serves anything, so nothing to go back to.
            remembered: what an earlier agent has written down.
            vouched: the newest version that the fleet has lived with, if it is on this disk.
        """
        self.fallback = ""
        self.deaths = 0
        self._good = good
        self._vouched = vouched
        self._version = version
        self._refused = remembered.refused
        self._haven = remembered.haven
        """Where we fell to from what is refused. Only from there it is: an edge that was taken elsewhere since, and is called
        back to it, must not stay on what everybody else has left."""
        self._next_mark = mark + 1
        self._trials = [_Trial(mark=mark, begun_at=Instant(float("-inf")), versions=[version])] if mark else []
        self._suspicions = [mark] * remembered.deaths if mark else []
        self._started_at: Instant | None = None
        self._has_settled = False
        self._failures = 0
        self._fallbacks = 0
        self._held_until = Instant(0.0)

    @property
    def has_settled(self) -> bool:
        """Envoy has acknowledged a whole state with listeners since it started. Later changes do not take it back."""
        return self._has_settled

    def handle(self, event: Event) -> Sequence[Action]:
        match event:
            case Booted():
                return self._booted(event)
            case Started(at=at):
                self._started_at = at
                return []
            case Died():
                return self._died(event.at, event.reason, event.luck)
            case Offered():
                return self._offered(event)
            case Vouched(version=version):
                self._vouched = version
                return []
            case Settled():
                return self._settled(event)
            case Ticked(at=at):
                return self._promoted(at)
            case _:
                assert_never(event)

    def _booted(self, event: Booted) -> list[Action]:
        if event.is_adopted:
            self._started_at = event.at
            return []
        if event.was_running and self._trials:
            # Both died at once (out of memory, host): if the new state did it, it would do it for ever.
            return self._died(event.at, "Envoy and its agent died together", 0.0)
        return [Start(after=Seconds(0.0))]

    def _died(self, at: Instant, reason: str, luck: float) -> list[Action]:
        self.deaths += 1
        has_lived = self._started_at is not None and at - self._started_at >= PROBATION
        self._failures = 0 if has_lived else self._failures + 1
        self._started_at, self._has_settled = None, False
        for trial in self._trials:
            trial.settled_at = None
        if not self._trials:
            return [Start(after=self._delay(luck))]
        self._suspicions = [*self._suspicions, self._trials[-1].mark][-DEATHS:]
        way_back = self._way_back()
        if len(self._suspicions) < DEATHS or not way_back:
            return [self._memo(), Start(after=self._delay(luck))]
        return self._fell_back(at, reason, way_back)

    def _way_back(self) -> str:
        """What the fleet has lived with, before what only this edge has, for a minute."""
        return self._vouched if self._vouched and self._vouched != self._version else self._good

    def _fell_back(self, at: Instant, reason: str, way_back: str) -> list[Action]:
        self._refused, self._haven = self._version, way_back
        self._version = self._good = way_back
        self._trials, self._suspicions, self._failures = [], [], 0
        self._fallbacks += 1
        if self._fallbacks > 1:
            # The next version was no better. A stream of changes must not become a stream of crashes.
            self._held_until = Instant(at + min(PROBATION * 2 ** (self._fallbacks - 2), _LONGEST_HOLD))
        self.fallback = (
            f"Envoy died {DEATHS} times on version {self._refused} before it had lived for {PROBATION:g} s with it "
            f"(last: {reason}); the last proven state serves."
        )
        restore = Restore(version=way_back, refused=self._refused, reason=self.fallback)
        return [restore, self._memo(), Start(after=Seconds(0.0))]

    def _delay(self, luck: float) -> Seconds:
        """The first restart is immediate: one crash is most often just one crash."""
        if self._failures <= 1:
            return Seconds(0.0)
        full = min(_FIRST_DELAY * 2.0 ** (self._failures - 2), _LONGEST_DELAY)
        return Seconds(full * (0.5 + luck / 2))

    def _offered(self, event: Offered) -> list[Action]:
        if event.is_proven and (event.version != self._version or self._trials):
            return self._taken_on_trust(event.version)
        if event.version == self._version:
            self.fallback = ""
            return []
        if event.version == self._refused and self._version == self._haven:
            self.fallback = self.fallback or f"Version {event.version} has killed Envoy {DEATHS} times here."
            return [Refuse(version=event.version, reason=self.fallback)]
        if event.at < self._held_until:
            wait = self._held_until - event.at
            said = self.fallback or "Envoy died of several versions in a row."
            return [
                Refuse(version=event.version, reason=f"{said} The next one is tried in {wait:.0f} s.", is_for_now=True)
            ]
        self.fallback, self._version = "", event.version
        newest = self._trials[-1] if self._trials else None
        if newest is not None and event.at - newest.begun_at < _MARK_LENGTH:
            newest.versions.append(event.version)
            newest.settled_at = None
            return [Take(version=event.version, mark=newest.mark)]
        mark, self._next_mark = self._next_mark, self._next_mark + 1
        self._trials.append(_Trial(mark=mark, begun_at=event.at, versions=[event.version]))
        return [Take(version=event.version, mark=mark)]

    def _taken_on_trust(self, version: str) -> list[Action]:
        take = []
        if version != self._version:
            take, self._next_mark = [Take(version=version, mark=self._next_mark)], self._next_mark + 1
        self.fallback, self._version, self._good = "", version, version
        self._trials, self._suspicions, self._held_until = [], [], Instant(0.0)
        self._refused = "" if self._refused == version else self._refused
        return [*take, Promote(mark=self._next_mark - 1), self._memo()]

    def _settled(self, event: Settled) -> list[Action]:
        self._has_settled = self._has_settled or event.is_serving
        reached = next((i for i, trial in enumerate(self._trials) if event.version in trial.versions), -1)
        for index, trial in enumerate(self._trials):
            # The mark that is still being written to is settled only by its last version.
            if index < reached or (index == reached and event.version == trial.versions[-1]):
                trial.settled_at = event.at if trial.settled_at is None else trial.settled_at
        return self._promoted(event.at)

    def _promoted(self, at: Instant) -> list[Action]:
        """Prove, oldest first, every mark that Envoy has lived with for long enough without a break."""
        if self._started_at is None:
            return []
        proven = 0
        while self._trials:
            oldest = self._trials[0]
            if oldest.settled_at is None or at - max(oldest.settled_at, self._started_at) < PROBATION:
                break
            proven, self._good = oldest.mark, oldest.versions[-1]
            del self._trials[0]
        if not proven:
            return []
        self._fallbacks = 0
        self._suspicions = [mark for mark in self._suspicions if mark > proven]
        return [Promote(mark=proven), self._memo()]

    def _memo(self) -> Remember:
        return Remember(refused=self._refused, deaths=len(self._suspicions), haven=self._haven)
