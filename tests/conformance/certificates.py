"""Certificates: the Secrets and ConfigMaps of generated.json, made fresh for each run.

Talks to the random source and the clock, through `cryptography`. Keys of authorities stay in here.
"""

import datetime
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conformance.data import Json

_VALID = datetime.timedelta(days=365)
_CA_SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kubernetes Gateway API"),
        x509.NameAttribute(NameOID.COMMON_NAME, "gatewayapi"),
    ]
)
_SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Co"),
        x509.NameAttribute(NameOID.COMMON_NAME, "default"),
    ]
)
_USES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class _Issued(msgspec.Struct, frozen=True, kw_only=True):
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


class Vault:
    """What was generated, by reference `Kind/namespace/name`."""

    def __init__(self, generated: Iterable[Json]) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self.objects: list[Json] = []
        issued: dict[str, _Issued] = {}
        # Authorities first: others are signed by them.
        for wanted in sorted(generated, key=lambda entry: entry["generate"]["what"] != "ca"):
            reference = f"{wanted['kind']}/{wanted['namespace']}/{wanted['name']}"
            made = issued[reference] = _issue(wanted["generate"], issued)
            self._values[reference] = {key: _text(made, key) for key in wanted["keys"]}
            self.objects.append(_manifest(wanted, self._values[reference]))

    def read(self, reference: str) -> str:
        """Return the value of a reference `Kind/namespace/name#key`; without a key certificate and key in one."""
        name, _, key = reference.partition("#")
        return self._values[name][key] if key else "".join(self._values[name].values())


def _issue(wanted: Json, issued: dict[str, _Issued]) -> _Issued:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    is_ca = wanted["what"] == "ca"
    signer = issued.get(wanted.get("signed_by", "self"))
    subject = _CA_SUBJECT if is_ca else _SUBJECT
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([_USES[wanted["what"]]]), critical=False)
    if names := [_general_name(name) for name in wanted.get("subject_alt_names", ())]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Issued(certificate=builder.sign(signer.key if signer else key, hashes.SHA256()), key=key)


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        key_encipherment=not is_ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return x509.DNSName(value) if kind == "dns" else x509.UniformResourceIdentifier(value)


def _text(made: _Issued, key: str) -> str:
    if key == "tls.key":
        raw = made.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return raw.decode()
    return made.certificate.public_bytes(serialization.Encoding.PEM).decode()


def _manifest(wanted: Json, values: dict[str, str]) -> Json:
    head = {
        "apiVersion": "v1",
        "kind": wanted["kind"],
        "metadata": {"name": wanted["name"], "namespace": wanted["namespace"]},
    }
    if wanted["kind"] == "Secret":
        return {**head, "type": wanted["secret_type"], "stringData": values}
    return {**head, "data": values}
