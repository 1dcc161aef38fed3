"""Unresolved: documents that are well-formed and wrong only beside others, each with what is named and where.

What only the resolver sees: references that lead nowhere or may not lead there, listeners that are in each other's way,
policies that target nothing.
"""

from typing import Any, Final

import msgspec

from tests.support.manifests import GATEWAY_API, Json, gateway, route, to
from tests.support.refusals import own

_OTHER = "elsewhere"


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """Documents, and the object and path that must be named for them."""

    documents: tuple[Json, ...]
    object: str
    path: str


def _one(document: Json, path: str, *more: Json) -> Unresolved:
    meta = document["metadata"]
    place = f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else meta["name"]
    return Unresolved(documents=(document, *more), object=f"{document['kind']} {place}", path=path)


def _document(kind: str, name: str, spec: Json, *, version: str = GATEWAY_API, namespace: str = "test") -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _route(rule: Json, **spec: Any) -> Json:
    document = route("wrong", ["wrong.example"], [rule])
    document["spec"] |= spec
    return document


def _streamed(kind: str, section: str, **spec: Any) -> Json:
    ref = {"group": "seawall.dev", "kind": "Backend", "name": "backend-0"}
    parents = [{"name": "edge", "sectionName": section}]
    return _document(kind, "wrong", {"parentRefs": parents, "rules": [{"backendRefs": [ref]}], **spec})


def _gateway(*listeners: Json, **spec: Any) -> Json:
    document = gateway(1)[1]
    document["metadata"]["name"] = "wrong"
    document["spec"] |= {"listeners": list(listeners), **spec}
    return document


def _secure(port: int, *references: Json, name: str = "l", **more: Any) -> Json:
    return {"name": name, "protocol": "HTTPS", "port": port, "tls": {"certificateRefs": list(references)}, **more}


def _opaque(name: str = "opaque") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "test"},
        "stringData": {"tls.crt": "no certificate", "tls.key": "no key"},
    }


def _service(*ports: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "svc", "namespace": "test"},
        "spec": {"ports": [{"port": port} for port in ports]},
    }


_LIMIT: Final = [{"name": "all", "requests": 10, "window": "1s"}]
_FILTER: Final = [
    {
        "name": "f",
        "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"},
    }
]
_RULES, _SECTION = "$.spec.rules[0]", "$.spec.targetRefs[0].sectionName"
_ROUTES: Final[dict[str, Unresolved]] = {
    "no such Backend": _one(_route(to("nowhere")), f"{_RULES}.backendRefs[0].name"),
    "no such Service": _one(
        _route({"backendRefs": [{"name": "nowhere", "port": 80}]}), f"{_RULES}.backendRefs[0].name"
    ),
    "a Service without that port": _one(
        _route({"backendRefs": [{"name": "svc", "port": 81}]}), f"{_RULES}.backendRefs[0].port", _service(80)
    ),
    "a backend of a kind that is none": _one(
        _route({"backendRefs": [{"group": "x.example", "kind": "Bucket", "name": "b"}]}),
        f"{_RULES}.backendRefs[0].kind",
    ),
    "a Service of another namespace without a ReferenceGrant": _one(
        _route({"backendRefs": [{"name": "svc", "namespace": _OTHER, "port": 80}]}),
        f"{_RULES}.backendRefs[0].namespace",
    ),
    "a mirror that does not exist": _one(
        _route(
            to(
                "backend-0",
                {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "nowhere", "port": 80}}},
            )
        ),
        f"{_RULES}.filters[0].requestMirror.backendRef.name",
    ),
    "a filter that nobody knows": _one(
        _route(
            to(
                "backend-0",
                {"type": "ExtensionRef", "extensionRef": {"group": "x.example", "kind": "Magic", "name": "m"}},
            )
        ),
        f"{_RULES}.filters[0].extensionRef",
    ),
    "no such Gateway": _one(_route(to("backend-0"), parentRefs=[{"name": "nowhere"}]), "$.spec.parentRefs[0].name"),
    "no such listener": _one(
        _route(to("backend-0"), parentRefs=[{"name": "edge", "sectionName": "nowhere"}]),
        "$.spec.parentRefs[0].sectionName",
    ),
    "no listener on that port": _one(
        _route(to("backend-0"), parentRefs=[{"name": "edge", "port": 9}]), "$.spec.parentRefs[0].port"
    ),
    "a route of another namespace": _one(
        {
            **_route(to("backend-0"), parentRefs=[{"name": "edge", "namespace": "test"}]),
            "metadata": {"name": "wrong", "namespace": _OTHER},
        },
        "$.spec.parentRefs[0]",
    ),
    "a TCPRoute on an HTTP listener": _one(_streamed("TCPRoute", "http"), "$.spec.parentRefs[0]"),
    "a TLSRoute on an HTTPS listener": _one(
        _streamed("TLSRoute", "https", hostnames=["wrong.example"]), "$.spec.parentRefs[0]"
    ),
    "a GRPCRoute without a backend": _one(
        _document(
            "GRPCRoute",
            "wrong",
            {
                "parentRefs": [{"name": "edge"}],
                "hostnames": ["calls.example"],
                "rules": [{"backendRefs": [{"name": "nowhere", "port": 80}]}],
            },
        ),
        f"{_RULES}.backendRefs[0].name",
    ),
}


def _gateways(port: int) -> dict[str, Unresolved]:
    """Make the mistakes of Gateways, on a port that is free."""
    plain = {"name": "a", "protocol": "HTTP", "port": port}
    far = {"name": "certificate", "namespace": _OTHER}
    validation = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "nowhere"}]}
    strict = {**plain, "hostname": "right.example"}
    attached = _route(to("backend-0"), parentRefs=[{"name": "wrong"}])
    reference = "$.spec.listeners[0].tls.certificateRefs[0]"
    return {
        "a class that does not exist": _one(_gateway(plain, gatewayClassName="nowhere"), "$.spec.gatewayClassName"),
        "no such certificate": _one(_gateway(_secure(port, {"name": "nowhere"})), f"{reference}.name"),
        "a certificate that is none": _one(_gateway(_secure(port, {"name": "opaque"})), f"{reference}.name", _opaque()),
        "a certificate of a wrong kind": _one(
            _gateway(_secure(port, {"kind": "ConfigMap", "name": "c"})), f"{reference}.kind"
        ),
        "a certificate of another namespace without a ReferenceGrant": _one(
            _gateway(_secure(port, far)), f"{reference}.namespace"
        ),
        "no such CA": _one(
            _gateway(_secure(port, {"name": "certificate"}), tls={"frontend": {"default": {"validation": validation}}}),
            "$.spec.tls.frontend.default.validation.caCertificateRefs[0].name",
        ),
        "two protocols on a port": _one(
            _gateway(plain, {"name": "b", "protocol": "TCP", "port": port}), "$.spec.listeners[1].protocol"
        ),
        "one hostname twice": _one(_gateway(strict, {**strict, "name": "b"}), "$.spec.listeners[1]"),
        "a hostname that no listener has": Unresolved(
            documents=(_gateway(strict), attached), object="HTTPRoute test/wrong", path="$.spec.hostnames"
        ),
        "a ListenerSet that may not attach": _one(
            _document(
                "ListenerSet",
                "wrong",
                {"parentRef": {"name": "edge"}, "listeners": [{"name": "x", "protocol": "HTTP", "port": port}]},
            ),
            "$.spec.parentRef",
        ),
    }


_POLICIES: Final[dict[str, Json]] = {
    "RateLimitPolicy": {"limits": _LIMIT},
    "TrafficPolicy": {"timeouts": {"request": "5s"}},
    "AccessPolicy": {"addresses": {"deny": ["192.0.2.0/24"]}},
    "ListenerPolicy": {"limits": {"maxHeaders": 50}},
    "HTTPFilterPolicy": {"filters": _FILTER},
}


def _policies() -> dict[str, Unresolved]:
    found = {}
    for kind, spec in _POLICIES.items():
        found[f"{kind} for nothing"] = _one(own(kind, "wrong", "Gateway/nowhere", **spec), "$.spec.targetRefs[0].name")
        found[f"{kind} for no section"] = _one(own(kind, "wrong", "Gateway/edge/nowhere", **spec), _SECTION)
    kinds = ("RateLimitPolicy", "TrafficPolicy", "AccessPolicy")
    for kind in kinds:
        target = own(kind, "wrong", "HTTPRoute/route-1/nowhere", **_POLICIES[kind])
        found[f"{kind} for no rule"] = _one(target, _SECTION)
    limits = _POLICIES["ListenerPolicy"]
    older = own("ListenerPolicy", "a-right", "Gateway/edge/http", **limits)
    found["a second policy for a target"] = Unresolved(
        documents=(older, own("ListenerPolicy", "wrong", "Gateway/edge/http", **limits)),
        object="ListenerPolicy test/wrong",
        path="$.spec.targetRefs[0]",
    )
    found["what is for backends on a route"] = _one(
        own("TrafficPolicy", "wrong", "HTTPRoute/route-1", healthCheck={"tcp": {}}), "$.spec.healthCheck"
    )
    found["keys that are not there"] = _one(
        own("AccessPolicy", "wrong", "HTTPRoute/wrong", apiKeys={"secrets": [{"name": "nowhere"}]}),
        "$.spec.apiKeys.secrets[0].name",
        # What it protects is closed until it can be followed; so it protects nothing of the fifty.
        _route(to("backend-0")),
    )
    found["a revocation list that is not there"] = _one(
        own("ListenerPolicy", "wrong", "Gateway/edge", clientCertificates={"crl": {"name": "nowhere"}}),
        "$.spec.clientCertificates.crl.name",
    )
    tls = {"hostname": "b.example", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "nowhere"}]}
    target = {"group": "", "kind": "Service", "name": "svc"}
    found["a CA of a backend that is not there"] = _one(
        _document("BackendTLSPolicy", "wrong", {"targetRefs": [target], "validation": tls}),
        "$.spec.validation.caCertificateRefs[0].name",
        _service(80),
    )
    return found


def unresolved(port: int) -> dict[str, Unresolved]:
    """All of them; `port` is one that nobody else is on."""
    return {**_ROUTES, **_gateways(port), **_policies()}
