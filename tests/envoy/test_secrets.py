"""Certificates on their way to Envoy."""

from seawall.envoy.messages import full_name
from seawall.envoy.proto import decode
from seawall.envoy.secrets import sds, secret
from seawall.gateway.graph import CertificateSecret, SecretName, TrustSecret
from seawall.kit.secret import Secret


def test_a_certificate_travels_with_its_key() -> None:
    name = SecretName("Secret/edge/shop")
    built = secret(CertificateSecret(name=name, chain=b"chain", key=Secret(b"key")))

    message = decode(full_name(built.type_url), built.body)

    assert message.tls_certificate.certificate_chain.inline_bytes == b"chain"  # type: ignore[attr-defined]
    assert message.tls_certificate.private_key.inline_bytes == b"key"  # type: ignore[attr-defined]
    assert str(built.name) == str(name)
    assert "key" not in repr(sds(name))


def test_trusted_certificates_validate() -> None:
    built = secret(TrustSecret(name=SecretName("ca/1"), bundle=b"ca"))

    message = decode(full_name(built.type_url), built.body)

    assert message.validation_context.trusted_ca.inline_bytes == b"ca"  # type: ignore[attr-defined]
