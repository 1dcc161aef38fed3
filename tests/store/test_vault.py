"""Sealed bytes open with the same key and name, and with nothing else."""

import pytest

from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret
from seawall.store.vault import SealedError, Vault


def vault(seed: bytes = b"k") -> Vault:
    return Vault(Secret(seed * 32))


def test_what_is_sealed_opens_again_and_cannot_be_read_before() -> None:
    sealed = vault().seal(b"private", b"name")

    assert b"private" not in sealed
    assert vault().open(sealed, b"name") == b"private"
    assert sealed != vault().seal(b"private", b"name")


@pytest.mark.parametrize("other", [lambda s: (vault(b"o"), s, b"name"), lambda s: (vault(), s, b"other")])
def test_another_key_or_name_opens_nothing(other: object) -> None:
    assert callable(other)
    opener, sealed, name = other(vault().seal(b"private", b"name"))

    with pytest.raises(SealedError):
        opener.open(sealed, name)


@pytest.mark.parametrize("bytes_", [b"", b"short", bytes(12), bytes(60)])
def test_garbage_opens_nothing(bytes_: bytes) -> None:
    with pytest.raises(SealedError):
        vault().open(bytes_, b"name")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        Vault(Secret(b"short"))
