"""AccessPolicy (`seawall.dev/v1alpha1`): who may send what to a Gateway, a listener, a route or a rule.

Pure.

    apiVersion: seawall.dev/v1alpha1
    kind: AccessPolicy
    metadata: {name: office, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: admin}
      addresses: {allow: [192.0.2.0/24]}
      basicAuth: {secret: {name: admins}}
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.filters import CORSFilter, ExternalAuthFilter
from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import FILTER_NAME, URI_PATH, HeaderName, HeaderValue, ObjectName
from seawall.gateway.resources.tokens import ClaimPath, ParameterName, TokenProvider

Mode = Literal["enforce", "observe"]


class SecretName(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A Secret of the policy's own namespace."""

    name: ObjectName


class Addresses(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Clients by address or network.

    The most specific network decides. A client that is in none of them passes, unless `allow` has any: then only those
    in it pass. Both lists together hold at most 262,144 networks, which is what one tree of Envoy's holds.
    """

    allow: Annotated[tuple[str, ...], Meta(max_length=262_144)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=262_144)] = ()
    mode: Mode = "enforce"


class KeySource(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where a client puts its key: exactly one of a header, a query parameter and a cookie."""

    header: HeaderName | None = None
    query: ParameterName | None = None
    cookie: ParameterName | None = None


class ApiKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Clients by a key. In each Secret the name of an entry is the client, its value the key.

    The first of `sources` that a request has counts. The key is not sent on; `clientHeader` tells the backend the client.
    """

    secrets: Annotated[tuple[SecretName, ...], Meta(min_length=1, max_length=16)]
    sources: Annotated[tuple[KeySource, ...], Meta(min_length=1, max_length=4)] = (KeySource(header="x-api-key"),)
    client_header: HeaderName | None = None


class BasicAuth(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Users by name and password: lines `user:{SHA}…` (`htpasswd -s`) in the entry `.htpasswd` of a Secret."""

    secret: SecretName
    user_header: HeaderName | None = None


class PathIs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A path, or with PathPrefix also all below it. Queries are no part of it."""

    type: Literal["Exact", "PathPrefix"] = "PathPrefix"
    value: Annotated[str, Meta(min_length=1, max_length=1024, pattern=URI_PATH)]


class HeaderIs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A header that has one of these values; without `values`, that is there."""

    name: HeaderName
    values: Annotated[tuple[HeaderValue, ...], Meta(max_length=64)] = ()


class ClaimIs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A claim of the token that is one of these values, or a list that has one; `scope` is a list with spaces (RFC 8693)."""

    name: ClaimPath
    values: Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(min_length=1, max_length=64)]


class CertificateIs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A name in the certificate that a client has shown, and that was verified: a subject alternative name (RFC 5280)."""

    type: Literal["URI", "DNS", "EMAIL"] = "URI"
    value: Annotated[str, Meta(min_length=1, max_length=1024)]


class AccessRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Requests to allow or to deny: all that is said must hold, of methods, of paths and of certificates one.

    `cel` is an expression (CEL, without `all`, `exists` and their like) of `request`, `source`, `destination`, `connection` and
    `metadata`, in Envoy's words: `request.headers['x-a'] == 'b' && request.size < 1000`. Where it has no value, as for a header
    that is not there, the rule fits nothing.

    `mode: observe` counts what the rule would refuse, in Envoy's statistics, and refuses nothing.
    """

    name: Annotated[str, Meta(min_length=1, max_length=63, pattern=FILTER_NAME)]
    action: Literal["allow", "deny"]
    methods: Annotated[tuple[Annotated[str, Meta(pattern=r"^[A-Z]{1,20}\Z")], ...], Meta(max_length=16)] = ()
    paths: Annotated[tuple[PathIs, ...], Meta(max_length=64)] = ()
    headers: Annotated[tuple[HeaderIs, ...], Meta(max_length=16)] = ()
    claims: Annotated[tuple[ClaimIs, ...], Meta(max_length=16)] = ()
    certificates: Annotated[tuple[CertificateIs, ...], Meta(max_length=64)] = ()
    cel: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    mode: Mode = "enforce"


class Jwt(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A token of one of `providers`, or 401. `optional`: none is good as well, a bad one is not.

    `mode: observe` lets everybody pass, and counts who has no good token.
    """

    providers: Annotated[tuple[TokenProvider, ...], Meta(min_length=1, max_length=8)]
    optional: bool = False
    mode: Mode = "enforce"


class Authorization(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is allowed. A request that a deny rule fits is refused; where there are allow rules, so is one that fits none."""

    rules: Annotated[tuple[AccessRule, ...], Meta(min_length=1, max_length=64)]


class Csrf(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Refuse what another site makes a browser send (POST, PUT, PATCH, DELETE).

    The origin of such a request must be its own host or one of `origins`: hosts with their ports, as `app.example.com:8443`.
    """

    origins: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=260)], ...], Meta(max_length=64)] = ()
    mode: Mode = "enforce"


class AccessPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who may send what to a Gateway (or one listener of it), to an HTTPRoute or a GRPCRoute (or one rule of it, by its name).

    One policy applies to a request, whole: that for the rule, else for the route, else for the listener, else for the Gateway;
    of several for the same target the oldest. All that it asks for must hold. A policy that cannot be followed refuses
    what it protects: its requests are answered with 500.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    addresses: Addresses | None = None
    api_keys: ApiKeys | None = None
    basic_auth: BasicAuth | None = None
    jwt: Jwt | None = None
    external_auth: ExternalAuthFilter | None = None
    cors: CORSFilter | None = None
    csrf: Csrf | None = None
    authorization: Authorization | None = None
