"""Routes: an HTTPRoute or a GRPCRoute made into routes of virtual hosts, and what we say of it.

Pure. One computation for each route, whatever else there is; where several meet in one virtual host, `merge` sorts them.
Connections that are passed on as they are (TLSRoute, TCPRoute, UDPRoute) are in `gateway.streams`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from seawall.gateway.access import ACCESS_OF_LISTENER, CLOSED, admitted
from seawall.gateway.actions import Outcome, Seen, cors, outcome
from seawall.gateway.attach import Attached, Attachment, attach, hosts
from seawall.gateway.gateways import age
from seawall.gateway.graph import HostKey, Limited, ObjectKey, Respond, Route, RouteMatch, ValueMatch, VirtualHost
from seawall.gateway.grpc import http_rules
from seawall.gateway.grpc import specificity as grpc_specificity
from seawall.gateway.indexes import ATTACHED, GRPC_ROUTES, HOSTS, HTTP_ROUTES, USES, Ranked
from seawall.gateway.limits import OF_LISTENER, choose, of_rule
from seawall.gateway.objects import Object
from seawall.gateway.resources.grpc import GRPCRouteMatch, GRPCRouteSpec
from seawall.gateway.resources.http import HTTPHeaderMatch, HTTPQueryParamMatch, HTTPRouteMatch, HTTPRouteSpec
from seawall.gateway.resources.refs import ParentReference
from seawall.gateway.rivals import Standing, Wish, contest, publish, standing, wishes
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.status import Condition, Fault, bad, good, judge
from seawall.gateway.traffic import TRAFFIC_OF_LISTENER, Keys, applied, handling
from seawall.gateway.traffic import of_rule as traffic_of_rule
from seawall.gateway.view import Entries, Published, Rule, View


class ParentVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What we say of a route to one of its parents."""

    ref: ParentReference
    conditions: tuple[Condition, ...]


class RouteFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a route. `uses` are backends with the Gateways through which they are reached.

    `wishes` and `standing` are what GRPCRoutes must know of an HTTPRoute that shares a listener with them.
    """

    parents: tuple[ParentVerdict, ...] = ()
    faults: tuple[Fault, ...] = ()
    hosts: Mapping[HostKey, tuple[Ranked, ...]] = {}
    attached: frozenset[tuple[ObjectKey, str]] = frozenset()
    uses: frozenset[tuple[ObjectKey, ObjectKey]] = frozenset()
    wishes: tuple[Wish, ...] = ()
    standing: Standing | None = None


def http_route(view: View, key: ObjectKey) -> RouteFacts | None:
    """Resolve an HTTPRoute."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, HTTPRouteSpec):
        return None
    attached = contest(view, obj, attach(view, obj, obj.spec.parent_refs, obj.spec.hostnames))
    facts = _Resolved(view, obj, obj.spec, attached).facts()
    wanted = wishes(view, obj, attached)
    return msgspec.structs.replace(facts, wishes=wanted, standing=standing(obj)) if wanted else facts


class GrpcClaim(msgspec.Struct, frozen=True, kw_only=True):
    """Where a GRPCRoute attaches, before HTTPRoutes that are older have been asked."""

    attached: Attached
    wishes: tuple[Wish, ...]
    standing: Standing


def grpc_claim(view: View, key: ObjectKey) -> GrpcClaim | None:
    """Attach a GRPCRoute. A rule of its own: HTTPRoutes look at what it publishes, and it at theirs."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, GRPCRouteSpec):
        return None
    attached = attach(view, obj, obj.spec.parent_refs, obj.spec.hostnames)
    return GrpcClaim(attached=attached, wishes=wishes(view, obj, attached), standing=standing(obj))


def _publish_claim(key: ObjectKey, found: GrpcClaim | None) -> Entries:
    return publish("GRPCRoute", found.standing, found.wishes) if found is not None and key else {}


GRPC_CLAIM: Final = Rule(grpc_claim, each=GRPC_ROUTES, publish=_publish_claim)


def grpc_route(view: View, key: ObjectKey) -> RouteFacts | None:
    """Resolve a GRPCRoute."""
    obj, found = view.object(key), view.get(GRPC_CLAIM, key)
    if obj is None or found is None:
        return None
    assert isinstance(obj.spec, GRPCRouteSpec)
    return _Resolved(view, obj, obj.spec, contest(view, obj, found.attached)).facts()


def _publish(key: ObjectKey, facts: RouteFacts | None) -> Entries:
    if facts is None:
        return {}
    entries: Published = {HOSTS.at(host): routes for host, routes in facts.hosts.items()}
    entries.update((ATTACHED.at(listener), True) for listener in facts.attached)
    entries.update((USES.at(use), True) for use in facts.uses)
    if facts.standing is not None:
        entries.update(publish("HTTPRoute", facts.standing, facts.wishes))
    return entries if key else {}


HTTP_ROUTE: Final = Rule(http_route, each=HTTP_ROUTES, publish=_publish)
GRPC_ROUTE: Final = Rule(grpc_route, each=GRPC_ROUTES, publish=_publish)


class _Resolved:
    """Makes the rules of one route for all places that it attached to, each different view of them once."""

    def __init__(self, view: View, obj: Object, spec: HTTPRouteSpec | GRPCRouteSpec, attached: Attached) -> None:
        self._view = view
        self._obj = obj
        self._parent_refs = spec.parent_refs
        self._rules = _Rules(spec)
        self._attached = attached
        self._outcomes: dict[Seen, tuple[Outcome, ...]] = {}
        self._ranked: dict[tuple[Seen, Keys, Keys, Keys], tuple[Ranked, ...]] = {}
        self._refused = view.fact(QUARANTINE, obj.key)

    def facts(self) -> RouteFacts:
        found: dict[HostKey, tuple[Ranked, ...]] = {}
        listeners: set[tuple[ObjectKey, str]] = set()
        uses: set[tuple[ObjectKey, ObjectKey]] = set()
        parents: list[ParentVerdict] = []
        unreached: list[Fault] = []
        for attachment in self._attached.attachments:
            verdict, is_accepted = self._verdict(attachment)
            parents.append(verdict)
            reached = dict(self._reached(attachment))
            found.update(reached)
            if is_accepted:
                listeners.update((attachment.parent.key, place.point.name) for place in attachment.places)
            if attachment.places:
                made = [made for seen in self._seen_from(attachment) for made in self._outcome(seen)]
                uses.update((backend, attachment.parent.gateway) for one in made for backend in one.backends)
                unreached += [] if reached else [idle(attachment, "requests")]
        return RouteFacts(
            parents=tuple(parents),
            faults=(*self._faults(), *unreached),
            hosts=found,
            attached=frozenset(listeners),
            uses=frozenset(uses),
        )

    def _reached(self, attachment: Attachment) -> Iterator[tuple[HostKey, tuple[Ranked, ...]]]:
        for place in attachment.places:
            seen = _seen(attachment, place.point.port, is_tls=place.point.is_tls)
            is_own = attachment.parent.key == attachment.parent.gateway
            listener = (attachment.parent.gateway, place.point.name if is_own else None)
            limits = self._view.get(OF_LISTENER, listener)
            traffic = self._view.get(TRAFFIC_OF_LISTENER, listener)
            access = self._view.get(ACCESS_OF_LISTENER, listener)
            made = self._routes(seen, limits, traffic, access)
            yield from ((host, made) for host in hosts(self._view, attachment, place))

    def _outcome(self, seen: Seen) -> tuple[Outcome, ...]:
        if seen not in self._outcomes:
            self._outcomes[seen] = tuple(
                outcome(self._view, self._obj, rule, f"$.spec.rules[{index}]", seen)
                for index, rule in enumerate(self._rules.rules)
            )
        return self._outcomes[seen]

    def _routes(self, seen: Seen, limits: Keys, traffic: Keys, access: Keys) -> tuple[Ranked, ...]:
        key = (seen, limits, traffic, access)
        if key not in self._ranked:
            made = (
                ranked
                for index, found in enumerate(self._outcome(seen))
                for ranked in self._rules.routes(
                    self._obj,
                    index,
                    self._admitted(index, self._handled(index, self._guarded(found), traffic), access),
                    self._limited(index, limits),
                )
            )
            self._ranked[key] = tuple(sorted(made, key=lambda ranked: ranked[0]))
        return self._ranked[key]

    def _limited(self, index: int, limits: tuple[ObjectKey, ...]) -> Limited | None:
        rule = self._rules.rules[index]
        return choose(self._view, (*of_rule(self._view, self._obj.key, rule.name), *limits))

    def _handled(self, index: int, found: Outcome, traffic: Keys) -> Outcome:
        keys = (*traffic_of_rule(self._view, self._obj.key, self._rules.rules[index].name), *traffic)
        made = handling(self._view, keys, found.action, found.sessions)
        if made is None:
            return found
        return msgspec.structs.replace(found, action=applied(self._view, found.action, keys), handling=made)

    def _admitted(self, index: int, found: Outcome, access: Keys) -> Outcome:
        """Put the access policy to it; one that cannot be followed closes the route."""
        chosen = admitted(self._view, self._obj.key, self._rules.rules[index].name, access)
        if chosen is None:
            return found
        if chosen.by.fault:
            return Outcome(action=Respond(status=500, reason=CLOSED), admitted=chosen)
        # What the rule says of other origins itself goes before its policy.
        said = cors(chosen.by.cors) if chosen.by.cors is not None else None
        return msgspec.structs.replace(found, admitted=chosen, cors=found.cors or said)

    def _guarded(self, found: Outcome) -> Outcome:
        """Put a 500 in place of what Envoy refused."""
        if self._refused is None:
            return found
        return Outcome(action=Respond(status=500, reason=f"Envoy refused this route: {self._refused}"))

    def _seen_from(self, attachment: Attachment) -> list[Seen]:
        places = attachment.places
        if not places:
            # References are judged all the same: "ResolvedRefs" does not depend on "Accepted".
            return [Seen(client_certificate=attachment.parent.client_certificate, is_served=False)]
        return [_seen(attachment, place.point.port, is_tls=place.point.is_tls) for place in places]

    def _verdict(self, attachment: Attachment) -> tuple[ParentVerdict, bool]:
        outcomes = [made for seen in self._seen_from(attachment) for made in self._outcome(seen)]
        refs = [fault for made in outcomes for fault in made.refs]
        invalid = [fault for made in outcomes for fault in made.invalid]
        conditions: list[Condition] = []
        if attachment.fault is not None:
            conditions.append(bad("Accepted", [attachment.fault]))
        elif invalid and all(made.invalid for made in outcomes):
            conditions.append(bad("Accepted", invalid))
        else:
            conditions.append(good("Accepted", message="The route is attached."))
        is_accepted = conditions[0].status == "True"
        conditions.append(judge("ResolvedRefs", refs, "All references are resolved."))
        if invalid and is_accepted:
            dropped = bad("PartiallyInvalid", invalid)
            message = f"Dropped Rule: {dropped.message} Its requests are answered with 500."
            conditions.append(good("PartiallyInvalid", dropped.reason, message))
        conditions += self._quarantined()
        return ParentVerdict(ref=attachment.ref, conditions=tuple(conditions)), is_accepted

    def _quarantined(self) -> list[Condition]:
        return [bad("Programmed", self._quarantine_faults())] if self._refused is not None else []

    def _quarantine_faults(self) -> list[Fault]:
        if self._refused is None:
            return []
        message = f"Envoy refused what was made of this route: {self._refused}"
        hint = "Change what Envoy names; until then the route answers 500."
        return [Fault(reason="Invalid", message=message, path="$.spec", hint=hint)]

    def _faults(self) -> Iterator[Fault]:
        yield from self._attached.dangling
        yield from (one.fault for one in self._attached.attachments if one.fault is not None)
        yield from self._quarantine_faults()
        attachments = self._attached.attachments
        for attachment in attachments:
            for seen in self._seen_from(attachment):
                for made in self._outcome(seen):
                    yield from (*made.refs, *made.invalid, *made.warnings)
        if not attachments and not self._attached.dangling and not self._parent_refs:
            yield parentless()


def parentless() -> Fault:
    """Say of a route that it names no parent."""
    message = "The route has no parentRefs, so nothing reaches it."
    hint = "Name a Gateway in spec.parentRefs."
    return Fault(reason="NoMatchingParent", message=message, path="$.spec", hint=hint, severity="warning")


def idle(attachment: Attachment, what: str) -> Fault:
    """Say of a route that nothing comes to it where it is attached."""
    names = ", ".join(place.point.name for place in attachment.places)
    return Fault(
        reason="Shadowed",
        message=f"The route is attached to {attachment.parent.key} ({names}), but gets no {what} there.",
        path=attachment.path,
        hint="Look at the listener: it cannot serve, or a more specific listener has all of the hostnames.",
        severity="warning",
    )


def _seen(attachment: Attachment, port: int, *, is_tls: bool) -> Seen:
    return Seen(port=port, is_tls=is_tls, client_certificate=attachment.parent.client_certificate)


# ── rules into routes ────────────────────────────────────────────────────────────────────────────────────────────


class _Rules:
    """The rules of a route of either kind, said as those of an HTTPRoute, and which match goes first."""

    def __init__(self, spec: HTTPRouteSpec | GRPCRouteSpec) -> None:
        self._spec = spec
        self.rules = http_rules(spec.rules) if isinstance(spec, GRPCRouteSpec) else spec.rules

    def routes(self, obj: Object, index: int, found: Outcome, limited: Limited | None) -> Iterator[Ranked]:
        rule = self.rules[index]
        for at, written in enumerate(rule.matches):
            match = route_match(written)
            route = Route(
                name=f"{obj.meta.namespace}/{obj.meta.name}/{rule.name or index}/{at}",
                origin=obj.key,
                path=f"$.spec.rules[{index}].matches[{at}]",
                match=match,
                action=found.action,
                request_headers=found.request_headers,
                response_headers=found.response_headers,
                cors=found.cors,
                external_auth=found.external_auth,
                limited=limited,
                handling=found.handling,
                admitted=found.admitted,
            )
            yield (*self._specificity(index, at, match), *age(obj), index, at), route

    def _specificity(self, index: int, at: int, match: RouteMatch) -> tuple[int, int, bool, int, int]:
        if isinstance(self._spec, HTTPRouteSpec):
            return specificity(match)
        written = self._spec.rules[index].matches
        return grpc_specificity(written[at] if written else GRPCRouteMatch(), match)


def route_match(written: HTTPRouteMatch) -> RouteMatch:
    """Take over a match; of headers or parameters with equivalent names only the first counts."""
    path = written.path.value
    if written.path.type == "PathPrefix":
        path = path.rstrip("/") or "/"
    return RouteMatch(
        path_type=written.path.type,
        path=path,
        method=written.method,
        headers=_values((header.name.lower(), header) for header in written.headers),
        query=_values((parameter.name, parameter) for parameter in written.query_params),
    )


def _values(named: Iterable[tuple[str, HTTPHeaderMatch | HTTPQueryParamMatch]]) -> tuple[ValueMatch, ...]:
    found: dict[str, ValueMatch] = {}
    for name, written in named:
        if name not in found:
            found[name] = ValueMatch(name=name, type=written.type, value=written.value)
    return tuple(found.values())


_TYPES: Final = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}


def specificity(match: RouteMatch) -> tuple[int, int, bool, int, int]:
    """Sort first what goes first: exact path, longest prefix, method, most headers, most query parameters.

    Where regular expressions stand is left to implementations; they are written for special cases, so before prefixes.
    """
    return (
        _TYPES[match.path_type],
        -len(match.path),
        match.method is None,
        -len(match.headers),
        -len(match.query),
    )


def merge(view: View, key: HostKey) -> VirtualHost | None:
    """Put the routes of all objects of one hostname into the order of precedence."""
    parts = view.bucket(HOSTS, key)
    if not parts:
        return None
    ranked = [one for part in parts.values() for one in part]
    ranked.sort(key=lambda one: one[0])
    return VirtualHost(key=key, routes=tuple(route for _, route in ranked))


HOST: Final = Rule(merge, each=HOSTS)
