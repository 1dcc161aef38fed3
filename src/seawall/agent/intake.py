"""Intake: what the control plane publishes, taken to pieces and proven before anything of it is used.

Talks to two small files of public keys. Signatures, fences and names are those of `fleet.bundle`.
Next room: `agent.delivery` takes what is accepted on its way to Envoy.

    Publish ─▶ fits what we hold? ─▶ right bytes? ─▶ known key? ─▶ for us, not older? ─▶ Accepted
                  └ OutOfStepError      └ content       └ signature    └ signature, fence    (RefusedError)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from seawall.agent.settings import AgentSettings
from seawall.agent.uplink import OutOfStepError
from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, ForgedError, Signed, read_assignment, read_bundle
from seawall.fleet.wire import Publish
from seawall.kit.digest import digest
from seawall.kit.errors import ConfigError
from seawall.xds.snapshot import EMPTY, Change, Snapshot

log = structlog.get_logger(__name__)

Refuser = Literal["signature", "fence", "content", "memory", "taster", "guardian", "operator"]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that may run here. `change` leads to its snapshot from the version `base`."""

    snapshot: Snapshot
    base: str
    change: Change
    bundle: Bundle
    signed: Signed
    assignment: Assignment


class RefusedError(Exception):
    """What was published is not run, and `by` whom it was refused; the message is a sentence for people."""

    def __init__(self, by: Refuser, bundle: str, reason: str) -> None:
        super().__init__(reason)
        self.by = by
        self.bundle = bundle


class Trust:
    """The public keys whose orders are obeyed: of the settings; without any, the first key that comes is kept."""

    def __init__(self, settings: AgentSettings) -> None:
        """Raises ConfigError for keys that are none."""
        self._own = frozenset(_key(key, "the settings") for key in settings.trusted)
        self._file = Path(settings.trust_file) if settings.trust_file else None
        self._first = Path(settings.state_dir) / "trusted.keys"
        self._learnt: frozenset[str] = frozenset()
        if self._file is not None:
            self.keys()

    @property
    def is_configured(self) -> bool:
        return bool(self._own) or self._file is not None

    def keys(self) -> frozenset[str]:
        """Read the keys, as they are now; none: nobody has been trusted yet. Raises ConfigError."""
        if not self.is_configured:
            return _read(self._first) if self._first.exists() else self._learnt
        return self._own | (_read(self._file) if self._file is not None else frozenset())

    def learn(self, key: str) -> None:
        """Trust the first key that came. A disk that refuses forgets it with this process."""
        self._learnt = frozenset({key})
        log.warning("control_plane_key_trusted_on_first_use", key=key, file=str(self._first))
        try:
            self._write(key)
        except OSError as exc:
            log.error("trusted_key_not_kept", file=str(self._first), reason=str(exc))

    def replace(self, key: str) -> None:
        """Trust this key, and no other, from now on. Raises ConfigError."""
        if self.is_configured:
            raise ConfigError(
                "the keys that this edge trusts stand in its settings.",
                hint=f"Change {self._file}." if self._file is not None else "Start the agent with the other --trust.",
            )
        key = _key(key, "the command")
        try:
            self._write(key)
        except OSError as exc:
            raise ConfigError(f"{self._first} cannot be written: {exc.strerror}.", hint="See to the disk.") from exc
        log.warning("control_plane_key_trusted", key=key, file=str(self._first))

    def _write(self, key: str) -> None:
        self._first.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._first.with_name(self._first.name + ".new")
        draft.write_text(f"# The control plane's public key. Change it with: seawall edge trust KEY\n{key}\n")
        draft.replace(self._first)


class Intake:
    """Proves what is published. `received` is what the control plane thinks that we have, run or not."""

    def __init__(self, edge: str, trust: Trust) -> None:
        self.received: Snapshot | None = None
        self._edge = edge
        self._trust = trust

    def take(self, message: Publish, find: Callable[[str], Snapshot | None], fence: int) -> Accepted:
        """Prove a whole Publish. `find` knows snapshots by version, `fence` is the newest that was obeyed.

        Costs O(change). Raises RefusedError, and OutOfStepError where we lack what the message builds on.
        """
        change = Change(put=message.put, remove=message.remove)
        base = self._base(message.base, find)
        claimed = _claimed(message)
        for resource in change.put:
            if digest(resource.body) != resource.version:
                reason = f"The bytes of {resource.name} are not those that its version names."
                raise RefusedError("content", claimed, reason)
        # Asked first, so that the parts which the two share are not digested again.
        _ = base.digest
        snapshot = base.apply(change)
        if snapshot.version != message.version:
            if message.base:
                raise OutOfStepError(f"what was published as {message.version} makes {snapshot.version} here.")
            reason = f"It is not whole: its {len(snapshot)} resources do not make version {message.version}."
            raise RefusedError("content", claimed, reason)
        self.received = snapshot
        bundle, signed, assignment = self._signed(message, claimed)
        if (bundle.version, bundle.content) != (snapshot.version, snapshot.digest):
            raise RefusedError("content", bundle.name, "Its resources are not those that were signed.")
        self._check(bundle, assignment, fence)
        return Accepted(
            snapshot=snapshot, base=base.version, change=change, bundle=bundle, signed=signed, assignment=assignment
        )

    def _base(self, version: str, find: Callable[[str], Snapshot | None]) -> Snapshot:
        if not version:
            return EMPTY
        if self.received is not None and self.received.version == version:
            return self.received
        found = find(version)
        if found is None:
            raise OutOfStepError(f"the control plane builds on {version}, which this edge does not hold.")
        return found

    def _signed(self, message: Publish, claimed: str) -> tuple[Bundle, Signed, Assignment]:
        if message.bundle is None or message.assignment is None:
            raise RefusedError(
                "signature", claimed, "It is unsigned: this edge runs only what its control plane signed."
            )
        try:
            known = self._trust.keys()
            # Trust on first use: whoever answers first at the address that the operator gave is the control plane.
            trusted = known or frozenset({message.bundle.key})
            bundle = read_bundle(message.bundle, trusted)
            assignment = read_assignment(message.assignment, trusted)
            if not known and not self._trust.is_configured:
                self._trust.learn(message.bundle.key)
        except (ForgedError, ConfigError) as exc:
            text = str(exc)
            raise RefusedError("signature", claimed, text[:1].upper() + text[1:]) from exc
        return bundle, message.bundle, assignment

    def _check(self, bundle: Bundle, assignment: Assignment, fence: int) -> None:
        if assignment.edge not in {self._edge, EVERY_EDGE}:
            raise RefusedError(
                "signature", bundle.name, f"The order is for the edge {assignment.edge}, not for this one."
            )
        if assignment.bundle != bundle.name:
            reason = f"The order is for the bundle {assignment.bundle[:12]}, what came with it is {bundle.name[:12]}."
            raise RefusedError("content", bundle.name, reason)
        if assignment.fence < fence:
            reason = (
                f"The order is older (fence {assignment.fence}) than one that this edge has obeyed (fence {fence})."
            )
            raise RefusedError("fence", bundle.name, reason)


def _claimed(message: Publish) -> str:
    """Name what was sent for the answer, whoever signed it; a version where there is no bundle."""
    if message.bundle is not None:
        try:
            return msgspec.msgpack.decode(message.bundle.body, type=Bundle).name
        except (msgspec.DecodeError, msgspec.ValidationError):
            return message.version
    return message.version


def _read(file: Path) -> frozenset[str]:
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"the trusted keys in {file} cannot be read: {exc}.", hint="Put one key on each line."
        ) from exc
    keys = frozenset(_key(line, str(file)) for line in lines if line)
    if not keys:
        raise ConfigError(f"{file} holds no key.", hint="Put the control plane's public key there, one on each line.")
    return keys


def _key(text: str, place: str) -> str:
    key = text.strip().lower()
    if len(key) != 64 or any(letter not in "0123456789abcdef" for letter in key):
        raise ConfigError(
            f"{text[:70]!r} in {place} is no public key.",
            hint="A key has 64 hexadecimal digits: an Ed25519 public key.",
        )
    return key
