"""Limits: which RateLimitPolicy applies to a rule of a route on a listener.

Pure. One policy applies, whole: that of the rule, else of the route, else of the listener, else of the Gateway; among
several for one target the oldest. A policy that Envoy has refused is passed over.
Next rooms: `gateway.routes` puts it into routes, `gateway.limit_reports` says what became of each policy.
"""

from collections.abc import Mapping
from typing import Final

from seawall.gateway.gateways import age
from seawall.gateway.graph import Limit, Limited, LimitKey, ObjectKey, RateLimit
from seawall.gateway.indexes import ALL, FLEET_LIMITS, LIMIT_POLICIES, QUOTAS
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources import rate_limits as written
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.view import Rule, View
from seawall.kit.digest import digest

SLOTS: Final = 64
"""So many policies can share their limits; `fleet.quota` says why."""
KINDS: Final = ("Gateway", "HTTPRoute")
API_KEY: Final = "x-api-key"
_Candidates = tuple[ObjectKey, ...]


def fleet_slots(view: View, _: str) -> Mapping[ObjectKey, int]:
    """Give each policy that the fleet shares a slot: by its name, so that it keeps it; older policies first."""
    found: dict[ObjectKey, int] = {}
    taken: set[int] = set()
    for obj in sorted(view.bucket(FLEET_LIMITS, ALL).values(), key=age):
        first = int(digest(obj.key.encode())[:8], 16) % SLOTS
        slot = next((one % SLOTS for one in range(first, first + SLOTS) if one % SLOTS not in taken), None)
        if slot is not None:
            found[obj.key] = slot
            taken.add(slot)
    return found


FLEET_SLOTS: Final = Rule(fleet_slots)


def rate_limit(view: View, key: ObjectKey) -> RateLimit | None:
    """Say what a policy means; None if it is not there, or Envoy has refused it."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, RateLimitPolicySpec) or view.fact(QUARANTINE, key) is not None:
        return None
    spec = obj.spec
    slot = view.get(FLEET_SLOTS, ALL).get(key) if spec.scope == "fleet" else None
    if spec.scope == "fleet" and slot is None:
        return None
    return RateLimit(
        name=f"{obj.meta.namespace}/{obj.meta.name}",
        origin=key,
        limits=tuple(_limit(one) for one in spec.limits),
        is_shadow=spec.mode == "shadow",
        status=spec.response.status,
        body=spec.response.body,
        content_type=spec.response.content_type,
        exempt_clients=spec.exempt.clients,
        exempt_headers=tuple((one.name.lower(), one.value) for one in spec.exempt.headers),
        slot=slot,
        when_away=spec.when_away or "keepShare",
    )


LIMITS: Final = Rule(rate_limit)


def quota(view: View, key: ObjectKey) -> RateLimit | None:
    """Return a policy whose limits the fleet shares."""
    return view.get(LIMITS, key)


QUOTA: Final = Rule(quota, each=QUOTAS)


def _limit(limit: written.Limit) -> Limit:
    return Limit(
        name=limit.name,
        keys=tuple(_key(one) for one in limit.keys),
        requests=limit.requests,
        window=seconds(limit.window),
        burst=limit.burst or limit.requests,
        max_keys=limit.max_keys,
    )


def _key(key: written.LimitKey) -> LimitKey:
    is_skipped = key.absent == "skip"
    if key.type == "apiKey":
        return LimitKey(type="header", name=(key.name or API_KEY).lower(), is_skipped=is_skipped)
    name = key.name or ""
    return LimitKey(
        type=key.type,
        name=name.lower() if key.type == "header" else name,
        prefixes=(key.ipv4_prefix, key.ipv6_prefix),
        is_skipped=is_skipped,
    )


# ── which one applies ────────────────────────────────────────────────────────────────────────────────────────────


def policies_for(view: View, target: ObjectKey, section: str | None) -> _Candidates:
    """Name the policies for exactly this target that can be followed, older first."""
    found: list[Object] = []
    for obj in view.bucket(LIMIT_POLICIES, target).values():
        assert isinstance(obj.spec, RateLimitPolicySpec)
        if any(
            is_target(ref)
            and object_key(ref.kind, obj.meta.namespace, ref.name) == target
            and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            found.append(obj)
    return tuple(obj.key for obj in sorted(found, key=age) if view.get(LIMITS, obj.key) is not None)


def is_target(target: LocalPolicyTargetReferenceWithSectionName) -> bool:
    """Say whether a limit can apply to things of this kind."""
    return target.group == GATEWAY_GROUP and target.kind in KINDS


def of_listener(view: View, place: tuple[ObjectKey, str | None]) -> _Candidates:
    """Name the policies for a listener (None for one of a ListenerSet) and then its Gateway, first choice first."""
    gateway, listener = place
    own = policies_for(view, gateway, listener) if listener is not None else ()
    return (*own, *policies_for(view, gateway, None))


OF_LISTENER: Final = Rule(of_listener)


def of_rule(view: View, route: ObjectKey, rule: str | None) -> _Candidates:
    """Name the policies for a rule and then its route, first choice first."""
    if not view.bucket(LIMIT_POLICIES, route):
        return ()
    own = policies_for(view, route, rule) if rule is not None else ()
    return (*own, *policies_for(view, route, None))


def choose(view: View, candidates: _Candidates) -> Limited | None:
    """Take the first; the others are remembered, so that `explain` can name them."""
    if not candidates:
        return None
    ordered = tuple(dict.fromkeys(candidates))
    first = view.get(LIMITS, ordered[0])
    return Limited(by=first, over=ordered[1:]) if first is not None else None


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def limits_said(limited: Limited) -> tuple[str, ...]:
    """Say each limit, and which policies would apply were this one not more specific, or older."""
    policy = limited.by
    does = "shadow: counted, never refused" if policy.is_shadow else f"above it {policy.status}"
    where = "shared by the fleet" if policy.slot is not None else "on each edge"
    said = [f"limit {policy.name}/{one.name}: {_said(one)} {where}, {does}" for one in policy.limits]
    if limited.over:
        said.append(f"limit {policy.name} is more specific than {', '.join(limited.over)}, or older: they do not apply")
    return tuple(said)


def _said(limit: Limit) -> str:
    keys = [
        f"client (IPv4 /{key.prefixes[0]}, IPv6 /{key.prefixes[1]})"
        if key.type == "client"
        else f"{key.type} {key.name}"
        for key in limit.keys
    ]
    who = f"for each {' and '.join(key.strip() for key in keys)}" if keys else "for all together"
    return f"{limit.requests} requests in {limit.window:g} s (at once {limit.burst}) {who}"
