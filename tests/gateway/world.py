"""A small world for tests of the resolver: objects in a line each, and short questions about what became of them.

world = resolved(*edge(), service("web"), route("home", rule("web")))
assert said(world, "HTTPRoute/shop/home", "Accepted") == ("True", "Accepted")
"""

from pathlib import Path
from typing import Any

import msgspec

from seawall.gateway.decode import decode
from seawall.gateway.graph import ObjectKey, Route
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import CONTROLLER, Settings
from seawall.gateway.status import Problem
from seawall.kit.units import Instant

_GOLDEN = Path(__file__).parents[1] / "golden"
CERTIFICATE = (_GOLDEN / "certificate.pem").read_text()
KEY = (_GOLDEN / "key.pem").read_text()
HTTP: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP"}

_VERSIONS = {
    "AccessPolicy": "seawall.dev/v1alpha1",
    "Service": "v1",
    "Secret": "v1",
    "ConfigMap": "v1",
    "Namespace": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Backend": "seawall.dev/v1alpha1",
    "HTTPFilterPolicy": "seawall.dev/v1alpha1",
    "ListenerPolicy": "seawall.dev/v1alpha1",
    "Perimeter": "seawall.dev/v1alpha1",
    "ProtectionPolicy": "seawall.dev/v1alpha1",
    "RateLimitPolicy": "seawall.dev/v1alpha1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1beta1",
    "TrafficPolicy": "seawall.dev/v1alpha1",
    "XBackendTrafficPolicy": "gateway.networking.x-k8s.io/v1alpha1",
}
_CLUSTER_WIDE = ("GatewayClass", "Namespace", "Perimeter")


def made(kind: str, name: str, body: dict[str, Any], *, namespace: str = "shop", at: int = 0, **meta: Any) -> Object:
    """Decode an object; `body` is what stands beside its metadata."""
    place = {} if kind in _CLUSTER_WIDE else {"namespace": namespace}
    version = _VERSIONS.get(kind, "gateway.networking.k8s.io/v1")
    obj = decode({"apiVersion": version, "kind": kind, "metadata": {"name": name, **place, **meta}, **body})
    assert isinstance(obj, Object), obj
    return msgspec.structs.replace(obj, meta=msgspec.structs.replace(obj.meta, created=Instant(float(at))))


def edge(*listeners: dict[str, Any], name: str = "edge", at: int = 0, **spec: Any) -> list[Object]:
    """Make a GatewayClass of ours and a Gateway in namespace shop."""
    body = {"spec": {"gatewayClassName": "seawall", "listeners": list(listeners) or [HTTP], **spec}}
    gateway_class = made("GatewayClass", "seawall", {"spec": {"controllerName": CONTROLLER}})
    return [gateway_class, made("Gateway", name, body, at=at)]


def listener_set(name: str, *listeners: dict[str, Any], at: int = 0, namespace: str = "shop") -> Object:
    spec = {"parentRef": {"name": "edge", "namespace": "shop"}, "listeners": list(listeners)}
    return made("ListenerSet", name, {"spec": spec}, at=at, namespace=namespace)


def https(name: str, hostname: str | None = None, **more: Any) -> dict[str, Any]:
    place = {"hostname": hostname} if hostname else {}
    return {
        "name": name,
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "pair"}]},
        **place,
        **more,
    }


def rule(*backends: str, **more: Any) -> dict[str, Any]:
    return {"backendRefs": [{"name": name, "port": 80} for name in backends], **more}


def route(name: str, *rules: dict[str, Any], at: int = 0, namespace: str = "shop", **spec: Any) -> Object:
    body = {
        "spec": {"parentRefs": [{"name": "edge", "namespace": "shop"}], "rules": list(rules) or [rule("web")], **spec}
    }
    return made("HTTPRoute", name, body, at=at, namespace=namespace)


def service(name: str = "web", *ports: dict[str, Any], namespace: str = "shop", **spec: Any) -> Object:
    return made("Service", name, {"spec": {"ports": list(ports) or [{"port": 80}], **spec}}, namespace=namespace)


def pair(name: str = "pair", namespace: str = "shop") -> Object:
    data = {"tls.crt": CERTIFICATE, "tls.key": KEY}
    return made("Secret", name, {"type": "kubernetes.io/tls", "stringData": data}, namespace=namespace)


def trust(name: str = "trust") -> Object:
    return made("ConfigMap", name, {"data": {"ca.crt": CERTIFICATE}})


def resolved(*objects: Object, settings: Settings | None = None, **beside: Any) -> Resolver:
    resolver = Resolver(settings)
    resolver.update(put=objects, **beside)
    return resolver


def said(resolver: Resolver, key: str, kind: str, *, listener: str = "", parent: int = 0) -> tuple[str, str] | None:
    """Return status and reason of a condition: of the object, of one of its listeners, of a parent or ancestor."""
    body = resolver.statuses[ObjectKey(key)].body
    if listener:
        body = next(one for one in body["listeners"] if one["name"] == listener)
    elif "parents" in body or "ancestors" in body:
        body = (body.get("parents") or body["ancestors"])[parent]
    return next(((one["status"], one["reason"]) for one in body["conditions"] if one["type"] == kind), None)


def problems(resolver: Resolver, key: str) -> list[Problem]:
    status = resolver.statuses.get(ObjectKey(key))
    return list(status.problems) if status is not None else []


def routes(resolver: Resolver, hostname: str = "*", table: str = "tcp/127.0.0.1/80") -> list[Route]:
    """Return the routes of a virtual host."""
    return [
        one
        for key, host in resolver.graph.hosts.items()
        if (key.table, key.hostname) == (table, hostname)
        for one in host.routes
    ]
