"""Rules for our own TrafficPolicy. Pure. Each is ours, so none quotes the API."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from seawall.gateway.handling import BACKEND_FIELDS, REQUEST_FIELDS, waiting
from seawall.gateway.resources.backend_traffic import HealthCheck, LoadBalancing
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.resources.traffic import ErrorPage, Fault, RequestBody, TrafficPolicySpec
from seawall.gateway.rules.filters import SESSION
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.unique import no_repeats

_BACKENDS: Final = ("Service", "Backend")
_MOST_BUFFERED: Final = 64 * 1024 * 1024
_DAY: Final = 86_400.0
_RANGES: Final = {
    "timeouts.request": (0.0, _DAY),
    "timeouts.backendRequest": (0.0, _DAY),
    "timeouts.streamIdle": (0.0, _DAY),
    "retry.backoff.base": (0.001, 60.0),
    "retry.backoff.max": (0.001, 600.0),
    "fault.delay.duration": (0.001, 3600.0),
    "loadBalancing.slowStart.window": (1.0, 3600.0),
    "healthCheck.interval": (0.1, 3600.0),
    "healthCheck.timeout": (0.01, 600.0),
    "outlierEjection.interval": (0.1, 600.0),
    "outlierEjection.duration": (0.1, 3600.0),
    "outlierEjection.maxDuration": (0.1, _DAY),
    "connections.connectTimeout": (0.01, 600.0),
    "connections.idleTimeout": (1.0, _DAY),
    "connections.keepalive.idle": (1.0, 32_767.0),
    "connections.keepalive.interval": (1.0, 32_767.0),
}
"""From when to when a duration makes sense, in seconds."""


_COMMAND: Final = re.compile(r"%%|%[A-Z][A-Z0-9_]*(\(.*?\))?(:[0-9]+)?%")
"""What Envoy fills in, and a percent sign."""


def traffic_policy(spec: TrafficPolicySpec, findings: Findings) -> None:
    """Check a policy."""
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    _fields_fit_targets(spec, findings)
    for path, value in _durations(spec, ""):
        least, most = _RANGES[path]
        if not least <= seconds(value) <= most:
            message = f"The duration {value} is not between {least:g}s and {most:g}s."
            findings.append(Finding(path=f"$.spec.{path}", message=message, hint="Choose one within these bounds."))
    if spec.retry is not None and seconds(spec.retry.backoff.base) > seconds(spec.retry.backoff.max):
        message = "The wait before the first retry is longer than the longest one."
        findings.append(Finding(path="$.spec.retry.backoff.base", message=message, hint="Raise max, or lower base."))
    if spec.session_persistence is not None:
        run(SESSION, spec.session_persistence, "$.spec.sessionPersistence", findings)
    if spec.fault is not None:
        _fault(spec.fault, findings)
    if spec.bandwidth is not None and spec.bandwidth.request is None and spec.bandwidth.response is None:
        _nothing("bandwidth", "Add request or response.", findings)
    waits = waiting(spec.request_body, spec.bandwidth, spec.fault)
    if len(waits) > 1:
        message = f"{' and '.join(waits)} each make a request wait; only one of them can."
        hint = "Keep the one that matters most."
        findings.append(Finding(path=f"$.spec.{waits[1]}", message=message, hint=hint))
    if spec.request_body is not None:
        _request_body(spec.request_body, findings)
    for index, page in enumerate(spec.error_pages or ()):
        _error_page(page, f"$.spec.errorPages[{index}]", findings)
    if spec.direct_response is not None:
        _template(spec.direct_response.body, "$.spec.directResponse.body", findings)
    _backend(spec, findings)


def _fields_fit_targets(spec: TrafficPolicySpec, findings: Findings) -> None:
    names = {field.name: field.encode_name for field in msgspec.structs.fields(spec)}
    given = [name for name in names if name != "target_refs" and getattr(spec, name) is not None]
    if not given:
        message = "The policy says nothing: it has targets and no setting for them."
        findings.append(Finding(path="$.spec", message=message, hint="Add a setting, or remove the policy."))
    backend = next((one for one in spec.target_refs if one.kind in _BACKENDS), None)
    other = next((one for one in spec.target_refs if one.kind not in _BACKENDS), None)
    for name in given:
        if name in BACKEND_FIELDS and other is not None:
            message = f"{names[name]} is about a backend, whose connections all routes share; {other.kind} {other.name} is none."
            hint = "Put it into a policy whose targets are Services or Backends."
            findings.append(Finding(path=f"$.spec.{names[name]}", message=message, hint=hint))
        if name in REQUEST_FIELDS and backend is not None:
            message = f"{names[name]} is about requests on a route; {backend.kind} {backend.name} is a backend."
            hint = "Put it into a policy whose targets are Gateways or routes."
            findings.append(Finding(path=f"$.spec.{names[name]}", message=message, hint=hint))


def _durations(part: msgspec.Struct, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every duration of a policy that is bounded here, with its path."""
    for field in msgspec.structs.fields(part):
        path, value = f"{prefix}{field.encode_name}", getattr(part, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _durations(value, f"{path}.")
        elif path in _RANGES and isinstance(value, str):
            yield path, value


def _nothing(field: str, hint: str, findings: Findings) -> None:
    findings.append(Finding(path=f"$.spec.{field}", message=f"{field} is empty: it asks for nothing.", hint=hint))


def _fault(fault: Fault, findings: Findings) -> None:
    if fault.delay is None and fault.abort is None:
        _nothing("fault", "Add delay or abort.", findings)
    if fault.abort is not None and (fault.abort.status is None) == (fault.abort.grpc_status is None):
        message = "abort needs just one of status and grpcStatus."
        findings.append(Finding(path="$.spec.fault.abort", message=message, hint="Say one of the two."))


def _request_body(body: RequestBody, findings: Findings) -> None:
    if body.buffer and body.max_bytes > _MOST_BUFFERED:
        message = f"A body of {body.max_bytes} bytes is too large to be kept in memory: {_MOST_BUFFERED} is the most."
        hint = "Lower maxBytes, or leave buffer out: a limit alone streams the body."
        findings.append(Finding(path="$.spec.requestBody.maxBytes", message=message, hint=hint))


def _error_page(page: ErrorPage, at: str, findings: Findings) -> None:
    if not page.codes and not page.ranges:
        message = "The page is for no status."
        findings.append(Finding(path=at, message=message, hint="Add codes or ranges."))
    _template(page.body, f"{at}.body", findings)
    no_repeats(page.codes, f"{at}.codes", "code", findings)
    for index, one in enumerate(page.ranges):
        if one.first > one.last:
            message = f"The range ends at {one.last}, before it begins at {one.first}."
            findings.append(Finding(path=f"{at}.ranges[{index}]", message=message, hint="Swap the two."))


def _template(text: str, at: str, findings: Findings) -> None:
    if "%" in _COMMAND.sub("", text):
        message = "A percent sign stands by itself, where Envoy looks for something to fill in."
        findings.append(Finding(path=at, message=message, hint="Write %% for a percent sign."))


def _backend(spec: TrafficPolicySpec, findings: Findings) -> None:
    if spec.load_balancing is not None:
        _load_balancing(spec.load_balancing, findings)
    if spec.health_check is not None:
        _health_check(spec.health_check, findings)
    ejection, breaker = spec.outlier_ejection, spec.circuit_breaker
    if ejection is not None:
        if not ejection.errors and not ejection.gateway_errors:
            _nothing("outlierEjection", "Give errors or gatewayErrors a value above 0.", findings)
        if seconds(ejection.duration) > seconds(ejection.max_duration):
            message = "The first ejection is longer than the longest one."
            path = "$.spec.outlierEjection.duration"
            findings.append(Finding(path=path, message=message, hint="Raise maxDuration, or lower duration."))
    if breaker is not None and (breaker.connections, breaker.pending_requests, breaker.requests) == (None, None, None):
        _nothing("circuitBreaker", "Add connections, pendingRequests or requests.", findings)


def _load_balancing(value: LoadBalancing, findings: Findings) -> None:
    at = "$.spec.loadBalancing"
    is_hashed = value.type in ("maglev", "ringHash")
    if is_hashed and not value.hash:
        message = f"{value.type} needs to know what of a request to hash."
        findings.append(Finding(path=at, message=message, hint="Add hash, for example [{type: source}]."))
    if not is_hashed and (value.hash or value.bounded_load is not None):
        field = "hash" if value.hash else "boundedLoad"
        message = f"{field} means nothing to {value.type}."
        findings.append(Finding(path=f"{at}.{field}", message=message, hint="Remove it, or set type to maglev."))
    if value.slow_start is not None and value.type not in ("leastRequest", "roundRobin"):
        message = f"{value.type} cannot start slowly."
        hint = "Remove slowStart, or set type to leastRequest or roundRobin."
        findings.append(Finding(path=f"{at}.slowStart", message=message, hint=hint))
    no_repeats([one.name for one in value.zones], f"{at}.zones", "zone", findings, "name")
    for index, key in enumerate(value.hash):
        here = f"{at}.hash[{index}]"
        if (key.type == "source") != (key.name is None):
            said = "has no name" if key.type == "source" else "needs a name"
            findings.append(
                Finding(path=here, message=f"A hash by {key.type} {said}.", hint="Add or remove name accordingly.")
            )
        if key.ttl is not None and key.type != "cookie":
            message = f"A {key.type} has no ttl."
            findings.append(Finding(path=f"{here}.ttl", message=message, hint="Remove it, or use the type cookie."))


def _health_check(check: HealthCheck, findings: Findings) -> None:
    given = [name for name in ("http", "tcp", "grpc") if getattr(check, name) is not None]
    if len(given) != 1:
        said = f"{' and '.join(given)} exclude each other" if given else "Nothing says how to ask"
        hint = "Say just one of http, tcp and grpc; it may be empty: tcp: {}."
        findings.append(Finding(path="$.spec.healthCheck", message=f"{said}.", hint=hint))
    if seconds(check.timeout) > seconds(check.interval):
        message = "The timeout of a check is longer than the time between two."
        findings.append(Finding(path="$.spec.healthCheck.timeout", message=message, hint="Raise interval."))
    if check.tcp is not None and check.tcp.receive is not None and check.tcp.send is None:
        message = "receive waits for an answer, but send says nothing that would be answered."
        path = "$.spec.healthCheck.tcp.receive"
        findings.append(Finding(path=path, message=message, hint="Add send, or remove receive."))
