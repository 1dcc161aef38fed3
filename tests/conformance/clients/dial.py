"""Dial: a TCP connection to the gateway, with TLS as a step wants it.

Talks to sockets. Names of certificates are verified here and not by OpenSSL, which refuses the suite's `*.org`; the
suite's clients accept it.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from cryptography import x509

_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13  # RFC 8446, appendix B


class NotTrustedError(Exception):
    """The gateway's certificate is not for the wanted name."""


class Handshake:
    """What a handshake showed, also one that failed."""

    was_asked_for_certificate = False


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """How to shake hands. `trust`: the only anchor (PEM), None for the system's; `certificate`: ours and its key (PEM)."""

    server_name: str
    trust: str | None = None
    certificate: str | None = None
    protocols: tuple[str, ...] = ()
    handshake: Handshake = msgspec.field(default_factory=Handshake)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    port: int
    tls: Tls | None = None


class Connection:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def protocol(self) -> str | None:
        """What ALPN agreed on."""
        tls: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() if tls is not None else None


@contextlib.asynccontextmanager
async def dial(target: Target) -> AsyncIterator[Connection]:
    """Connect, and shake hands if wanted. Raises OSError (ssl.SSLError too) or NotTrustedError."""
    context = _context(target.tls) if target.tls is not None else None
    name = target.tls.server_name if target.tls is not None else None
    reader, writer = await asyncio.open_connection(target.address, target.port, ssl=context, server_hostname=name)
    try:
        if target.tls is not None:
            _check_name(writer.get_extra_info("ssl_object"), target.tls.server_name)
        yield Connection(reader, writer)
    finally:
        # Gone at once: a polite TLS goodbye would wait for the other side's.
        writer.transport.abort()


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # An end-entity certificate may itself be the anchor; strictness about CA extensions is not what the suite tests.
    context.verify_flags = (context.verify_flags | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN) & ~_STRICT
    if tls.trust is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=tls.trust)
    if tls.certificate is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            Path(file.name).write_text(tls.certificate)
            context.load_cert_chain(file.name)
    if tls.protocols:
        context.set_alpn_protocols(list(tls.protocols))
    _listen_for_request(context, tls.handshake)
    return context


_STRICT = ssl.VerifyFlags.VERIFY_X509_STRICT


def _listen_for_request(context: ssl.SSLContext, handshake: Handshake) -> None:
    """Note if the server asks for a certificate. `ssl` tells of it only through its debugging hook."""

    def hear(*message: object) -> None:
        _, direction, _, content, kind, _ = message
        if (direction, content, kind) == ("read", _HANDSHAKE, _CERTIFICATE_REQUEST):
            handshake.was_asked_for_certificate = True

    context._msg_callback = hear  # type: ignore[attr-defined]  # the hook has no public name


def _check_name(tls: ssl.SSLObject, wanted: str) -> None:
    """Compare the certificate's DNS names with the wanted one; a `*` stands for just one label (RFC 6125)."""
    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise NotTrustedError(f"the certificate has no names, wanted {wanted}") from None
    known = names.get_values_for_type(x509.DNSName)
    wildcard = "*." + wanted.partition(".")[2]
    if wanted not in known and wildcard not in known:
        raise NotTrustedError(f"the certificate is for {known}, wanted {wanted}")
