"""A secret does not print."""

import msgspec

from seawall.gateway.graph import CertificateSecret, SecretName
from seawall.kit.secret import Secret


def test_a_secret_shows_as_stars_wherever_it_is_printed() -> None:
    secret = Secret(b"hunter2")
    holder = CertificateSecret(name=SecretName("Secret/a/b"), chain=b"", key=secret)

    shown = f"{secret} {secret!r} {holder} {holder!r} {msgspec.structs.asdict(holder)}"

    assert "hunter2" not in shown
    assert secret.reveal() == b"hunter2"


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret(b"a") == Secret(b"a") != Secret(b"b")
    assert len({Secret(b"a"), Secret(b"a")}) == 1
    assert Secret(b"a") != b"a"
