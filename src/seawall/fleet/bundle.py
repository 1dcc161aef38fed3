"""Bundle: the whole configuration of an edge as one immutable, signed thing; and the order to run one.

Pure. A bundle is named by its content: whoever builds the same configuration gets the same name, on every replica. The
order (`Assignment`) is signed as well and carries a fence that only grows: an edge takes no order older than the last one
that it has taken, whoever replays it.

    Snapshot ─▶ Bundle ─sign─▶ Signed ─┐
    rollout ──▶ Assignment ─sign─▶ Signed ─┴─▶ edge: known key? right bytes? fence not older? ─▶ run it

Source: Ed25519, RFC 8032.
"""

from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from seawall.kit.digest import digest
from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret
from seawall.kit.units import Instant, Seconds

_T = TypeVar("_T")
EVERY_EDGE = "*"
"""An assignment to this name is an assignment to whoever reads it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What Envoy is started with; a change of it restarts Envoy. 0: what the agent itself says, or the rule allows."""

    max_heap: int = 0
    max_connections: int = 0


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge may run. `content` is `Snapshot.digest`, `version` is `Snapshot.version`; both must fit the bytes.

    `created_at`, `software` and `reason` say where it came from when it was first built; they do not change its name.
    """

    content: str
    version: str
    limits: Limits = Limits()
    created_at: Instant = Instant(0.0)
    software: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """Name it by content: 12 hexadecimal digits are shown to people, 32 are the name."""
        return digest(self.content.encode(), msgspec.msgpack.encode(self.limits))


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Run this bundle.

    Args:
        edge: who; EVERY_EDGE for all.
        bundle: its name.
        fence: grows with every decision of every control plane that ever led this perimeter.
        rollout: whose step this is; empty for a strategy without steps.
        stage: its stage, for people.
        taste: how long a sacrificial Envoy must live with it before the main one gets it; 0 for no taster.
        is_proven: it is last-known-good: no taster, no probation, and many edges may take it at once.
        keep: names of the bundles that this edge keeps on disk whatever happens, newest first.
    """

    edge: str
    bundle: str
    fence: int
    rollout: str = ""
    stage: str = ""
    taste: Seconds = Seconds(0.0)
    is_proven: bool = False
    keep: tuple[str, ...] = ()
    at: Instant = Instant(0.0)


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes with the signature of a key; `key` is the public key in hexadecimal."""

    body: bytes
    key: str
    signature: bytes


class SigningKey:
    """An Ed25519 private key."""

    def __init__(self, seed: Secret) -> None:
        """Take the 32 bytes of RFC 8032. Raises ConfigError for anything else."""
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        except ValueError as exc:
            raise ConfigError(
                "the signing key is not an Ed25519 key of 32 bytes.", hint="Make one: seawall pki init."
            ) from exc
        self.public = self._key.public_key().public_bytes_raw().hex()

    def sign(self, value: Bundle | Assignment) -> Signed:
        kind = b"bundle" if isinstance(value, Bundle) else b"assignment"
        body = msgspec.msgpack.encode(value)
        return Signed(body=body, key=self.public, signature=self._key.sign(kind + b"\0" + body))


class ForgedError(Exception):
    """A signature that does not hold; the message says which and why."""


def read_bundle(signed: Signed, trusted: frozenset[str]) -> Bundle:
    """Check the signature and decode. Raises ForgedError."""
    _check(signed, b"bundle", trusted)
    return _decode(signed.body, Bundle, "bundle")


def read_assignment(signed: Signed, trusted: frozenset[str]) -> Assignment:
    """Check the signature and decode. Raises ForgedError."""
    _check(signed, b"assignment", trusted)
    return _decode(signed.body, Assignment, "assignment")


def _check(signed: Signed, kind: bytes, trusted: frozenset[str]) -> None:
    what = kind.decode()
    if signed.key not in trusted:
        raise ForgedError(f"the {what} is signed by the key {signed.key[:16]}…, which this edge does not trust.")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed.key))
        key.verify(signed.signature, kind + b"\0" + signed.body)
    except (ValueError, InvalidSignature) as exc:
        raise ForgedError(f"the signature of the {what} does not fit its bytes.") from exc


def _decode(body: bytes, shape: type[_T], what: str) -> _T:
    try:
        return msgspec.msgpack.decode(body, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise ForgedError(f"the {what} is signed but cannot be read: {exc}.") from exc
