"""PKI: a certificate authority of one's own and short-lived certificates, for those who have none.

Writes files into one folder and reads the clock it is given; opens no connection.

    DIR/ca.crt, ca.key            the authority: EC P-256, 10 years; keep ca.key off the edges
    DIR/control-NAME.crt, .key    for `seawall serve`: good as a server, for the hosts it was issued for
    DIR/edge-NAME.crt, .key       for `seawall agent`: good as a client, for the edge of that name only
    DIR/bundle.key                signs what edges run: for control planes only, with a copy that is offline
    DIR/bundle.pub                its public key, and that of the next one: for every edge

Certificates live 30 days: long enough to renew by a weekly job that fails three times, short enough that a stolen one
expires before anybody would have noticed. Both sides pick up renewed files without a restart (`seawall.server.tls`).
"""

import contextlib
import datetime
import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seawall.app.signer import load_signing_key, make_signing_key
from seawall.kit.errors import ConfigError

Role = Literal["control", "edge"]

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 30
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_TRUST_NOTE = "# Public keys of the control planes that an edge obeys, one a line. Give this file to every edge."
_CLOCK_SKEW = datetime.timedelta(minutes=5)
"""Certificates start to be valid a little ago: the clock of the other host may be behind."""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files are and until when the certificate is good."""

    certificate: Path
    key: Path
    authority: Path
    expires: datetime.datetime
    trust: Path | None = None


class SigningFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, its public part in hexadecimal, and the file that edges are given: all keys to trust, one a line."""

    key: Path
    public: str
    trust: Path


def create_authority(folder: Path, now: datetime.datetime, *, days: int = AUTHORITY_DAYS) -> Issued:
    """Make a certificate authority in `folder`, and a signing key if there is none.

    Refuses to replace an authority: every certificate it issued would be void.
    """
    certificate, key = folder / "ca.crt", folder / "ca.key"
    for file in (certificate, key):
        if file.exists():
            raise ConfigError(
                f"{file} exists already; replacing an authority makes every certificate that it issued worthless.",
                hint="Choose another folder, or delete it if you are sure that nothing uses it.",
            )
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Seawall authority")])
    expires = now + datetime.timedelta(days=days)
    signed = (
        _builder(name, name, secret.public_key(), now, expires)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(secret, hashes.SHA256())
    )
    with _explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(key, _pem(secret), mode=0o600)
        _write(certificate, signed.public_bytes(serialization.Encoding.PEM), mode=0o644)
    trust = folder / "bundle.pub" if (folder / "bundle.key").exists() else create_signing_key(folder).trust
    return Issued(certificate=certificate, key=key, authority=certificate, expires=expires, trust=trust)


def create_signing_key(folder: Path) -> SigningFiles:
    """Make the key that signs what edges run; where there is one, make the next one beside it.

    Edges must trust the next key before anything is signed with it: so it does not take the place of the one in use, and
    `bundle.pub` names both. Refused while there is a next one already.
    """
    current, coming, trust = folder / "bundle.key", folder / "bundle-next.key", folder / "bundle.pub"
    if coming.exists():
        raise ConfigError(
            f"{coming} exists already: it is the key to use next.",
            hint=f"Give {trust} to every edge, then put {coming.name} in the place of {current.name}.",
        )
    older = [load_signing_key(current).public] if current.exists() else []
    file = coming if older else current
    public = make_signing_key(file).public
    with _explained(folder):
        _write(trust, "".join(f"{line}\n" for line in (_TRUST_NOTE, *older, public)).encode(), mode=0o644)
    return SigningFiles(key=file, public=public, trust=trust)


def issue(  # noqa: PLR0913 - one certificate has so many properties
    folder: Path,
    role: Role,
    name: str,
    now: datetime.datetime,
    *,
    hosts: Sequence[str] = (),
    days: int = CERTIFICATE_DAYS,
    replaces: bool = False,
) -> Issued:
    """Issue a certificate signed by the authority in `folder`.

    Args:
        hosts: the names and addresses under which edges reach a control plane; none for an edge.
        replaces: renew: put a new key and certificate in place of the old ones; refused otherwise.
    """
    _check(role, name, hosts, days)
    authority, authority_key = _read_authority(folder, now)
    certificate, key = folder / f"{role}-{name}.crt", folder / f"{role}-{name}.key"
    for file in (certificate, key):
        if file.exists() and not replaces:
            raise ConfigError(f"{file} exists already.", hint="Say --renew to replace it, or choose another name.")
    secret = ec.generate_private_key(ec.SECP256R1())
    expires = min(now + datetime.timedelta(days=days), authority.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if role == "control" else ExtendedKeyUsageOID.CLIENT_AUTH
    signed = (
        _builder(subject, authority.subject, secret.public_key(), now, expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(role, name, hosts)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    with _explained(folder):
        _write(key, _pem(secret), mode=0o600)
        _write(certificate, signed.public_bytes(serialization.Encoding.PEM), mode=0o644)
    trust = folder / "bundle.pub"
    return Issued(
        certificate=certificate,
        key=key,
        authority=folder / "ca.crt",
        expires=expires,
        trust=trust if role == "edge" and trust.exists() else None,
    )


def _check(role: Role, name: str, hosts: Sequence[str], days: int) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a certificate.",
            hint="Use at most 63 lower-case letters, digits, dots and dashes, with a letter or digit at both ends.",
        )
    if role == "control" and not hosts:
        raise ConfigError(
            "A certificate for a control plane must say under which names or addresses the edges reach it.",
            hint="Add --host, once for each: --host control.example.com --host 192.0.2.7.",
        )
    if role == "edge" and hosts:
        raise ConfigError("A certificate for an edge is no server's and has no hosts.", hint="Leave out --host.")
    if not 1 <= days <= AUTHORITY_DAYS:
        raise ConfigError(f"A certificate cannot be valid for {days} days.", hint=f"Choose 1 to {AUTHORITY_DAYS}.")


def _names(role: Role, name: str, hosts: Sequence[str]) -> list[x509.GeneralName]:
    """The URI says who this is (`server.tls` binds an edge's stream to it), the others where a server may stand."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"spiffe://seawall/{role}/{name}")]
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            try:
                names.append(x509.DNSName(host.encode("idna").decode()))
            except UnicodeError as exc:
                raise ConfigError(f"{host!r} is neither an address nor a host name.") from exc
    return names


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    expires: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read_authority(folder: Path, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    hint = f"Make an authority first: seawall pki init {folder}"
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except FileNotFoundError as exc:
        raise ConfigError(f"{exc.filename} does not exist.", hint=hint) from exc
    except PermissionError as exc:
        raise ConfigError(f"{exc.filename} cannot be read: permission denied.", hint="Run as its owner.") from exc
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"the authority in {folder} cannot be read: {exc}", hint=hint) from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{folder / 'ca.key'} is not the key of {folder / 'ca.crt'}.", hint=hint)
    if certificate.not_valid_after_utc <= now:
        raise ConfigError(
            f"the authority in {folder} expired on {certificate.not_valid_after_utc:%Y-%m-%d}.",
            hint="Make a new one in another folder and let both sides trust both (put the two ca.crt into one file).",
        )
    with contextlib.suppress(InvalidSignature):
        certificate.verify_directly_issued_by(certificate)
        return certificate, key
    raise ConfigError(f"{folder / 'ca.crt'} is not signed by itself: it is no authority.", hint=hint)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, data: bytes, *, mode: int) -> None:
    """Put the file there whole or not at all, never readable by others for a moment."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigError(
            f"cannot write into {folder}: {exc.strerror}.", hint="Check its owner and free space."
        ) from exc
