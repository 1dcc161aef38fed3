"""Signer: signs what goes out, and numbers it: fences grow from order to order and from leader to leader.

Talks to one file: the signing key (PEM, PKCS 8, mode 0600), made on first use where nobody gave one.
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.fleet.bundle import Assignment, Signed, SigningKey
from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret

_BITS = 24
"""A leader may give so many orders (as a power of two) before it would need a new epoch: one a second for half a year."""


class Signer:
    """One control plane's voice."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._epoch = 0
        self._count = 0

    @property
    def public(self) -> str:
        """The key that edges must trust, in hexadecimal."""
        return self._key.public

    def lead(self, epoch: int) -> None:
        """Begin to give orders under this epoch, greater than those of all leaders before."""
        if epoch != self._epoch:
            self._epoch, self._count = epoch, 0

    def fence(self) -> int:
        """Return the next fence."""
        self._count += 1
        return (self._epoch << _BITS) + self._count

    def sign(self, order: Assignment) -> Signed:
        return self._key.sign(order)


def load_signing_key(file: Path) -> SigningKey:
    """Read a key. Raises ConfigError for a file that holds none, or that others may read."""
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"others may read the signing key {file}.", hint=f"chmod 600 {file}")
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigError(
            f"the signing key {file} cannot be read: {exc}.", hint="Make one: seawall pki init DIR."
        ) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file} holds no Ed25519 key.", hint="Make one: seawall pki init DIR.")
    return SigningKey(Secret(key.private_bytes_raw()))


def make_signing_key(file: Path) -> SigningKey:
    """Make a key, for nobody else to read. Raises ConfigError where the disk refuses."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(pem)
    except OSError as exc:
        raise ConfigError(
            f"the signing key {file} cannot be written: {exc.strerror}.", hint="See to the disk."
        ) from exc
    return SigningKey(Secret(key.private_bytes_raw()))


def signing_key(file: Path) -> SigningKey:
    """Read the key, or make it where there is none."""
    return load_signing_key(file) if file.exists() else make_signing_key(file)
