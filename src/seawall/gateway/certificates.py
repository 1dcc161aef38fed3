"""Certificates: whether PEM from a Secret or a ConfigMap can be given to Envoy, found out before Envoy refuses it.

Pure: bytes in, a record out. The time is no part of it: who knows the time compares it with `not_before` and `not_after`.
"""

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from seawall.kit.units import Instant

# Envoy's TLS context takes no other (source/common/tls/context_impl.cc: "RSA key size smaller than 2048 bits",
# "only P-256, P-384 or P-521 ECDSA certificates are supported").
_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `fault` says why it cannot be used: a sentence's end, as "holds no PEM certificate"."""

    fault: str = ""
    not_before: Instant = Instant(0.0)
    not_after: Instant = Instant(0.0)


def check_pair(chain: bytes, key: bytes) -> Checked:
    """Check a certificate chain (leaf first) and its private key."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        public = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return Checked(fault="has no readable PEM certificate in `tls.crt`")
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Checked(fault="has no readable PEM private key in `tls.key` (a key with a password cannot be used)")
    if _spki(public) != _spki(private.public_key()):
        return Checked(fault="has a private key in `tls.key` that does not belong to the certificate in `tls.crt`")
    fault = _unusable(public)
    if fault:
        return Checked(fault=fault)
    return _valid(leaf)


def check_trust(bundle: bytes) -> Checked:
    """Check a bundle of CA certificates; it is valid as long as the first of them to expire."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except (ValueError, UnsupportedAlgorithm):
        return Checked(fault="has no readable PEM certificate in `ca.crt`")
    return min((_valid(certificate) for certificate in certificates), key=lambda checked: checked.not_after)


def _unusable(key: PublicKeyTypes) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "" if key.key_size >= _RSA_BITS else f"has an RSA key of {key.key_size} bits; Envoy takes 2048 or more"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (
            ""
            if isinstance(key.curve, _CURVES)
            else f"has a key on curve {key.curve.name}; Envoy takes P-256, P-384, P-521"
        )
    return "has a key that is neither RSA nor ECDSA; Envoy takes no other"


def _valid(certificate: x509.Certificate) -> Checked:
    return Checked(
        not_before=Instant(certificate.not_valid_before_utc.timestamp()),
        not_after=Instant(certificate.not_valid_after_utc.timestamp()),
    )


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
