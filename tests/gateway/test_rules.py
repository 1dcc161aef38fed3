"""Every CEL rule of the Gateway API is implemented, or there is a reason why not; and every rule fires when it should."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from seawall.gateway.decode import decode
from seawall.gateway.objects import Object
from seawall.gateway.resources.kinds import SHAPES
from seawall.gateway.rules import filters, gateways, policies, routes
from seawall.gateway.rules.rule import Rule
from tests.gateway.crds import spec_schema
from tests.gateway.test_resources import KINDS

NOT_APPLICABLE = {
    "Value is immutable": "a file has no old version that anybody would compare with",
    "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']": "the type is an enum, so decoding sees to it",
    "Hostnames cannot contain an IP": "`names.no_addresses`, for all routes",
    "Hostnames must be valid based on RFC-1123": "repeats the pattern of the field",
    "Wildcards on hostnames must be the first label, and the rest of hostname must be valid based on RFC-1123": (
        "repeats the pattern of the field"
    ),
}


def quotes_of(schema: dict[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield rule["message"]
    for part in schema.get("properties", {}).values():
        yield from quotes_of(part)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from quotes_of(schema[name])


def rules_of(module: ModuleType) -> Iterator[Rule[Any]]:
    for table in vars(module).values():
        if isinstance(table, tuple):
            yield from (entry for entry in table if isinstance(entry, Rule))


IMPLEMENTED = {
    quote for module in (filters, routes, gateways, policies) for rule in rules_of(module) for quote in rule.quotes
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_the_api_is_accounted_for(kind: str) -> None:
    missing = set(quotes_of(spec_schema(kind))) - IMPLEMENTED - NOT_APPLICABLE.keys()

    assert missing == set()


def test_every_quote_is_a_rule_of_the_api() -> None:
    theirs = {quote for kind in KINDS for quote in quotes_of(spec_schema(kind))}

    assert (IMPLEMENTED | NOT_APPLICABLE.keys()) - theirs == set()


# ── each rule fires ──────────────────────────────────────────────────────────────────────────────────────────────

PARENT = {"name": "edge"}
SERVICE = {"name": "shop", "port": 80}
HEADERS = {"set": [{"name": "x", "value": "1"}]}
ADD_HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": HEADERS}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "a.example.com"}}
SELECTOR = "$.spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0]"
NEW_PREFIX = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}
EXACT = [{"path": {"type": "Exact", "value": "/a"}}]


def http(**rule: Any) -> dict[str, Any]:
    return {"kind": "HTTPRoute", "spec": {"parentRefs": [PARENT], "rules": [rule]}}


def with_filter(**fields: Any) -> dict[str, Any]:
    return http(filters=[fields])


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    return http(matches=[{"path": {"type": kind, "value": value}}])


def auth(**fields: Any) -> dict[str, Any]:
    return with_filter(type="ExternalAuth", externalAuth={"backendRef": SERVICE, **fields})


def listeners(*entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    written = [{"name": f"l{number}", "port": 80 + number, "protocol": "HTTP"} | e for number, e in enumerate(entries)]
    return {"kind": "Gateway", "spec": {"gatewayClassName": "seawall", "listeners": written, **spec}}


def policy(*targets: dict[str, Any], **validation: Any) -> dict[str, Any]:
    refs = [{"group": "", "kind": "Service", "name": "shop", **target} for target in targets or ({},)]
    fields = {"hostname": "a.example.com", "wellKnownCACertificates": "System"} | validation
    fields = {key: value for key, value in fields.items() if value is not None}
    return {"kind": "BackendTLSPolicy", "spec": {"targetRefs": refs, "validation": fields}}


def traffic(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "XBackendTrafficPolicy",
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], **spec},
    }


def grpc(**rule: Any) -> dict[str, Any]:
    return {"kind": "GRPCRoute", "spec": {"rules": [rule]}}


def own(**spec: Any) -> dict[str, Any]:
    return {"kind": "Backend", "spec": {"endpoints": [{"hostname": "a.example.com", "port": 443}], **spec}}


def service(**spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "spec": spec}


def requirement(**fields: Any) -> dict[str, Any]:
    selector = {"matchExpressions": [{"key": "a", **fields}]}
    return listeners({"allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}}})


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    # parents
    ({"kind": "HTTPRoute", "spec": {"parentRefs": [PARENT, PARENT]}}, "$.spec.parentRefs[1]", "named twice"),
    (
        {
            "kind": "TCPRoute",
            "spec": {"parentRefs": [PARENT, PARENT | {"port": 1}], "rules": [{"backendRefs": [SERVICE]}]},
        },
        "$.spec.parentRefs[1]",
        "not each time in the same way",
    ),
    # rules
    (
        {"kind": "HTTPRoute", "spec": {"rules": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}},
        "$.spec.rules[2].name",
        "for the second time",
    ),
    ({"kind": "GRPCRoute", "spec": {"rules": [{"matches": [{}] * 64}] * 3}}, "$.spec.rules", "192 matches together"),
    (http(filters=[REDIRECT], backendRefs=[SERVICE]), "$.spec.rules[0].filters[0]", "must not have backendRefs"),
    (
        http(filters=[{"type": "RequestRedirect", "requestRedirect": NEW_PREFIX}], matches=EXACT),
        "$.spec.rules[0].filters[0]",
        "exactly one match",
    ),
    (
        http(filters=[{"type": "URLRewrite", "urlRewrite": NEW_PREFIX}], matches=[{}, {}]),
        "$.spec.rules[0].filters[0]",
        "exactly one match",
    ),
    (
        http(backendRefs=[SERVICE | {"filters": [{"type": "URLRewrite", "urlRewrite": NEW_PREFIX}]}], matches=EXACT),
        "$.spec.rules[0].backendRefs[0].filters[0]",
        "exactly one match",
    ),
    (
        http(timeouts={"request": "1s", "backendRequest": "1001ms"}),
        "$.spec.rules[0].timeouts.backendRequest",
        "longer than that of the request",
    ),
    (http(retry={"codes": [500, 500]}), "$.spec.rules[0].retry.codes[1]", "for the second time"),
    (http(backendRefs=[{"name": "shop"}]), "$.spec.rules[0].backendRefs[0]", "names no port"),
    (
        {"kind": "UDPRoute", "spec": {"rules": [{"backendRefs": [{"name": "shop"}]}]}},
        "$.spec.rules[0].backendRefs[0]",
        "names no port",
    ),
    ({"kind": "HTTPRoute", "spec": {"hostnames": ["192.0.2.1"]}}, "$.spec.hostnames[0]", "is an IP address"),
    (
        {"kind": "TLSRoute", "spec": {"hostnames": ["192.0.2.1"], "rules": [{"backendRefs": [SERVICE]}]}},
        "$.spec.hostnames[0]",
        "is an IP address",
    ),
    # matches
    (path("a"), "$.spec.rules[0].matches[0].path.value", "does not start with '/'"),
    *(
        (path(value, "Exact"), "$.spec.rules[0].matches[0].path.value", "contains")
        for value in ("/a//b", "/a/./b", "/a/../b", "/a%2fb", "/a%2Fb", "/a#b")
    ),
    *((path(value), "$.spec.rules[0].matches[0].path.value", "ends with") for value in ("/a/..", "/a/.")),
    (path("/a b"), "$.spec.rules[0].matches[0].path.value", "percent-encoded"),
    (path("/a\n"), "$.spec.rules[0].matches[0].path.value", "percent-encoded"),
    (
        http(matches=[{"headers": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}]),
        "$.spec.rules[0].matches[0].headers[1].name",
        "'a' stands here for the second time",
    ),
    (
        http(matches=[{"queryParams": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}]),
        "$.spec.rules[0].matches[0].queryParams[1].name",
        "'a' stands here for the second time",
    ),
    (grpc(matches=[{"method": {}}]), "$.spec.rules[0].matches[0].method", "needs service, method, or both"),
    (grpc(matches=[{"method": {"service": "a/b"}}]), "$.spec.rules[0].matches[0].method.service", "no name of a gRPC"),
    (grpc(matches=[{"method": {"method": "1a"}}]), "$.spec.rules[0].matches[0].method.method", "no name of a gRPC"),
    # filters
    (http(filters=[ADD_HEADERS, ADD_HEADERS]), "$.spec.rules[0].filters[1].type", "cannot be repeated"),
    (http(filters=[REDIRECT, REWRITE]), "$.spec.rules[0].filters", "exclude each other"),
    (with_filter(**REDIRECT, cors={}), "$.spec.rules[0].filters[0].cors", "must not have the field cors"),
    (with_filter(type="CORS"), "$.spec.rules[0].filters[0]", "needs the field cors"),
    (grpc(filters=[{"type": "RequestMirror"}]), "$.spec.rules[0].filters[0]", "needs the field requestMirror"),
    (
        with_filter(type="CORS", cors={"allowOrigins": ["*", "https://a.example.com"]}),
        "$.spec.rules[0].filters[0].cors.allowOrigins",
        "beside other values",
    ),
    (
        with_filter(type="CORS", cors={"exposeHeaders": ["a", "a"]}),
        "$.spec.rules[0].filters[0].cors.exposeHeaders[1]",
        "second time",
    ),
    (
        with_filter(type="ResponseHeaderModifier", responseHeaderModifier={"remove": ["a", "a"]}),
        "$.spec.rules[0].filters[0].responseHeaderModifier.remove[1]",
        "second time",
    ),
    (
        with_filter(type="RequestMirror", requestMirror={"backendRef": {"name": "shop"}}),
        "$.spec.rules[0].filters[0].requestMirror.backendRef",
        "names no port",
    ),
    (
        with_filter(
            type="RequestMirror", requestMirror={"backendRef": SERVICE, "percent": 1, "fraction": {"numerator": 1}}
        ),
        "$.spec.rules[0].filters[0].requestMirror.percent",
        "exclude each other",
    ),
    (
        with_filter(type="RequestMirror", requestMirror={"backendRef": SERVICE, "fraction": {"numerator": 101}}),
        "$.spec.rules[0].filters[0].requestMirror.fraction.numerator",
        "greater than the denominator",
    ),
    (
        with_filter(type="URLRewrite", urlRewrite={"path": {"type": "ReplaceFullPath"}}),
        "$.spec.rules[0].filters[0].urlRewrite.path",
        "needs the field replaceFullPath",
    ),
    (
        with_filter(type="URLRewrite", urlRewrite={"path": {**NEW_PREFIX["path"], "replaceFullPath": "/"}}),
        "$.spec.rules[0].filters[0].urlRewrite.path.replaceFullPath",
        "must not have the field replaceFullPath",
    ),
    (auth(protocol="GRPC"), "$.spec.rules[0].filters[0].externalAuth", "needs the field grpc"),
    (
        auth(protocol="GRPC", grpc={}, http={}),
        "$.spec.rules[0].filters[0].externalAuth.http",
        "must not have the field http",
    ),
    (
        auth(protocol="HTTP", http={"allowedHeaders": ["a", "a"]}),
        "$.spec.rules[0].filters[0].externalAuth.http.allowedHeaders[1]",
        "second time",
    ),
    (
        auth(protocol="GRPC", grpc={}, backendRef={"name": "a"}),
        "$.spec.rules[0].filters[0].externalAuth.backendRef",
        "names no port",
    ),
    (
        auth(protocol="GRPC", grpc={"allowedHeaders": ["a", "a"]}),
        "$.spec.rules[0].filters[0].externalAuth.grpc.allowedHeaders[1]",
        "second time",
    ),
    (
        http(sessionPersistence={"cookieConfig": {"lifetimeType": "Permanent"}}),
        "$.spec.rules[0].sessionPersistence",
        "needs absoluteTimeout",
    ),
    (
        grpc(sessionPersistence={"type": "Header", "cookieConfig": {}}),
        "$.spec.rules[0].sessionPersistence.cookieConfig",
        "must not have the field cookieConfig",
    ),
    # gateways
    (listeners({"tls": {"options": {"a": "b"}}}), "$.spec.listeners[0].tls", "HTTP must not have tls"),
    (
        listeners({"protocol": "HTTPS", "tls": {"mode": "Passthrough"}}),
        "$.spec.listeners[0].tls.mode",
        "must be Terminate",
    ),
    (listeners({"protocol": "TLS"}), "$.spec.listeners[0]", "TLS needs tls"),
    (listeners({"protocol": "HTTPS", "tls": {}}), "$.spec.listeners[0].tls", "without a certificate"),
    (listeners({"protocol": "TCP", "hostname": "a.b"}), "$.spec.listeners[0].hostname", "must not have a hostname"),
    (listeners({"hostname": "192.0.2.1"}), "$.spec.listeners[0].hostname", "is an IP address"),
    (listeners({"name": "a"}, {"name": "a"}), "$.spec.listeners[1].name", "for the second time"),
    (listeners({"port": 80}, {"port": 80}), "$.spec.listeners[1]", "the same port, protocol and hostname"),
    (
        {
            "kind": "ListenerSet",
            "spec": {"parentRef": PARENT, "listeners": [{"name": n, "port": 1, "protocol": "TCP"} for n in "ab"]},
        },
        "$.spec.listeners[1]",
        "the same port, protocol and hostname",
    ),
    (listeners({}, addresses=[{"value": "192.0.2.1"}] * 2), "$.spec.addresses[1].value", "for the second time"),
    (listeners({}, addresses=[{"type": "Hostname", "value": "A"}]), "$.spec.addresses[0].value", "is no host name"),
    (listeners({}, infrastructure={"labels": {"a/b/c": ""}}), "$.spec.infrastructure.labels", "is no label key"),
    (
        listeners({}, infrastructure={"annotations": {"-": ""}}),
        "$.spec.infrastructure.annotations",
        "no annotation key",
    ),
    (
        listeners({}, tls={"frontend": {"default": {}, "perPort": [{"port": 443, "tls": {}}] * 2}}),
        "$.spec.tls.frontend.perPort[1].port",
        "for the second time",
    ),
    (
        requirement(operator="in"),
        f"{SELECTOR}.operator",
        "no operator",
    ),
    (requirement(operator="In"), SELECTOR, "needs values"),
    (requirement(operator="Exists", values=["a"]), f"{SELECTOR}.values", "takes no values"),
    (
        listeners(
            {}, allowedListeners={"namespaces": {"selector": {"matchExpressions": [{"key": "a", "operator": "x"}]}}}
        ),
        "$.spec.allowedListeners.namespaces.selector.matchExpressions[0].operator",
        "no operator",
    ),
    # policies
    (policy({}, {}), "$.spec.targetRefs[1]", "targeted twice"),
    (policy({}, {"sectionName": "http"}), "$.spec.targetRefs[1]", "both as a whole and by sectionName"),
    (
        policy(caCertificateRefs=[{"group": "", "kind": "ConfigMap", "name": "ca"}]),
        "$.spec.validation.wellKnownCACertificates",
        "exclude each other",
    ),
    (policy(wellKnownCACertificates=None), "$.spec.validation", "which certificate authorities"),
    (policy(subjectAltNames=[{"type": "URI"}]), "$.spec.validation.subjectAltNames[0]", "needs the field uri"),
    (
        policy(subjectAltNames=[{"type": "URI", "uri": "spiffe://a", "hostname": "a.b"}]),
        "$.spec.validation.subjectAltNames[0].hostname",
        "must not have the field hostname",
    ),
    (
        traffic(retryConstraint={"budget": {"interval": "999ms"}}),
        "$.spec.retryConstraint.budget.interval",
        "not between",
    ),
    (
        traffic(retryConstraint={"minRetryRate": {"interval": "61m"}}),
        "$.spec.retryConstraint.minRetryRate.interval",
        "at most one hour",
    ),
    (
        traffic(sessionPersistence={"type": "Header", "cookieConfig": {}}),
        "$.spec.sessionPersistence.cookieConfig",
        "must not have the field",
    ),
    (traffic(targetRefs=[{"group": "", "kind": "Service", "name": "a"}] * 2), "$.spec.targetRefs[1]", "second time"),
    # our own
    (own(endpoints=[{"port": 1}]), "$.spec.endpoints[0]", "either hostname or ip"),
    (own(endpoints=[{"port": 1, "hostname": "192.0.2.1"}]), "$.spec.endpoints[0].hostname", "is an IP address"),
    (own(endpoints=[{"port": 1, "ip": "a.example.com"}]), "$.spec.endpoints[0].ip", "is no IP address"),
    (own(protocol="UDP", tls={}), "$.spec.tls", "must not have tls"),
    (own(endpoints=[{"port": 1, "ip": "2001:db8::1"}], tls={}), "$.spec.tls", "name to verify is unknown"),
    (own(tls={"hostname": "192.0.2.1"}), "$.spec.tls.hostname", "is an IP address"),
    (
        own(
            tls={
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "a"}],
                "wellKnownCACertificates": "System",
            }
        ),
        "$.spec.tls.wellKnownCACertificates",
        "exclude each other",
    ),
    (own(tls={"subjectAltNames": [{"type": "Hostname"}]}), "$.spec.tls.subjectAltNames[0]", "needs the field hostname"),
    # Kubernetes' own
    (service(type="ExternalName"), "$.spec.externalName", "needs externalName"),
    (service(), "$.spec", "at least one port"),
    (
        service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
        "$.spec.ports[1].port",
        "80/TCP stands here for the second time",
    ),
    (service(ports=[{"port": 80, "name": "a"}, {"port": 81}]), "$.spec.ports[1]", "must name each"),
    (
        {
            "kind": "EndpointSlice",
            "addressType": "IPv6",
            "endpoints": [{"addresses": ["2001:db8::1"]}, {"addresses": ["192.0.2.1"]}],
        },
        "$.endpoints[1].addresses[0]",
        "no address of type IPv6",
    ),
    (
        {"kind": "EndpointSlice", "addressType": "FQDN", "endpoints": [{"addresses": ["a_b"]}]},
        "$.endpoints[0].addresses[0]",
        "no address of type FQDN",
    ),
    (
        {"kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [{"addresses": ["2001:db8::1"]}]},
        "$.endpoints[0].addresses[0]",
        "no address of type IPv4",
    ),
    ({"kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.crt": ""}}, "$", "needs the key 'tls.key'"),
    ({"kind": "Secret", "stringData": {"a b": ""}}, "$", "is no key of data"),
    ({"kind": "Secret", "stringData": {"a": "x" * (1 << 20) + "x"}}, "$", "at most 1048576"),
    ({"kind": "ConfigMap", "data": {"a": ""}, "binaryData": {"a": ""}}, "$.binaryData", "both data and binaryData"),
]


def complete(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": SHAPES[document["kind"]].api_version,
        "metadata": {"name": "a", "namespace": "shop"},
    } | document


@pytest.mark.parametrize(("document", "at", "message"), BROKEN, ids=[f"{b[0]['kind']}: {b[2]}" for b in BROKEN])
def test_broken_rule_is_reported_once_with_its_place_and_a_remedy(
    document: dict[str, Any], at: str, message: str
) -> None:
    problems = decode(complete(document))

    assert not isinstance(problems, Object)
    assert [problem.path for problem in problems] == [at]
    assert message in problems[0].message
    assert problems[0].hint.endswith(".")


WHOLE: list[dict[str, Any]] = [
    http(filters=[ADD_HEADERS], backendRefs=[SERVICE | {"filters": [ADD_HEADERS]}], matches=EXACT),
    http(filters=[{"type": "URLRewrite", "urlRewrite": NEW_PREFIX}]),
    http(timeouts={"request": "0s", "backendRequest": "10s"}),
    http(timeouts={"request": "1s"}, retry={"codes": [500, 503]}),
    path("^/a.*#$", "RegularExpression"),
    auth(protocol="GRPC", grpc={}),
    with_filter(type="RequestMirror", requestMirror={"backendRef": SERVICE, "fraction": {"numerator": 1}}),
    with_filter(type="CORS", cors={"allowOrigins": ["*"]}),
    {"kind": "HTTPRoute", "spec": {"parentRefs": [PARENT | {"sectionName": "a"}, PARENT | {"sectionName": "b"}]}},
    {"kind": "HTTPRoute", "spec": {"rules": [{"name": "a"}, {}, {"name": "b"}]}},
    grpc(matches=[{"method": {"type": "RegularExpression", "service": "a/.*"}}], backendRefs=[SERVICE]),
    grpc(matches=[{"method": {"service": "a.B", "method": "C"}, "headers": [{"name": "a", "value": " "}]}]),
    grpc(filters=[ADD_HEADERS], sessionPersistence={}),
    listeners({}, {"protocol": "TLS", "tls": {"mode": "Passthrough"}}, addresses=[{}, {"value": "192.0.2.1"}]),
    listeners({}, infrastructure={"labels": {"a.b/c": "d"}}, allowedListeners={"namespaces": {"selector": {}}}),
    requirement(operator="In", values=["a"]),
    policy({"sectionName": "a"}, {"sectionName": "b"}, subjectAltNames=[{"type": "Hostname", "hostname": "a.b"}]),
    traffic(retryConstraint={}, sessionPersistence={}),
    own(tls={}),
    own(endpoints=[{"ip": "2001:db8::1", "port": 1}], protocol="HTTP2"),
    service(type="ExternalName", externalName="a.example.com"),
    service(clusterIP="None"),
    service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]),
    {"kind": "EndpointSlice", "addressType": "FQDN", "endpoints": [{"addresses": ["a.example.com"]}]},
]


@pytest.mark.parametrize("document", WHOLE, ids=lambda document: str(document["kind"]))
def test_what_keeps_the_rules_is_taken(document: dict[str, Any]) -> None:
    decoded = decode(complete(document))

    assert isinstance(decoded, Object), decoded
