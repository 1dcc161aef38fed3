"""Traffic: what TrafficPolicies and XBackendTrafficPolicies amount to for a rule of a route, and for a backend.

Pure. Of the policies for one target the oldest applies. Of the targets that hold a request the most specific goes first, field
by field: rule, route, listener, Gateway; port, Service. A policy that Envoy has refused is passed over.
Next rooms: `gateway.routes` and `gateway.backends` put it into the graph, `gateway.traffic_reports` says what became of
each policy.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from seawall.gateway.gateways import age
from seawall.gateway.graph import Action, Cluster, ClusterName, Forward, ObjectKey, Respond, Retry
from seawall.gateway.handling import (
    BACKEND_FIELDS,
    REQUEST_FIELDS,
    Handling,
    RetryBudget,
    Session,
    Source,
    Treatment,
    waiting,
)
from seawall.gateway.indexes import BACKEND_TRAFFIC, TRAFFIC
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.filters import SessionPersistence
from seawall.gateway.resources.policies import RetryConstraint, XBackendTrafficPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, OWN_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.resources.traffic import Bandwidth, Timeouts, TrafficPolicySpec
from seawall.gateway.resources.traffic import Retry as WrittenRetry
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View
from seawall.kit.digest import digest

Keys = tuple[ObjectKey, ...]
KINDS: Final = {
    "Gateway": GATEWAY_GROUP,
    "HTTPRoute": GATEWAY_GROUP,
    "GRPCRoute": GATEWAY_GROUP,
    "Service": "",
    "Backend": OWN_GROUP,
}
"""What a policy can apply to, with the group of each kind."""
_WORDS: Final = {field.name: field.encode_name for field in msgspec.structs.fields(TrafficPolicySpec)}


def is_target(target: LocalPolicyTargetReferenceWithSectionName) -> bool:
    """Say whether a policy can apply to things of this kind."""
    return KINDS.get(target.kind) == target.group


def winner(view: View, target: tuple[ObjectKey, str | None]) -> ObjectKey | None:
    """Return the policy that applies to exactly this target (None) or section of it: the oldest."""
    key, section = target
    found: list[Object] = []
    for obj in view.bucket(TRAFFIC, key).values():
        assert isinstance(obj.spec, TrafficPolicySpec)
        if view.fact(QUARANTINE, obj.key) is None and any(
            is_target(ref) and object_key(ref.kind, obj.meta.namespace, ref.name) == key and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            found.append(obj)
    return min(found, key=age).key if found else None


TRAFFIC_WINNER: Final = Rule(winner)


def _winners(view: View, key: ObjectKey, section: str | None) -> Iterator[ObjectKey]:
    """Name the policies for a section of something, and then for the whole of it."""
    if not view.bucket(TRAFFIC, key):
        return
    for part in (section, None) if section else (None,):
        first = view.get(TRAFFIC_WINNER, (key, part))
        if first is not None:
            yield first


def of_listener(view: View, place: tuple[ObjectKey, str | None]) -> Keys:
    """Name the policies for a listener (None for one of a ListenerSet) and then its Gateway."""
    return tuple(_winners(view, *place))


TRAFFIC_OF_LISTENER: Final = Rule(of_listener)


def of_rule(view: View, route: ObjectKey, rule: str | None) -> Keys:
    """Name the policies for a rule and then its route."""
    return tuple(_winners(view, route, rule))


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of several policies put together: what was written, and where each is from."""

    fields: tuple[tuple[str, Any], ...] = ()
    sources: tuple[Source, ...] = ()

    def get(self, name: str) -> Any:
        return dict(self.fields).get(name)


def merge(view: View, keys: Keys) -> Merged:
    """Put policies together, the first of which is the most specific."""
    specs: list[tuple[ObjectKey, TrafficPolicySpec]] = []
    for key in dict.fromkeys(keys):
        obj = view.object(key)
        if obj is not None and isinstance(obj.spec, TrafficPolicySpec):
            specs.append((key, obj.spec))
    fields: dict[str, Any] = {}
    sources: list[Source] = []
    for name in (*REQUEST_FIELDS, *BACKEND_FIELDS):
        if name == "timeouts":
            continue
        having = [(key, value) for key, spec in specs if (value := getattr(spec, name)) is not None]
        if having:
            fields[name] = having[0][1]
            sources.append(_source(_WORDS[name], [key for key, _ in having]))
    limits = [(key, spec.timeouts) for key, spec in specs if spec.timeouts is not None]
    for field in msgspec.structs.fields(Timeouts):
        given = [(key, value) for key, limit in limits if (value := getattr(limit, field.name)) is not None]
        if given:
            fields[field.name] = seconds(given[0][1])
            sources.append(_source(f"timeouts.{field.encode_name}", [key for key, _ in given]))
    return Merged(fields=tuple(fields.items()), sources=tuple(sources))


MERGED: Final = Rule(merge)


def _source(field: str, keys: list[ObjectKey]) -> Source:
    return Source(field=field, policy=keys[0], over=tuple(keys[1:]))


# ── a rule of a route ────────────────────────────────────────────────────────────────────────────────────────────


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Session persistence that a rule asks for by itself, or else its backend by a policy `by`."""

    of_rule: Session | None = None
    of_backend: Session | None = None
    by: str = ""


def handling(view: View, keys: Keys, action: Action, asked: Asked) -> Handling | None:
    """Say how the requests of a rule travel. For sessions the rule itself goes first, then policies, then the backend's."""
    if not keys and asked.of_rule is None and asked.of_backend is None:
        return None
    found = view.get(MERGED, keys)
    unused = set(_unused(action))
    sources = tuple(one for one in found.sources if one.field not in unused)
    persistence: SessionPersistence | None = found.get("session_persistence")
    session = asked.of_rule
    if session is not None:
        sources = tuple(one for one in sources if one.field != "sessionPersistence")
    elif persistence is not None:
        session = session_of(persistence, next(one.policy for one in sources if one.field == "sessionPersistence"))
    elif asked.of_backend is not None:
        session = asked.of_backend
        sources += (Source(field="sessionPersistence", policy=asked.by),)
    body, bandwidth, fault = found.get("request_body"), found.get("bandwidth"), found.get("fault")
    left_out = waiting(body, bandwidth, fault)[1:]
    if "bandwidth.request" in left_out:
        bandwidth = Bandwidth(response=bandwidth.response) if bandwidth.response is not None else None
    if "fault.delay" in left_out:
        fault = msgspec.structs.replace(fault, delay=None) if fault.abort is not None else None
    return Handling(
        session=session,
        fault=fault,
        bandwidth=bandwidth,
        compression=found.get("compression"),
        request_body=body,
        error_pages=found.get("error_pages") or (),
        sources=sources,
        left_out=left_out,
    )


def _unused(action: Action) -> Iterator[str]:
    """Name the fields that an action has no use for: the rule says them itself, or sends nothing on."""
    inline = {"timeouts.request": "timeout", "timeouts.backendRequest": "try_timeout", "retry": "retry"}
    for field, name in inline.items():
        if not isinstance(action, Forward) or getattr(action, name) is not None:
            yield field
    if not isinstance(action, Forward):
        yield from ("timeouts.streamIdle", "directResponse")


def session_of(written: SessionPersistence, owner: str) -> Session:
    """Take over session persistence. Without a name the owner gives one that no other route has."""
    is_permanent = written.cookie_config is not None and written.cookie_config.lifetime_type == "Permanent"
    name = written.session_name or f"seawall-{digest(owner.encode())[:12]}"
    return Session(
        type=written.type,
        name=name.lower() if written.type == "Header" else name,
        lifetime=seconds(written.absolute_timeout) if is_permanent and written.absolute_timeout else None,
    )


def session_warnings(written: SessionPersistence, path: str) -> Iterator[Fault]:
    """Say which part of session persistence is not kept."""
    is_permanent = written.cookie_config is not None and written.cookie_config.lifetime_type == "Permanent"
    if written.absolute_timeout is not None and not is_permanent:
        lasts = "until the client forgets the header" if written.type == "Header" else "until the browser is closed"
        yield Fault(
            reason="UnsupportedValue",
            message=f"absoluteTimeout is not kept: the session lasts {lasts}.",
            path=f"{path}.absoluteTimeout",
            hint="Use a cookie with lifetimeType Permanent, or remove absoluteTimeout.",
            severity="warning",
        )


def applied(view: View, action: Action, keys: Keys) -> Action:
    """Put timeouts, retries and an answer of our own into an action; what the rule itself says stays."""
    if not keys or not isinstance(action, Forward):
        return action
    found = view.get(MERGED, keys)
    answer = found.get("direct_response")
    if answer is not None:
        return Respond(status=answer.status, template=answer.body, content_type=answer.content_type)
    written: WrittenRetry | None = found.get("retry")
    retry = action.retry
    if retry is None and written is not None:
        retry = Retry(
            attempts=written.attempts,
            codes=tuple(dict.fromkeys(written.codes)),
            on=written.reasons,
            backoff=seconds(written.backoff.base),
            longest=seconds(written.backoff.max),
            is_elsewhere=written.hosts == "other",
        )
    return msgspec.structs.replace(
        action,
        timeout=action.timeout if action.timeout is not None else found.get("request"),
        try_timeout=action.try_timeout if action.try_timeout is not None else found.get("backend_request"),
        stream_idle=found.get("stream_idle"),
        retry=retry,
    )


# ── a backend ────────────────────────────────────────────────────────────────────────────────────────────────────


def backend_winner(view: View, key: ObjectKey) -> ObjectKey | None:
    """Return the XBackendTrafficPolicy that applies to a backend: the oldest."""
    found = [obj for obj in view.bucket(BACKEND_TRAFFIC, key).values() if view.fact(QUARANTINE, obj.key) is None]
    return min(found, key=age).key if found else None


BACKEND_WINNER: Final = Rule(backend_winner)


def treatment(view: View, place: tuple[ObjectKey, str | None]) -> tuple[Treatment | None, str | None]:
    """Say how a backend (or a port of a Service, by its name there) is treated, and what is spoken to it."""
    found = view.get(MERGED, tuple(_winners(view, *place)))
    sources = list(found.sources)
    share = found.get("retry_budget")
    budget = RetryBudget(percent=share.percent, min_concurrent=share.min_concurrent) if share is not None else None
    other = view.get(BACKEND_WINNER, place[0])
    constraint = _spec(view, other).retry_constraint if other is not None else None
    if budget is None and constraint is not None and other is not None:
        budget = _budget(constraint)
        sources.append(Source(field="retryConstraint", policy=other))
    if not sources:
        return None, None
    made = Treatment(
        load_balancing=found.get("load_balancing"),
        health_check=found.get("health_check"),
        outlier_ejection=found.get("outlier_ejection"),
        circuit_breaker=found.get("circuit_breaker"),
        retry_budget=budget,
        connections=found.get("connections"),
        sources=tuple(sources),
    )
    return made, found.get("protocol")


TREATMENT: Final = Rule(treatment)


def _spec(view: View, key: ObjectKey) -> XBackendTrafficPolicySpec:
    obj = view.object(key)
    assert obj is not None
    assert isinstance(obj.spec, XBackendTrafficPolicySpec)
    return obj.spec


def _budget(written: RetryConstraint) -> RetryBudget:
    """Take over a retry constraint.

    Envoy counts retries that are under way, not how many there are in a time. A retry that takes no longer than the
    interval of the rate is under way for as long at most, so the rate for a second is what may be under way.
    """
    rate = written.min_retry_rate
    interval = seconds(rate.interval) if rate.interval else 1.0
    return RetryBudget(
        percent=float(written.budget.percent),
        min_concurrent=round((rate.count or 10) / interval),
        interval=seconds(written.budget.interval),
    )


def backend_session(view: View, backends: tuple[ObjectKey, ...]) -> tuple[Session, str] | None:
    """Return the session persistence that the first backend with any asks for, and which policy does."""
    for key in backends:
        if view.bucket(BACKEND_TRAFFIC, key) and (policy := view.get(BACKEND_WINNER, key)) is not None:
            written = _spec(view, policy).session_persistence
            if written is not None:
                return session_of(written, policy), policy
    return None


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def handling_said(handling: Handling | None) -> tuple[str, ...]:
    """Say which policy each field of a route is from, and which others have it and do not apply."""
    if handling is None:
        return ()
    why = "is left out: only one thing may make a request wait, and another policy asks for another one"
    return (*_said(handling.sources), *(f"{field} {why}" for field in handling.left_out))


def treatment_said(clusters: Mapping[ClusterName, Cluster], name: ClusterName | None) -> tuple[str, ...]:
    """Say the same of a backend."""
    cluster = clusters.get(name) if name is not None else None
    return _said(cluster.treatment.sources) if cluster is not None and cluster.treatment is not None else ()


def _said(sources: tuple[Source, ...]) -> tuple[str, ...]:
    return tuple(
        f"{one.field} from {one.policy}" + (f", which goes before {', '.join(one.over)}" if one.over else "")
        for one in sources
    )
