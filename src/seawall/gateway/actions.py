"""Actions: what one rule of an HTTPRoute or a GRPCRoute does with a request, as seen from one listener.

Pure. A rule that cannot be honoured is never skipped, because then a wider rule would answer: it answers 500 and the
route says why. Next room: `gateway.routes`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from seawall.gateway.backends import BACKEND, KINDS, RESOLUTION, BackendKey, Resolution, Wanted
from seawall.gateway.entrance import Admitted, ExternalAuth
from seawall.gateway.grants import GRANT, Reference, grant_hint
from seawall.gateway.graph import (
    Action,
    Apart,
    Cors,
    Forward,
    HeaderEdits,
    Mirror,
    ObjectKey,
    PathEdit,
    Redirect,
    Respond,
    Retry,
    SecretName,
    WeightedBackend,
)
from seawall.gateway.handling import Handling
from seawall.gateway.objects import Object
from seawall.gateway.resources.filters import (
    CORSFilter,
    ExternalAuthFilter,
    HeaderFilter,
    PathModifier,
    RequestMirrorFilter,
    RequestRedirectFilter,
)
from seawall.gateway.resources.grpc import GRPCBackendRef
from seawall.gateway.resources.http import HTTPBackendRef, HTTPRouteFilter, HTTPRouteRule
from seawall.gateway.resources.refs import BackendObjectReference, BackendRef
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.servers import external_auth
from seawall.gateway.status import Fault
from seawall.gateway.traffic import Asked, backend_session, session_of, session_warnings
from seawall.gateway.view import View

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_CARRIES: Final[Mapping[str, Wanted]] = {"GRPCRoute": "grpc", "TLSRoute": "tcp", "TCPRoute": "tcp", "UDPRoute": "udp"}
AnyBackendRef = BackendObjectReference | BackendRef | HTTPBackendRef | GRPCBackendRef


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """From where a rule is seen: what makes its action differ between listeners. `is_served`: requests do arrive.

    `is_raw`: what comes is TLS that we do not open.
    """

    port: int = 80
    is_tls: bool = False
    client_certificate: SecretName | None = None
    is_served: bool = True
    is_raw: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.is_tls else "http"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's action and header edits; `refs` are faults of references, `invalid` of what cannot be honoured."""

    action: Action
    request_headers: HeaderEdits | None = None
    response_headers: HeaderEdits | None = None
    cors: Cors | None = None
    external_auth: ExternalAuth | None = None
    refs: tuple[Fault, ...] = ()
    invalid: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    backends: frozenset[ObjectKey] = frozenset()
    sessions: Asked = Asked()
    handling: Handling | None = None
    admitted: Admitted | None = None


def follow_backend(
    view: View, route: Object, ref: AnyBackendRef, path: str, seen: Seen, wanted: Wanted | None = None
) -> Resolution:
    """Follow a backendRef; the fault, if any, has its place in the route. `wanted`: what it is to speak, if not what the route
    carries."""
    kind = KINDS.get((ref.group, ref.kind))
    if kind is None:
        fault = Fault(
            reason="InvalidKind",
            message=f"A {ref.kind} of group {ref.group!r} cannot be a backend.",
            path=f"{path}.kind",
            hint='Use kind Service of group "", or kind Backend of group seawall.dev.',
        )
        return Resolution(fault=fault)
    namespace = ref.namespace or route.meta.namespace
    if namespace != route.meta.namespace:
        reference = Reference(
            from_kind=route.kind,
            from_namespace=route.meta.namespace,
            group=ref.group,
            kind=ref.kind,
            namespace=namespace,
            name=ref.name,
        )
        if not view.get(GRANT, reference):
            message = f"No ReferenceGrant allows the reference to {kind} {namespace}/{ref.name}."
            fault = Fault(
                reason="RefNotPermitted", message=message, path=f"{path}.namespace", hint=grant_hint(reference)
            )
            return Resolution(fault=fault)
    key = BackendKey(
        kind=kind,
        namespace=namespace,
        name=ref.name,
        port=ref.port if kind == "Service" else None,
        client_certificate=seen.client_certificate,
        wanted=wanted or _CARRIES.get(route.kind, "http"),
        is_raw=seen.is_raw,
    )
    found = view.get(BACKEND if seen.is_served else RESOLUTION, key)
    if found.fault is None:
        return found
    return Resolution(fault=msgspec.structs.replace(found.fault, path=f"{path}{found.fault.path}"))


def outcome(view: View, route: Object, rule: HTTPRouteRule, path: str, seen: Seen) -> Outcome:
    """Work out what a rule does; `path` is where it stands in the route."""
    return _Rule(view, route, rule, path, seen).outcome()


class _Rule:
    """Collects what the filters and backends of one rule amount to."""

    def __init__(self, view: View, route: Object, rule: HTTPRouteRule, path: str, seen: Seen) -> None:
        self._view = view
        self._route = route
        self._rule = rule
        self._path = path
        self._seen = seen
        self._refs: list[Fault] = []
        self._invalid: list[Fault] = []
        self._warnings: list[Fault] = []
        self._request: HeaderEdits | None = None
        self._response: HeaderEdits | None = None
        self._redirect: Redirect | None = None
        self._rewrite_host: str | None = None
        self._rewrite_path: PathEdit | None = None
        self._mirrors: list[Mirror] = []
        self._cors: Cors | None = None
        self._external_auth: ExternalAuth | None = None
        self._backends: set[ObjectKey] = set()

    def outcome(self) -> Outcome:
        for index, written in enumerate(self._rule.filters):
            self._filter(written, f"{self._path}.filters[{index}]")
        shares = self._shares()
        sessions = self._sessions()
        return Outcome(
            action=self._action(shares),
            request_headers=self._request,
            response_headers=self._response,
            cors=self._cors,
            external_auth=self._external_auth,
            refs=tuple(self._refs),
            invalid=tuple(self._invalid),
            warnings=tuple(self._warnings),
            backends=frozenset(self._backends),
            sessions=sessions,
        )

    def _sessions(self) -> Asked:
        written = self._rule.session_persistence
        if written is not None:
            self._warnings += session_warnings(written, f"{self._path}.sessionPersistence")
            return Asked(of_rule=session_of(written, f"{self._route.key}{self._path}"))
        found = backend_session(self._view, tuple(sorted(self._backends)))
        return Asked(of_backend=found[0], by=found[1]) if found is not None else Asked()

    def _action(self, shares: tuple[WeightedBackend, ...]) -> Action:
        if self._invalid:
            return Respond(status=500, reason=self._invalid[0].message)
        if self._redirect is not None:
            return self._redirect
        timeouts, retry = self._rule.timeouts, self._rule.retry
        return Forward(
            backends=shares,
            rewrite_host=self._rewrite_host,
            rewrite_path=self._rewrite_path,
            mirrors=tuple(self._mirrors),
            timeout=seconds(timeouts.request) if timeouts and timeouts.request else None,
            try_timeout=seconds(timeouts.backend_request) if timeouts and timeouts.backend_request else None,
            retry=Retry(
                attempts=retry.attempts or 1,
                codes=tuple(dict.fromkeys(retry.codes)),
                backoff=seconds(retry.backoff) if retry.backoff else None,
            )
            if retry
            else None,
            # "all traffic which matches this rule MUST receive an `UNAVAILABLE` status", which a 503 is to gRPC.
            unusable=503 if self._route.kind == "GRPCRoute" else 500,
        )

    def _filter(self, written: HTTPRouteFilter, path: str) -> None:
        match written.type:
            case "RequestHeaderModifier" if written.request_header_modifier:
                self._request = header_edits(written.request_header_modifier)
            case "ResponseHeaderModifier" if written.response_header_modifier:
                self._response = header_edits(written.response_header_modifier)
            case "RequestRedirect" if written.request_redirect:
                self._redirect = self._redirected(written.request_redirect, f"{path}.requestRedirect")
            case "URLRewrite" if written.url_rewrite:
                self._rewrite_host = written.url_rewrite.hostname
                self._rewrite_path = self._path_edit(written.url_rewrite.path, f"{path}.urlRewrite.path")
            case "RequestMirror" if written.request_mirror:
                self._mirrors += self._mirrored(written.request_mirror, f"{path}.requestMirror")
            case "CORS" if written.cors:
                self._cors = cors(written.cors)
            case "ExternalAuth" if written.external_auth:
                self._external_auth = self._asked(written.external_auth, f"{path}.externalAuth")
            case "ExtensionRef":
                self._unknown_extension(written, path)
            case _:
                self._unsupported(written, path)

    def _shares(self) -> tuple[WeightedBackend, ...]:
        refs = self._rule.backend_refs
        return tuple(
            self._share(ref, f"{self._path}.backendRefs[{index}]", is_only=len(refs) == 1)
            for index, ref in enumerate(refs)
        )

    def _share(self, ref: HTTPBackendRef, path: str, *, is_only: bool) -> WeightedBackend:
        """Resolve a backend with its own filters; of an only backend they are those of the whole rule."""
        found = follow_backend(self._view, self._route, ref, path, self._seen)
        self._refs += [found.fault] if found.fault else []
        recipe = found.recipe
        if recipe is not None:
            self._backends.add(recipe.backend)
        request = response = None
        apart = Apart()
        for index, written in enumerate(ref.filters):
            place = f"{path}.filters[{index}]"
            if written.type == "RequestHeaderModifier" and written.request_header_modifier:
                request = header_edits(written.request_header_modifier)
            elif written.type == "ResponseHeaderModifier" and written.response_header_modifier:
                response = header_edits(written.response_header_modifier)
            elif is_only:
                self._filter(written, place)
            elif (more := self._apart(apart, written, place)) is not None:
                apart = more
            else:
                self._unsupported_per_backend(written, place)
                recipe = None
        return WeightedBackend(
            cluster=recipe.cluster.name if recipe is not None else None,
            weight=ref.weight,
            request_headers=request,
            response_headers=response,
            apart=apart if apart != Apart() else None,
        )

    def _apart(self, known: Apart, written: HTTPRouteFilter, path: str) -> Apart | None:
        """Add what a filter does with the share of one of several backends; None if it is nothing for a share."""
        replace = msgspec.structs.replace
        match written.type:
            case "RequestRedirect" if written.request_redirect:
                return replace(known, redirect=self._redirected(written.request_redirect, f"{path}.requestRedirect"))
            case "URLRewrite" if written.url_rewrite:
                edit = self._path_edit(written.url_rewrite.path, f"{path}.urlRewrite.path")
                return replace(known, rewrite_host=written.url_rewrite.hostname, rewrite_path=edit)
            case "RequestMirror" if written.request_mirror:
                copied = self._mirrored(written.request_mirror, f"{path}.requestMirror")
                return replace(known, mirrors=(*known.mirrors, *copied))
        return None

    # ── single filters ───────────────────────────────────────────────────────────────────────────────────────────

    def _redirected(self, written: RequestRedirectFilter, path: str) -> Redirect:
        scheme = written.scheme or self._seen.scheme
        # "If redirect scheme is not-empty, the redirect port MUST be the well-known port associated with the scheme.
        # If redirect scheme is empty, the redirect port MUST be the Gateway Listener port."
        port = written.port or (_DEFAULT_PORTS[scheme] if written.scheme else self._seen.port)
        return Redirect(
            scheme=written.scheme,
            host=written.hostname,
            port=None if port == _DEFAULT_PORTS[scheme] else port,
            path=self._path_edit(written.path, f"{path}.path"),
            status=written.status_code,
        )

    def _path_edit(self, written: PathModifier | None, path: str) -> PathEdit | None:
        if written is None:
            return None
        if written.type == "ReplaceFullPath":
            return PathEdit(type="ReplaceFullPath", value=written.replace_full_path or "/")
        if any(match.path.type != "PathPrefix" for match in self._rule.matches):
            fault = Fault(
                reason="IncompatibleFilters",
                message="ReplacePrefixMatch needs matches of type PathPrefix: nothing else has a prefix to replace.",
                path=path,
                hint="Use ReplaceFullPath, or match by PathPrefix.",
            )
            self._invalid.append(fault)
        return PathEdit(type="ReplacePrefixMatch", value=written.replace_prefix_match or "/")

    def _mirrored(self, written: RequestMirrorFilter, path: str) -> tuple[Mirror, ...]:
        """Find who gets a copy; nobody if the reference leads nowhere, which the route says."""
        found = follow_backend(self._view, self._route, written.backend_ref, f"{path}.backendRef", self._seen)
        if found.recipe is None:
            self._refs += [found.fault] if found.fault else []
            return ()
        self._backends.add(found.recipe.backend)
        name = found.recipe.cluster.name
        if written.fraction is not None:
            fraction = written.fraction
            return (Mirror(cluster=name, numerator=fraction.numerator, denominator=fraction.denominator),)
        return (Mirror(cluster=name, numerator=100 if written.percent is None else written.percent),)

    def _asked(self, written: ExternalAuthFilter, path: str) -> ExternalAuth | None:
        """Find who is to be asked. Where nobody can be, nothing passes."""
        wanted: Wanted = "grpc" if written.protocol == "GRPC" else "http"
        found = follow_backend(self._view, self._route, written.backend_ref, f"{path}.backendRef", self._seen, wanted)
        if found.recipe is None:
            if found.fault is not None:
                self._refs.append(found.fault)
                self._invalid.append(msgspec.structs.replace(found.fault, reason="UnsupportedValue"))
            return None
        self._backends.add(found.recipe.backend)
        return external_auth(written, found.recipe.cluster.name)

    # ── what cannot be honoured ──────────────────────────────────────────────────────────────────────────────────

    def _unknown_extension(self, written: HTTPRouteFilter, path: str) -> None:
        ref = written.extension_ref
        what = f"{ref.kind} {ref.name}" if ref else "nothing"
        fault = Fault(
            reason="InvalidKind",
            message=f"The filter extension {what} cannot be followed: Seawall has no such kind of filter.",
            path=f"{path}.extensionRef",
            hint="Remove the filter; until then this rule answers 500, because a filter must not be skipped.",
        )
        self._refs.append(fault)
        self._invalid.append(msgspec.structs.replace(fault, reason="UnsupportedValue"))

    def _unsupported(self, written: HTTPRouteFilter, path: str) -> None:
        fault = Fault(
            reason="UnsupportedValue",
            message=f"A filter of type {written.type} is not supported.",
            path=f"{path}.type",
            hint="Remove the filter; until then this rule answers 500, because a filter must not be skipped.",
        )
        self._invalid.append(fault)

    def _unsupported_per_backend(self, written: HTTPRouteFilter, path: str) -> None:
        fault = Fault(
            reason="UnsupportedValue",
            message=f"A filter of type {written.type} cannot be applied to one of several backends.",
            path=f"{path}.type",
            hint="Move the filter to the rule, or split the rule; until then this backend's share answers 500.",
        )
        self._refs.append(fault)


# ── plain conversions ────────────────────────────────────────────────────────────────────────────────────────────


def header_edits(written: HeaderFilter) -> HeaderEdits:
    """Take over a header modifier; of entries with equivalent names only the first counts."""
    return HeaderEdits(
        set=_first((header.name, header.value) for header in written.set),
        add=_first((header.name, header.value) for header in written.add),
        remove=tuple({name.lower(): name for name in reversed(written.remove)}.values())[::-1],
    )


def _first(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), (name, value))
    return tuple(found.values())


def cors(written: CORSFilter) -> Cors:
    """Take over a CORS filter."""
    return Cors(
        allow_origins=written.allow_origins,
        allow_methods=written.allow_methods,
        allow_headers=written.allow_headers,
        expose_headers=written.expose_headers,
        allow_credentials=bool(written.allow_credentials),
        max_age=written.max_age,
    )
