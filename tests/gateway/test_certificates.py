"""What Envoy would refuse is found before."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from seawall.gateway.certificates import check_pair, check_trust

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC)


def _pair(key: CertificateIssuerPrivateKeyTypes, end: datetime.datetime = END) -> tuple[bytes, bytes]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(START).not_valid_after(end)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_good_pair_has_dates_and_no_fault() -> None:
    checked = check_pair(*_pair(ec.generate_private_key(ec.SECP256R1())))

    assert (checked.fault, checked.not_before, checked.not_after) == ("", START.timestamp(), END.timestamp())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (ec.generate_private_key(ec.SECP256K1()), "curve secp256k1"),
        (ed25519.Ed25519PrivateKey.generate(), "neither RSA nor ECDSA"),
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), "1024 bits"),
    ],
)
def test_keys_that_envoy_does_not_take_are_refused(key: CertificateIssuerPrivateKeyTypes, words: str) -> None:
    assert words in check_pair(*_pair(key)).fault


def test_what_does_not_belong_together_is_refused() -> None:
    chain, _ = _pair(ec.generate_private_key(ec.SECP256R1()))
    _, other = _pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    assert "does not belong" in check_pair(chain, other).fault
    assert "tls.key" in check_pair(chain, b"nonsense").fault
    assert "tls.crt" in check_pair(b"nonsense", other).fault
    assert check_pair(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", other).fault


def test_a_bundle_is_valid_as_long_as_the_first_to_expire() -> None:
    short = START + datetime.timedelta(days=1)
    key = ec.generate_private_key(ec.SECP256R1())

    bundle = _pair(key)[0] + _pair(key, short)[0]

    assert check_trust(bundle).not_after == short.timestamp()
    assert "ca.crt" in check_trust(b"").fault
