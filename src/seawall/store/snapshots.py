"""Snapshots that an edge keeps: the current one, and a way back to the last one that proved itself.

This file: the contract, and the keeper in memory. On disk: `store.sqlite`.
Next room: `seawall.agent.keeper` puts the two together.

    save(mark 1) ─ save(mark 1) ─ save(mark 2) ─ save(mark 3)     restore() goes back to before mark 1;
       good ▲                                                     after promote(2): to after mark 2
"""

from typing import Protocol

import msgspec

from seawall.fleet.bundle import Signed
from seawall.xds.snapshot import EMPTY, Change, Snapshot


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent must not forget when it dies.

    `refused` is the version that killed Envoy twice, `haven` the one that was gone back to then. `deaths` counts the deaths
    of Envoy on the unproven state; `is_running` is set while an Envoy runs: found set at start without an Envoy, it means
    that both died together. `fence` is the newest order obeyed, `pinned` the bundle that the local operator chose. `good`
    are the names of the last-known-good bundles, newest first, `bundles` the descriptions of the states that are current
    and proven here.
    """

    refused: str = ""
    haven: str = ""
    deaths: int = 0
    is_running: bool = False
    fence: int = 0
    pinned: str = ""
    good: tuple[str, ...] = ()
    bundles: tuple[Signed, ...] = ()


class SnapshotStore(Protocol):
    """Current state, journal and memo. Marks never fall from one save to the next."""

    def current(self) -> Snapshot:
        """Return the current snapshot, EMPTY if there is none."""

    def mark(self) -> int:
        """Return the newest mark that has not been promoted, 0 if everything has."""

    def memo(self) -> Memo: ...

    def save(self, change: Change, version: str, mark: int) -> None:
        """Apply `change`, which leads to `version`, under `mark`. Costs O(change)."""

    def promote(self, mark: int) -> None:
        """Everything up to and including `mark` has proved itself: `restore` will not undo it any more."""

    def restore(self) -> Snapshot:
        """Undo everything that was not promoted, exactly; return what is current now."""

    def remember(self, memo: Memo) -> None: ...


class MemorySnapshots:
    """Keeps snapshots as long as the process lives. Costs a pointer for each mark: snapshots share their members."""

    def __init__(self, current: Snapshot = EMPTY, good: Snapshot | None = None, mark: int = 0) -> None:
        """Start from what `store.sqlite` has loaded: `good` is the last proven one if `current` is not."""
        self._current = current
        self._before: dict[int, Snapshot] = {} if good is None or not mark else {mark: good}
        self._memo = Memo()

    def current(self) -> Snapshot:
        return self._current

    def good(self) -> Snapshot:
        """Return the last snapshot that proved itself."""
        return next(iter(self._before.values()), self._current)

    def mark(self) -> int:
        return max(self._before, default=0)

    def memo(self) -> Memo:
        return self._memo

    def save(self, change: Change, version: str, mark: int) -> None:
        self._before.setdefault(mark, self._current)
        self._current = self._current.apply(change)
        assert self._current.version == version

    def promote(self, mark: int) -> None:
        self._before = {later: before for later, before in self._before.items() if later > mark}

    def restore(self) -> Snapshot:
        self._current = self.good()
        self._before.clear()
        return self._current

    def remember(self, memo: Memo) -> None:
        self._memo = memo
