"""Backend (`seawall.dev/v1alpha1`): a backend that lives outside Kubernetes.

Pure. A route refers to it with `{group: seawall.dev, kind: Backend, name: …}` and without a port: each endpoint has its own.

    apiVersion: seawall.dev/v1alpha1
    kind: Backend
    metadata: {name: search}
    spec:
      endpoints:
      - {hostname: search.example.com, port: 443}
      tls: {}                  # verified against the system's certificates, under the endpoints' hostname
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.policies import SubjectAltName
from seawall.gateway.resources.refs import LocalObjectReference, SecretObjectReference
from seawall.gateway.resources.scalars import WELL_KNOWN_CA, Port, PreciseHostname


class BackendEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where it listens: a host name, which Envoy keeps resolving, or an IP address; just one of the two.

    Endpoints of `priority` 1 get requests when too few of 0 are well (fewer than 72 %), and so on; who is well is found out by
    a TrafficPolicy's `healthCheck` or `outlierEjection`.
    """

    hostname: PreciseHostname | None = None
    ip: Annotated[str, Meta(min_length=2, max_length=45)] | None = None
    port: Port
    weight: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    zone: Annotated[str, Meta(max_length=63)] = ""
    priority: Annotated[int, Meta(ge=0, le=9)] = 0


class BackendTlsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Speak TLS, and know the backend so.

    `hostname` is sent as SNI and, without `subject_alt_names`, verified; None means the endpoints' host name.
    Neither CA references nor well-known CAs means the system's: there is no way not to verify.
    """

    hostname: PreciseHostname | None = None
    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], Meta(max_length=8)] = msgspec.field(
        name="caCertificateRefs", default=()
    )
    well_known_ca_certificates: Annotated[str, Meta(min_length=1, max_length=253, pattern=WELL_KNOWN_CA)] | None = (
        msgspec.field(name="wellKnownCACertificates", default=None)
    )
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Meta(max_length=5)] = ()
    client_certificate_ref: SecretObjectReference | None = None


class BackendSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Endpoints and how to speak to them. HTTP is HTTP/1.1; HTTP2 without TLS is with prior knowledge (h2c)."""

    endpoints: Annotated[tuple[BackendEndpoint, ...], Meta(min_length=1, max_length=1000)]
    protocol: Literal["HTTP", "HTTP2", "TCP", "UDP"] = "HTTP"
    tls: BackendTlsSettings | None = None
