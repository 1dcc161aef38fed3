"""History: what a control plane must not forget: bundles, the log of rollouts, who leads, what each edge was told.

This file: the contract. Embedded: `store.sqlite_history`; for several control planes: `store.postgres_history`; both pass
the same tests. Calls block; the shell makes them on a thread of its own.

Everything that changes what edges do is written under the leader's epoch: a leader that has been replaced meanwhile gets
a FencedError and stops. Entries of the log are numbered without a gap.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from seawall.fleet.bundle import Bundle, Signed
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.xds.snapshot import Snapshot


class FencedError(UnavailableError):
    """Another control plane leads now. Whoever gets this must stop deciding at once."""


class DamagedError(UnavailableError):
    """What is stored is not what was written; the message names it. It is never handed out."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the log that is to be written: it has no number yet."""

    stream: str
    at: Instant
    kind: str
    body: bytes


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log. `stream` is the rollout's id, or `perimeter`; `kind` is `event` or `action`; `body` is JSON with
    its tag. `number` counts over all streams, from 1, without a gap."""

    number: int
    at: Instant
    stream: str
    kind: str
    body: bytes


class KeptBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle without its resources. `good_since` 0: it has not baked."""

    bundle: Bundle
    signed: Signed
    saved_at: Instant
    good_since: Instant = Instant(0.0)
    resources: int = 0
    bytes: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The newest order to one edge."""

    edge: str
    revision: int
    assignment: Signed


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge said last to whichever control plane serves it: `body` is a `fleet.wire` message, `kind` its tag."""

    edge: str
    kind: str
    revision: int
    at: Instant
    body: bytes


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command that somebody gave to any of the control planes, for the leader to take up once."""

    number: int
    at: Instant
    body: bytes


class RolloutHistory(Protocol):
    """All methods raise UnavailableError where the database is away or refuses (full disk); nothing is half done."""

    def lead(self, holder: str, at: Instant) -> int | None:
        """Become or stay leader; return the epoch, None if another one leads. A new leader's epoch is greater than every
        one before and not less than `at`; so it grows even if the database was lost. Call it every second or so. Whoever
        gets another epoch than the one it had has been replaced meanwhile, and reads the log anew."""

    def resign(self, holder: str) -> None:
        """Stop being leader, so that the next one need not wait."""

    def save_bundle(self, signed: Signed, snapshot: Snapshot, at: Instant) -> None:
        """Keep a bundle with all of its resources. Saving what is there already changes nothing: bundles are immutable.
        Raises InvariantError for a snapshot that is not the bundle's content."""

    def bundle(self, name: str) -> tuple[KeptBundle, Snapshot] | None:
        """Read a bundle and prove that it is the one that was saved. Raises DamagedError."""

    def bundles(self) -> tuple[KeptBundle, ...]:
        """Newest first."""

    def mark_good(self, epoch: int, name: str, at: Instant) -> None:
        """It has baked; the first time counts. Raises FencedError, and UnavailableError for a bundle that is not there."""

    def retain(self, keep: int, used: frozenset[str]) -> int:
        """Forget all bundles but the `keep` newest, the three newest good ones and those in `used`; return how many
        went. Log entries that are older than the oldest of the `keep` newest go too: from the front, whole rollouts at a
        time, and none that `state` does not cover. So what is left has no gap."""

    def append(
        self,
        epoch: int,
        lines: Sequence[Line],
        *,
        after: int | None = None,
        answers: Sequence[int] = (),
    ) -> int:
        """Write to the log, all or nothing; return the last number. Raises FencedError.

        Args:
            epoch: whose word it is.
            lines: of any streams, in order.
            after: the number that the caller takes for the last. It makes the call safe to repeat when its answer was lost:
                entries that stand there already are not written again; others in their place raise FencedError.
            answers: numbers of commands from `asked(keep=True)` that are done with these entries, in the same transaction.
        """

    def log(self, *, stream: str | None = None, after: int = 0, limit: int = 10_000) -> tuple[Entry, ...]:
        """Read the log in order. Raises DamagedError."""

    def streams(self, limit: int = 100) -> tuple[str, ...]:
        """Return the ids of rollouts, newest first."""

    def save_state(self, epoch: int, number: int, body: bytes) -> None:
        """Keep the machine's state after entry `number`, so that a start need not read the whole log."""

    def state(self) -> tuple[int, bytes] | None: ...

    def tell(self, epoch: int, assignments: Mapping[str, Signed]) -> int:
        """Set what edges are told; return the new revision. Raises FencedError."""

    def told(self, after: int = 0) -> tuple[Told, ...]:
        """Return the orders newer than a revision."""

    def hear(self, messages: Sequence[tuple[str, str, Instant, bytes]]) -> None:
        """Note what edges said: (edge, kind, at, body); the last of each edge and kind counts."""

    def heard(self, after: int = 0) -> tuple[Heard, ...]: ...

    def ask(self, at: Instant, body: bytes) -> int:
        """Leave a command for the leader; return its number."""

    def asked(self, epoch: int, *, keep: bool = False) -> tuple[Asked, ...]:
        """Take the commands that nobody has taken yet, each once. Raises FencedError. With `keep` they stay until `append`
        answers them: then the death of the leader in between neither loses a command nor repeats one."""

    def close(self) -> None: ...
