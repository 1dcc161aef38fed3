"""ReferenceGrant, BackendTLSPolicy, XBackendTrafficPolicy: what is allowed, and how to speak to backends.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.filters import SessionPersistence
from seawall.gateway.resources.refs import LocalObjectReference, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import (
    URI,
    WELL_KNOWN_CA,
    Duration,
    Group,
    Kind,
    Namespace,
    ObjectName,
    OptionValue,
    PreciseHostname,
    WildcardHostname,
)


class ReferenceGrantFrom(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who may refer."""

    group: Group
    kind: Kind
    namespace: Namespace


class ReferenceGrantTo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """To what; no name means all of the kind in the grant's namespace."""

    group: Group
    kind: Kind
    name: ObjectName | None = None


class ReferenceGrantSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Lets objects of other namespaces refer to objects of this one."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], Meta(min_length=1, max_length=16)] = msgspec.field(name="from")
    to: Annotated[tuple[ReferenceGrantTo, ...], Meta(min_length=1, max_length=16)]


class SubjectAltName(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A name that the backend's certificate may carry; the field that `type` names holds it."""

    type: Literal["Hostname", "URI"]
    hostname: WildcardHostname | None = None
    uri: Annotated[str, Meta(min_length=1, max_length=253, pattern=URI)] | None = None


class BackendTLSPolicyValidation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How to know the backend: `hostname` is sent as SNI and, without `subject_alt_names`, verified."""

    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], Meta(max_length=8)] = msgspec.field(
        name="caCertificateRefs", default=()
    )
    well_known_ca_certificates: Annotated[str, Meta(min_length=1, max_length=253, pattern=WELL_KNOWN_CA)] | None = (
        msgspec.field(name="wellKnownCACertificates", default=None)
    )
    hostname: PreciseHostname
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Meta(max_length=5)] = ()


class BackendTLSPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Speak TLS to these backends, and trust so."""

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    validation: BackendTLSPolicyValidation
    options: Annotated[Mapping[str, OptionValue], Meta(max_length=16)] = {}


class RetryBudget(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """At most `percent` of the requests of `interval` may be retries."""

    percent: Annotated[int, Meta(ge=0, le=100)] = 20
    interval: Duration = "10s"


class RequestRate(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`count` requests in `interval`."""

    count: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    interval: Duration | None = None


class RetryConstraint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Bounds retries, so that they do not finish off a backend in trouble."""

    budget: RetryBudget = RetryBudget()
    min_retry_rate: RequestRate = RequestRate(count=10, interval="1s")


class XBackendTrafficPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How traffic to these backends behaves."""

    target_refs: Annotated[tuple[LocalObjectReference, ...], Meta(min_length=1, max_length=16)]
    retry_constraint: RetryConstraint | None = None
    session_persistence: SessionPersistence | None = None
