"""Vault: private keys are not to lie readable in a database or its backups.

Pure but for the nonces. Whoever opens the history with a vault stores the bodies of resources that hold secrets encrypted. Every
control plane of one database needs the same key; without it the bundles that hold secrets cannot be read.

Source: AES-256-GCM, NIST SP 800-38D; HKDF, RFC 5869.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret

_NONCE = 12


class SealedError(Exception):
    """Bytes that this vault has not sealed, or that somebody changed since."""


class Vault:
    """Seals bytes with a key derived from the one it is given, which may serve for other things as well."""

    def __init__(self, key: Secret) -> None:
        """Take 32 bytes or more. Raises ConfigError for fewer."""
        if len(key.reveal()) < 32:
            raise ConfigError(
                "the key for the history's secrets has fewer than 32 bytes.", hint="Make one: openssl rand 32."
            )
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"seawall history").derive(key.reveal())
        self._cipher = AESGCM(derived)

    def seal(self, body: bytes, name: bytes) -> bytes:
        """Encrypt; what comes out opens only under the same name."""
        # Random nonces of 96 bits are safe for 2^32 bodies a key: a certificate a second for a century.
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, name)

    def open(self, sealed: bytes, name: bytes) -> bytes:
        """Decrypt. Raises SealedError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name)
        except (InvalidTag, ValueError) as exc:
            raise SealedError("it is sealed with another key, or was changed") from exc
