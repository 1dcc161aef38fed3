"""TLS between edges and control plane: reading the files, picking up renewed ones, knowing who is at the other end.

Reads files, hands credentials to gRPC. `seawall.app.pki` can make the files; any authority will do.
Next rooms: `server.edges` listens with them, `seawall.agent.uplink` calls with them.
"""

import datetime
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
import msgspec
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret

log = structlog.get_logger(__name__)

WARNING_SHARE = 1 / 3
"""From this share of its lifetime left on, a certificate is said to expire soon (10 days of 30)."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of PEM files. `authority` may hold several certificates: that is how an authority is replaced."""

    authority: str
    certificate: str
    key: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the files hold, checked."""

    authority: bytes
    certificate: bytes
    key: Secret
    begins: datetime.datetime
    expires: datetime.datetime

    def complaint(self, now: datetime.datetime) -> str:
        """Say that the certificate has to be renewed; empty while there is time."""
        left = self.expires - now
        if left > (self.expires - self.begins) * WARNING_SHARE:
            return ""
        when = f"{self.expires:%Y-%m-%d %H:%M} UTC"
        verb = "expires" if left > datetime.timedelta() else "expired"
        return f"the certificate between edge and control plane {verb} on {when}: renew it (seawall pki issue --renew)."


def read_identity(files: TlsFiles) -> Identity:
    """Read and check the files. Raises ConfigError that names the file and what is wrong with it."""
    authority, chain, key = (_read(name) for name in (files.authority, files.certificate, files.key))
    try:
        x509.load_pem_x509_certificates(authority)
    except ValueError as exc:
        raise ConfigError(f"{files.authority} holds no certificate in PEM form: {exc}") from exc
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as exc:
        raise ConfigError(f"{files.certificate} holds no certificate in PEM form: {exc}") from exc
    try:
        public = serialization.load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"{files.key} holds no unencrypted private key in PEM form: {exc}") from exc
    if public != leaf.public_key():
        raise ConfigError(
            f"{files.key} is not the key of {files.certificate}.", hint="Issue both anew: seawall pki issue --renew."
        )
    return Identity(
        authority=authority,
        certificate=chain,
        key=Secret(key),
        begins=leaf.not_valid_before_utc,
        expires=leaf.not_valid_after_utc,
    )


class ReloadingIdentity:
    """The identity as the files hold it now; files that are wrong for the moment leave the last good one in place.

    gRPC asks from threads of its own, at each handshake; hence the lock.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stamp = self._stamps()
        self._identity = read_identity(files)
        self._complaint = ""

    def current(self) -> Identity:
        """Return the newest good identity; read the files only if one of them changed."""
        with self._lock:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._reload(stamp)
            return self._identity

    def _reload(self, stamp: tuple[tuple[int, int, int], ...]) -> None:
        try:
            self._identity = read_identity(self._files)
        except ConfigError as exc:
            # A renewal replaces two files one after the other; the next look sees both.
            if str(exc) != self._complaint:
                log.warning("certificate_not_reloaded", reason=str(exc))
            self._complaint = str(exc)
            return
        self._stamp, self._complaint = stamp, ""
        log.info("certificate_reloaded", file=self._files.certificate, expires=self._identity.expires.isoformat())

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(name) for name in (self._files.authority, self._files.certificate, self._files.key))


def server_credentials(identity: ReloadingIdentity) -> grpc.ServerCredentials:
    """Make credentials that demand a certificate of the client's and follow the files without a restart."""
    offered = identity.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal offered
        newest = identity.current()
        if newest is offered:
            return None
        offered = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(offered),
        fetch,  # type: ignore[arg-type]  # gRPC documents None for "no change", its stubs forgot it
        require_client_authentication=True,
    )


def client_credentials(identity: Identity) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=identity.authority,
        private_key=identity.key.reveal(),
        certificate_chain=identity.certificate,
    )


def peer_names(auth: Mapping[str, Sequence[bytes]]) -> frozenset[str]:
    """Say which edges the peer's certificate speaks for, from gRPC's auth context.

    Certificates of ours say it in a URI (`spiffe://seawall/edge/NAME`); those of another authority in their common name
    or a DNS name. A control plane's certificate speaks for no edge, whatever its common name.
    """
    alternatives = [value.decode(errors="replace") for value in auth.get("x509_subject_alternative_name", ())]
    ours = [name for name in alternatives if name.startswith("spiffe://seawall/")]
    if ours:
        return frozenset(name.removeprefix("spiffe://seawall/edge/") for name in ours if "/edge/" in name)
    common = [value.decode(errors="replace") for value in auth.get("x509_common_name", ())]
    return frozenset([*alternatives, *common])


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    pair = (identity.key.reveal(), identity.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=identity.authority)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as exc:
        raise ConfigError(
            f"{name} cannot be read: {exc.strerror}.", hint="Certificates can be made with: seawall pki init, issue."
        ) from exc


def _stamp(name: str) -> tuple[int, int, int]:
    try:
        stat = Path(name).stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
