"""Digests: the same content has the same name everywhere. Pure."""

import hashlib


def digest(*parts: bytes) -> str:
    """Name content by 128 bits of its SHA-256, in hexadecimal; parts cannot run together: their lengths count."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()[:32]
