"""Rules for routes of every kind.

Pure.
"""

import re
from typing import Final

from seawall.gateway.regex import HINT, flaw
from seawall.gateway.resources.grpc import GRPCBackendRef, GRPCMethodMatch, GRPCRouteRule, GRPCRouteSpec
from seawall.gateway.resources.http import (
    HTTPBackendRef,
    HTTPPathMatch,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPRouteSpec,
)
from seawall.gateway.resources.refs import ParentReference
from seawall.gateway.resources.scalars import URI_PATH, seconds
from seawall.gateway.resources.streams import TCPRouteSpec, TLSRouteSpec, UDPRouteSpec
from seawall.gateway.rules.filters import SESSION, check_filters, missing_port
from seawall.gateway.rules.names import no_addresses
from seawall.gateway.rules.rule import Finding, Findings, Rule, run
from seawall.gateway.rules.unique import no_repeats

_URI_PATH: Final = re.compile(URI_PATH)
# "^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$" and "^[A-Za-z_][A-Za-z_0-9]*$"
_GRPC_SERVICE: Final = re.compile(r"^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*\Z", re.IGNORECASE | re.ASCII)
_GRPC_METHOD: Final = re.compile(r"^[A-Za-z_][A-Za-z_0-9]*\Z")


# ── parents ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _parents_told_apart(parents: tuple[ParentReference, ...], at: str, findings: Findings) -> None:
    if len(parents) < 2:
        return
    how: dict[tuple[str, str, str | None, str], tuple[bool, bool]] = {}
    seen: set[tuple[str, str, str | None, str, str | None, int | None]] = set()
    for index, parent in enumerate(parents):
        who = (parent.group, parent.kind, parent.namespace, parent.name)
        part = (*who, parent.section_name, parent.port)
        named = (parent.section_name is not None, parent.port is not None)
        if part in seen:
            message = f"The {parent.kind} {parent.name!r} is named twice with the same sectionName and port."
            hint = "Remove one of the two, or give them different sectionNames or ports."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint=hint))
        elif how.setdefault(who, named) != named:
            message = f"The {parent.kind} {parent.name!r} is named more than once, but not each time in the same way."
            hint = "Give sectionName to all of these references or to none, and likewise port."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint=hint))
        seen.add(part)


PARENTS: Final[tuple[Rule[tuple[ParentReference, ...]], ...]] = (
    Rule(
        check=_parents_told_apart,
        quotes=(
            "sectionName or port must be specified when parentRefs includes 2 or more references to the same parent",
            "sectionName or port must be unique when parentRefs includes 2 or more references to the same parent",
        ),
    ),
)


# ── rules of a route ─────────────────────────────────────────────────────────────────────────────────────────────


def _names_once(rules: tuple[HTTPRouteRule | GRPCRouteRule, ...], at: str, findings: Findings) -> None:
    if len(rules) < 2:
        return
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.name is None:
            continue
        if rule.name in seen:
            message = f"The rule name {rule.name!r} stands here for the second time."
            findings.append(Finding(path=f"{at}[{index}].name", message=message, hint="Rename or remove it."))
        seen.add(rule.name)


def _matches_bounded(rules: tuple[HTTPRouteRule | GRPCRouteRule, ...], at: str, findings: Findings) -> None:
    total = sum(len(rule.matches) for rule in rules)
    if total > 128:
        message = f"The rules have {total} matches together; at most 128 are allowed."
        findings.append(Finding(path=at, message=message, hint="Split the route in two."))


RULE_LIST: Final[tuple[Rule[tuple[HTTPRouteRule | GRPCRouteRule, ...]], ...]] = (
    Rule(check=_names_once, quotes=("Rule name must be unique within the route",)),
    Rule(
        check=_matches_bounded,
        quotes=(
            "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a "
            "route must be less than 128",
        ),
    ),
)


def _redirect_without_backends(rule: HTTPRouteRule, at: str, findings: Findings) -> None:
    if not rule.backend_refs:
        return
    for index, item in enumerate(rule.filters):
        if item.request_redirect is not None:
            message = "A rule that redirects must not have backendRefs: no request would reach them."
            hint = "Remove the filter, or the backendRefs."
            findings.append(Finding(path=f"{at}.filters[{index}]", message=message, hint=hint))


def _prefix_needs_prefix(rule: HTTPRouteRule, at: str, findings: Findings) -> None:
    if not rule.filters and not any(ref.filters for ref in rule.backend_refs):
        return
    lists = [(f"{at}.filters", rule.filters)]
    lists += [(f"{at}.backendRefs[{i}].filters", ref.filters) for i, ref in enumerate(rule.backend_refs)]
    if len(rule.matches) == 1 and rule.matches[0].path.type == "PathPrefix":
        return
    for where, filters in lists:
        for index, item in enumerate(filters):
            if _replaces_prefix(item):
                message = "replacePrefixMatch needs a rule with exactly one match, of path type PathPrefix."
                hint = "Split the rule, so that each has one match."
                findings.append(Finding(path=f"{where}[{index}]", message=message, hint=hint))


def _replaces_prefix(item: HTTPRouteFilter) -> bool:
    for holder in (item.request_redirect, item.url_rewrite):
        if holder is not None and holder.path is not None and holder.path.type == "ReplacePrefixMatch":
            return holder.path.replace_prefix_match is not None
    return False


def _try_within_request(rule: HTTPRouteRule, at: str, findings: Findings) -> None:
    timeouts = rule.timeouts
    if timeouts is None or timeouts.request is None or timeouts.backend_request is None:
        return
    if seconds(timeouts.backend_request) > seconds(timeouts.request) > 0:
        message = f"The timeout of each try, {timeouts.backend_request}, is longer than that of the request, {timeouts.request}."
        hint = "Shorten backendRequest, or lengthen request (0s disables it)."
        findings.append(Finding(path=f"{at}.timeouts.backendRequest", message=message, hint=hint))


def _retry_codes_once(rule: HTTPRouteRule, at: str, findings: Findings) -> None:
    if rule.retry is not None:
        no_repeats(rule.retry.codes, f"{at}.retry.codes", "code", findings)


HTTP_RULE: Final[tuple[Rule[HTTPRouteRule], ...]] = (
    Rule(
        check=_redirect_without_backends,
        quotes=("RequestRedirect filter must not be used together with backendRefs",),
    ),
    Rule(
        check=_prefix_needs_prefix,
        quotes=(
            "When using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified",
            "When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified",
            "Within backendRefs, when using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix "
            "match must be specified",
            "Within backendRefs, When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match "
            "must be specified",
        ),
    ),
    Rule(check=_try_within_request, quotes=("backendRequest timeout cannot be longer than request timeout",)),
    Rule(check=_retry_codes_once),
)


# ── matches ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _path_value(path: HTTPPathMatch, at: str, findings: Findings) -> None:
    value = path.value
    if path.type == "RegularExpression" or value == "/":
        return
    wrong = ""
    if not value.startswith("/"):
        wrong = "does not start with '/'"
    for part in ("//", "/./", "/../", "%2f", "%2F", "#"):
        if part in value:
            wrong = wrong or f"contains {part!r}"
    for end in ("/..", "/."):
        if value.endswith(end):
            wrong = wrong or f"ends with {end!r}"
    if not wrong and not _URI_PATH.match(value):
        wrong = "has a character that must be percent-encoded"
    if wrong:
        message = f"The path {value!r} {wrong}, so no request would match it as type {path.type}."
        hint = "Write the path as it is after normalisation, or use type RegularExpression."
        findings.append(Finding(path=f"{at}.value", message=message, hint=hint))


_SIMPLE: Final = "when type one of ['Exact', 'PathPrefix']"
PATH_MATCH: Final[tuple[Rule[HTTPPathMatch], ...]] = (
    Rule(
        check=_path_value,
        quotes=(
            f"value must be an absolute path and start with '/' {_SIMPLE}",
            *(f"must not contain '{part}' {_SIMPLE}" for part in ("//", "/./", "/../", "%2f", "%2F", "#")),
            *(f"must not end with '{end}' {_SIMPLE}" for end in ("/..", "/.")),
            "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) "
            "for types ['Exact', 'PathPrefix']",
        ),
    ),
)


def _match_names_once(match: HTTPRouteMatch, at: str, findings: Findings) -> None:
    no_repeats([h.name for h in match.headers], f"{at}.headers", "header", findings, "name")
    no_repeats([q.name for q in match.query_params], f"{at}.queryParams", "query parameter", findings, "name")


def _regexes_compile(match: HTTPRouteMatch, at: str, findings: Findings) -> None:
    if match.path.type == "RegularExpression":
        _compiles(match.path.value, f"{at}.path.value", findings)
    for index, header in enumerate(match.headers):
        if header.type == "RegularExpression":
            _compiles(header.value, f"{at}.headers[{index}].value", findings)
    for index, query in enumerate(match.query_params):
        if query.type == "RegularExpression":
            _compiles(query.value, f"{at}.queryParams[{index}].value", findings)


def _compiles(pattern: str, at: str, findings: Findings) -> None:
    if wrong := flaw(pattern):
        message = f"The regular expression {pattern!r} cannot be used: {wrong}."
        findings.append(Finding(path=at, message=message, hint=HINT))


HTTP_MATCH: Final[tuple[Rule[HTTPRouteMatch], ...]] = (Rule(check=_match_names_once), Rule(check=_regexes_compile))


def _grpc_method(method: GRPCMethodMatch, at: str, findings: Findings) -> None:
    if method.service is None and method.method is None:
        message = "A method match needs service, method, or both."
        findings.append(Finding(path=at, message=message, hint="Add one of them; to match every call, leave it out."))
    if method.type != "Exact":
        for name, pattern in (("service", method.service), ("method", method.method)):
            if pattern is not None:
                _compiles(pattern, f"{at}.{name}", findings)
        return
    if method.service is not None and not _GRPC_SERVICE.match(method.service):
        message = f"The service {method.service!r} is no name of a gRPC service."
        findings.append(Finding(path=f"{at}.service", message=message, hint="Write it as package.Service."))
    if method.method is not None and not _GRPC_METHOD.match(method.method):
        message = f"The method {method.method!r} is no name of a gRPC method."
        findings.append(Finding(path=f"{at}.method", message=message, hint="Use letters, digits and '_'."))


GRPC_METHOD: Final[tuple[Rule[GRPCMethodMatch], ...]] = (
    Rule(
        check=_grpc_method,
        quotes=(
            "One or both of 'service' or 'method' must be specified",
            r"service must only contain valid characters (matching ^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$)",
            "method must only contain valid characters (matching ^[A-Za-z_][A-Za-z_0-9]*$)",
        ),
    ),
)


# ── backends ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _service_ports(rule: HTTPRouteRule | GRPCRouteRule, at: str, findings: Findings) -> None:
    refs: tuple[HTTPBackendRef | GRPCBackendRef, ...] = rule.backend_refs
    for index, ref in enumerate(refs):
        if ref.port is None and ref.kind == "Service" and not ref.group:
            findings.append(missing_port(ref.name, f"{at}.backendRefs[{index}]"))


BACKENDS: Final[tuple[Rule[HTTPRouteRule | GRPCRouteRule], ...]] = (
    Rule(check=_service_ports, quotes=("Must have port for Service reference",)),
)


# ── whole routes ─────────────────────────────────────────────────────────────────────────────────────────────────


def http_route(spec: HTTPRouteSpec, findings: Findings) -> None:
    run(PARENTS, spec.parent_refs, "$.spec.parentRefs", findings)
    no_addresses(spec.hostnames, "$.spec.hostnames", findings)
    run(RULE_LIST, spec.rules, "$.spec.rules", findings)
    for index, rule in enumerate(spec.rules):
        at = f"$.spec.rules[{index}]"
        run(HTTP_RULE, rule, at, findings)
        run(BACKENDS, rule, at, findings)
        for number, match in enumerate(rule.matches):
            run(HTTP_MATCH, match, f"{at}.matches[{number}]", findings)
            run(PATH_MATCH, match.path, f"{at}.matches[{number}].path", findings)
        check_filters(rule.filters, f"{at}.filters", findings)
        for number, ref in enumerate(rule.backend_refs):
            check_filters(ref.filters, f"{at}.backendRefs[{number}].filters", findings)
        if rule.session_persistence is not None:
            run(SESSION, rule.session_persistence, f"{at}.sessionPersistence", findings)


def grpc_route(spec: GRPCRouteSpec, findings: Findings) -> None:
    run(PARENTS, spec.parent_refs, "$.spec.parentRefs", findings)
    no_addresses(spec.hostnames, "$.spec.hostnames", findings)
    run(RULE_LIST, spec.rules, "$.spec.rules", findings)
    for index, rule in enumerate(spec.rules):
        at = f"$.spec.rules[{index}]"
        run(BACKENDS, rule, at, findings)
        for number, match in enumerate(rule.matches):
            here = f"{at}.matches[{number}]"
            no_repeats([h.name for h in match.headers], f"{here}.headers", "header", findings, "name")
            for position, header in enumerate(match.headers):
                if header.type == "RegularExpression":
                    _compiles(header.value, f"{here}.headers[{position}].value", findings)
            if match.method is not None:
                run(GRPC_METHOD, match.method, f"{here}.method", findings)
        check_filters(rule.filters, f"{at}.filters", findings)
        for number, ref in enumerate(rule.backend_refs):
            check_filters(ref.filters, f"{at}.backendRefs[{number}].filters", findings)
        if rule.session_persistence is not None:
            run(SESSION, rule.session_persistence, f"{at}.sessionPersistence", findings)


def stream_route(spec: TLSRouteSpec | TCPRouteSpec | UDPRouteSpec, findings: Findings) -> None:
    run(PARENTS, spec.parent_refs, "$.spec.parentRefs", findings)
    for index, rule in enumerate(spec.rules):
        for number, ref in enumerate(rule.backend_refs):
            if ref.port is None and ref.kind == "Service" and not ref.group:
                findings.append(missing_port(ref.name, f"$.spec.rules[{index}].backendRefs[{number}]"))


def tls_route(spec: TLSRouteSpec, findings: Findings) -> None:
    # "Hostnames cannot contain an IP"; the two rules beside it repeat the pattern of the field.
    no_addresses(spec.hostnames, "$.spec.hostnames", findings)
    stream_route(spec, findings)
