"""Rules for the filters of HTTPRoutes and GRPCRoutes, and for session persistence, which both have.

Pure.
"""

from typing import Final

from seawall.gateway.resources.filters import (
    CORSFilter,
    ExternalAuthFilter,
    Fraction,
    HeaderFilter,
    PathModifier,
    RequestMirrorFilter,
    SessionPersistence,
)
from seawall.gateway.resources.grpc import GRPCRouteFilter
from seawall.gateway.resources.http import HTTPRouteFilter
from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.rules.rule import Finding, Findings, Rule, run
from seawall.gateway.rules.unique import no_repeats

FIELDS: Final = {
    "RequestHeaderModifier": ("request_header_modifier", "requestHeaderModifier"),
    "ResponseHeaderModifier": ("response_header_modifier", "responseHeaderModifier"),
    "RequestMirror": ("request_mirror", "requestMirror"),
    "RequestRedirect": ("request_redirect", "requestRedirect"),
    "URLRewrite": ("url_rewrite", "urlRewrite"),
    "CORS": ("cors", "cors"),
    "ExternalAuth": ("external_auth", "externalAuth"),
    "ExtensionRef": ("extension_ref", "extensionRef"),
}
"""The field that a filter of a type must have, as we and as operators write it."""
_GRPC_TYPES: Final = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef")
_UNREPEATABLE: Final = ("CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")


# ── lists of filters ─────────────────────────────────────────────────────────────────────────────────────────────


def _not_repeated(filters: tuple[HTTPRouteFilter | GRPCRouteFilter, ...], at: str, findings: Findings) -> None:
    if len(filters) < 2:
        return
    seen: set[str] = set()
    for index, item in enumerate(filters):
        if item.type in seen and item.type in _UNREPEATABLE:
            message = f"The filter {item.type} stands here for the second time; it cannot be repeated."
            findings.append(Finding(path=f"{at}[{index}].type", message=message, hint="Merge the two into one."))
        seen.add(item.type)


def _redirect_or_rewrite(filters: tuple[HTTPRouteFilter | GRPCRouteFilter, ...], at: str, findings: Findings) -> None:
    types = {item.type for item in filters}
    if "RequestRedirect" in types and "URLRewrite" in types:
        message = "RequestRedirect and URLRewrite exclude each other: a request is either answered or passed on."
        findings.append(Finding(path=at, message=message, hint="Remove one of the two, or split the rule."))


FILTER_LIST: Final[tuple[Rule[tuple[HTTPRouteFilter | GRPCRouteFilter, ...]], ...]] = (
    Rule(check=_not_repeated, quotes=tuple(f"{kind} filter cannot be repeated" for kind in _UNREPEATABLE)),
    Rule(
        check=_redirect_or_rewrite,
        quotes=("May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both",),
    ),
)


# ── one filter ───────────────────────────────────────────────────────────────────────────────────────────────────


def _field_fits_type(item: HTTPRouteFilter | GRPCRouteFilter, at: str, findings: Findings) -> None:
    types = FIELDS if isinstance(item, HTTPRouteFilter) else _GRPC_TYPES
    for kind in types:
        attribute, field = FIELDS[kind]
        is_set = getattr(item, attribute) is not None
        if is_set and kind != item.type:
            message = f"A filter of type {item.type} must not have the field {field}."
            hint = f"Set type to {kind}, or make it a filter of its own."
            findings.append(Finding(path=f"{at}.{field}", message=message, hint=hint))
        elif not is_set and kind == item.type:
            message = f"A filter of type {kind} needs the field {field}."
            findings.append(Finding(path=at, message=message, hint=f"Add {field}."))


FILTER: Final[tuple[Rule[HTTPRouteFilter | GRPCRouteFilter], ...]] = (
    Rule(
        check=_field_fits_type,
        quotes=tuple(
            quote
            for kind, (_, field) in FIELDS.items()
            for quote in (
                f"filter.{field} must be nil if the filter.type is not {kind}",
                f"filter.{field} must be specified for {kind} filter.type",
            )
        ),
    ),
)


def check_filters(filters: tuple[HTTPRouteFilter | GRPCRouteFilter, ...], at: str, findings: Findings) -> None:
    """Check a list of filters with all that is in it."""
    if not filters:
        return
    run(FILTER_LIST, filters, at, findings)
    for index, item in enumerate(filters):
        here = f"{at}[{index}]"
        run(FILTER, item, here, findings)
        if item.request_header_modifier is not None:
            run(HEADERS, item.request_header_modifier, f"{here}.requestHeaderModifier", findings)
        if item.response_header_modifier is not None:
            run(HEADERS, item.response_header_modifier, f"{here}.responseHeaderModifier", findings)
        if item.request_mirror is not None:
            run(MIRROR, item.request_mirror, f"{here}.requestMirror", findings)
        if isinstance(item, HTTPRouteFilter):
            _check_http_only(item, here, findings)


def _check_http_only(item: HTTPRouteFilter, at: str, findings: Findings) -> None:
    if item.cors is not None:
        run(CORS, item.cors, f"{at}.cors", findings)
    if item.external_auth is not None:
        run(EXTERNAL_AUTH, item.external_auth, f"{at}.externalAuth", findings)
    if item.request_redirect is not None and item.request_redirect.path is not None:
        run(PATH_MODIFIER, item.request_redirect.path, f"{at}.requestRedirect.path", findings)
    if item.url_rewrite is not None and item.url_rewrite.path is not None:
        run(PATH_MODIFIER, item.url_rewrite.path, f"{at}.urlRewrite.path", findings)


# ── what filters hold ────────────────────────────────────────────────────────────────────────────────────────────


def _headers_once(edit: HeaderFilter, at: str, findings: Findings) -> None:
    no_repeats([h.name for h in edit.set], f"{at}.set", "header", findings, "name")
    no_repeats([h.name for h in edit.add], f"{at}.add", "header", findings, "name")
    no_repeats(edit.remove, f"{at}.remove", "header", findings)


HEADERS: Final[tuple[Rule[HeaderFilter], ...]] = (Rule(check=_headers_once),)


def service_needs_port(ref: BackendObjectReference, at: str, findings: Findings) -> None:
    """Say that a reference to a Service needs the port."""
    if ref.port is None and ref.kind == "Service" and not ref.group:
        findings.append(missing_port(ref.name, at))


def missing_port(name: str, at: str) -> Finding:
    message = f"The reference to the Service {name!r} names no port."
    return Finding(path=at, message=message, hint="Add port: the number of one of the Service's ports.")


def _mirror_port(mirror: RequestMirrorFilter, at: str, findings: Findings) -> None:
    service_needs_port(mirror.backend_ref, f"{at}.backendRef", findings)


def _percent_or_fraction(mirror: RequestMirrorFilter, at: str, findings: Findings) -> None:
    if mirror.percent is not None and mirror.fraction is not None:
        message = "percent and fraction exclude each other."
        findings.append(Finding(path=f"{at}.percent", message=message, hint="Remove one of the two."))


def _fraction_at_most_one(mirror: RequestMirrorFilter, at: str, findings: Findings) -> None:
    fraction: Fraction | None = mirror.fraction
    if fraction is not None and fraction.numerator > fraction.denominator:
        message = f"The numerator {fraction.numerator} is greater than the denominator {fraction.denominator}."
        hint = "A request is copied at most once: make it 1 of 1 or less."
        findings.append(Finding(path=f"{at}.fraction.numerator", message=message, hint=hint))


MIRROR: Final[tuple[Rule[RequestMirrorFilter], ...]] = (
    Rule(check=_mirror_port, quotes=("Must have port for Service reference",)),
    Rule(
        check=_percent_or_fraction,
        quotes=("Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",),
    ),
    Rule(check=_fraction_at_most_one, quotes=("numerator must be less than or equal to denominator",)),
)


def _path_modifier_fits_type(path: PathModifier, at: str, findings: Findings) -> None:
    fields = {
        "ReplaceFullPath": ("replaceFullPath", path.replace_full_path),
        "ReplacePrefixMatch": ("replacePrefixMatch", path.replace_prefix_match),
    }
    for kind, (field, value) in fields.items():
        if value is None and path.type == kind:
            message = f"A path of type {kind} needs the field {field}."
            findings.append(Finding(path=at, message=message, hint=f"Add {field}."))
        if value is not None and path.type != kind:
            message = f"A path of type {path.type} must not have the field {field}."
            findings.append(Finding(path=f"{at}.{field}", message=message, hint=f"Set type to {kind}, or remove it."))


PATH_MODIFIER: Final[tuple[Rule[PathModifier], ...]] = (
    Rule(
        check=_path_modifier_fits_type,
        quotes=(
            "replaceFullPath must be specified when type is set to 'ReplaceFullPath'",
            "type must be 'ReplaceFullPath' when replaceFullPath is set",
            "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'",
            "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set",
        ),
    ),
)


def _cors_lists(cors: CORSFilter, at: str, findings: Findings) -> None:
    for field, values in (
        ("allowOrigins", cors.allow_origins),
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
    ):
        if "*" in values and len(values) > 1:
            message = f"{field} has '*' beside other values, which then mean nothing."
            findings.append(Finding(path=f"{at}.{field}", message=message, hint="Write only '*', or leave it out."))
        no_repeats(values, f"{at}.{field}", "value", findings)
    no_repeats(cors.expose_headers, f"{at}.exposeHeaders", "value", findings)


CORS: Final[tuple[Rule[CORSFilter], ...]] = (
    Rule(
        check=_cors_lists,
        quotes=(
            "AllowHeaders cannot contain '*' alongside other methods",
            "AllowMethods cannot contain '*' alongside other methods",
            "AllowOrigins cannot contain '*' alongside other origins",
        ),
    ),
)


def _auth_fits_protocol(auth: ExternalAuthFilter, at: str, findings: Findings) -> None:
    for protocol, field, value in (("GRPC", "grpc", auth.grpc), ("HTTP", "http", auth.http)):
        if value is None and auth.protocol == protocol:
            message = f"External authorization over {protocol} needs the field {field}."
            findings.append(Finding(path=at, message=message, hint=f"Add {field}; it may be empty: {field}: {{}}."))
        if value is not None and auth.protocol != protocol:
            message = f"External authorization over {auth.protocol} must not have the field {field}."
            findings.append(Finding(path=f"{at}.{field}", message=message, hint=f"Set protocol to {protocol}."))


def _auth_port(auth: ExternalAuthFilter, at: str, findings: Findings) -> None:
    service_needs_port(auth.backend_ref, f"{at}.backendRef", findings)


def _auth_headers_once(auth: ExternalAuthFilter, at: str, findings: Findings) -> None:
    if auth.grpc is not None:
        no_repeats(auth.grpc.allowed_headers, f"{at}.grpc.allowedHeaders", "header", findings)
    if auth.http is not None:
        no_repeats(auth.http.allowed_headers, f"{at}.http.allowedHeaders", "header", findings)
        no_repeats(auth.http.allowed_response_headers, f"{at}.http.allowedResponseHeaders", "header", findings)


EXTERNAL_AUTH: Final[tuple[Rule[ExternalAuthFilter], ...]] = (
    Rule(
        check=_auth_fits_protocol,
        quotes=(
            "grpc must be specified when protocol is set to 'GRPC'",
            "protocol must be 'GRPC' when grpc is set",
            "http must be specified when protocol is set to 'HTTP'",
            "protocol must be 'HTTP' when http is set",
        ),
    ),
    Rule(check=_auth_port, quotes=("Must have port for Service reference",)),
    Rule(check=_auth_headers_once),
)


# ── session persistence ──────────────────────────────────────────────────────────────────────────────────────────


def _permanent_needs_timeout(session: SessionPersistence, at: str, findings: Findings) -> None:
    cookie = session.cookie_config
    if cookie is not None and cookie.lifetime_type == "Permanent" and session.absolute_timeout is None:
        message = "A permanent cookie needs absoluteTimeout: how long it is valid."
        findings.append(Finding(path=at, message=message, hint="Add absoluteTimeout, for example 24h."))


def _cookie_settings_only_for_cookies(session: SessionPersistence, at: str, findings: Findings) -> None:
    if session.cookie_config is not None and session.type != "Cookie":
        message = f"Session persistence of type {session.type} must not have the field cookieConfig."
        findings.append(Finding(path=f"{at}.cookieConfig", message=message, hint="Remove it, or set type to Cookie."))


SESSION: Final[tuple[Rule[SessionPersistence], ...]] = (
    Rule(
        check=_permanent_needs_timeout,
        quotes=("AbsoluteTimeout must be specified when cookie lifetimeType is Permanent",),
    ),
    Rule(check=_cookie_settings_only_for_cookies, quotes=("cookieConfig can only be set with type Cookie",)),
)
