"""Secrets: certificates with their keys and sets of trusted certificates, always by SDS.

Pure. A renewed certificate is one small resource: no listener changes, no connection drains.
"""

from typing import Any

from seawall.envoy.messages import ADS
from seawall.envoy.proto import encode
from seawall.gateway.graph import CertificateSecret, SecretName, TlsSecret, TrustSecret
from seawall.kit.digest import digest
from seawall.xds.resource import SECRET, Resource, ResourceName

_MESSAGE = "envoy.extensions.transport_sockets.tls.v3.Secret"


def secret(value: TlsSecret) -> Resource:
    """Build a secret. The one place, beside the agent's disk, where a private key leaves its wrapping."""
    match value:
        case CertificateSecret():
            inner: dict[str, Any] = {
                "tls_certificate": {
                    "certificate_chain": {"inline_bytes": value.chain},
                    "private_key": {"inline_bytes": value.key.reveal()},
                }
            }
        case TrustSecret():
            inner = {"validation_context": {"trusted_ca": {"inline_bytes": value.bundle}}}
            if value.crl:
                inner["validation_context"]["crl"] = {"inline_bytes": value.crl}
    body = encode(_MESSAGE, {"name": value.name, **inner})
    return Resource(type_url=SECRET, name=ResourceName(value.name), version=digest(body), body=body)


def sds(name: SecretName) -> dict[str, Any]:
    """Refer to a secret by name."""
    return {"name": name, "sds_config": ADS}
