"""RateLimitPolicy (`seawall.dev/v1alpha1`): how many requests who may make of a Gateway, a listener, a route or a rule.

Pure.

    apiVersion: seawall.dev/v1alpha1
    kind: RateLimitPolicy
    metadata: {name: api, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: api}
      limits:
      - name: per-client
        keys: [{type: client}]
        requests: 100
        window: 1m
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import FILTER_NAME, Duration, HeaderName, HeaderValue

LimitKeyType = Literal["client", "header", "cookie", "claim", "apiKey", "path", "method", "ja4"]


class LimitKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What tells those apart who are counted apart.

    `client` is the client's address: whole for IPv4 unless `ipv4Prefix` says less, by /64 for IPv6 unless `ipv6Prefix`
    does: a home has a /64 or more. `header`, `cookie`, `claim` (of the bearer token, which is not verified here) need a
    `name`; `apiKey` is the header x-api-key unless `name` says another one; `path` is without the query; `ja4` is how a
    client speaks TLS, its first two parts. Who sends no such value shares one count with all others who do not
    (`absent: share`), or is not counted by this limit (`skip`).
    """

    type: LimitKeyType
    name: HeaderName | None = None
    ipv4_prefix: Annotated[int, Meta(ge=8, le=32)] = 32
    ipv6_prefix: Annotated[int, Meta(ge=16, le=128)] = 64
    absent: Literal["share", "skip"] = "share"


class Limit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`requests` in `window` for each value of `keys`; without keys, for all together.

    A bucket: `burst` requests (as many as `requests` unless it says less or more) may come at once, and it fills again at
    `requests` in `window`, evenly. An edge remembers the `maxKeys` keys that it saw last; who is forgotten starts with a
    full bucket, so give it ten times the keys that you expect (a key costs about 350 bytes).
    """

    name: Annotated[str, Meta(min_length=1, max_length=63, pattern=FILTER_NAME)]
    keys: Annotated[tuple[LimitKey, ...], Meta(max_length=4)] = ()
    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    window: Duration = "1s"
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    max_keys: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000


class LimitResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a request gets that is over the limit, besides `RateLimit-*` and `Retry-After`."""

    status: Literal[429, 503] = 429
    body: Annotated[str, Meta(max_length=4096)] = ""
    content_type: HeaderValue = "text/plain"


class ExemptHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A header with exactly this value."""

    name: HeaderName
    value: HeaderValue


class Exemptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose requests are neither counted nor refused: one of these is enough. `clients` are addresses or networks."""

    clients: Annotated[tuple[str, ...], Meta(max_length=1000)] = ()
    headers: Annotated[tuple[ExemptHeader, ...], Meta(max_length=16)] = ()


class RateLimitPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Limits for requests of a Gateway (or one listener of it) or of an HTTPRoute (or one rule of it, by its name).

    One policy applies to a request: that for the rule, else for the route, else for the listener, else for the Gateway; of
    several for the same target the oldest. All its limits hold. `mode: shadow` counts and says what it would refuse in
    Envoy's statistics, and refuses nothing. Every edge counts for itself, every hostname apart; with `scope: fleet` the
    edges share `requests` according to how much of the traffic each of them gets, and `whenAway` says what an edge does
    that has not heard from the control plane for a while: keep its share, or let everything or nothing pass.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    limits: Annotated[tuple[Limit, ...], Meta(min_length=1, max_length=4)]
    mode: Literal["enforce", "shadow"] = "enforce"
    response: LimitResponse = LimitResponse()
    exempt: Exemptions = Exemptions()
    scope: Literal["edge", "fleet"] = "edge"
    when_away: Literal["keepShare", "open", "closed"] | None = None
