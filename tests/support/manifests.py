"""Manifests as plain data, for tests that write them."""

from typing import Any

Json = dict[str, Any]
GATEWAY_API = "gateway.networking.k8s.io/v1"


def gateway(port: int, *, tls_port: int | None = None, secret: str = "certificate") -> list[Json]:
    """A class and a Gateway `edge` with an HTTP listener and, if asked for, an HTTPS one."""
    listeners: list[Json] = [{"name": "http", "protocol": "HTTP", "port": port}]
    if tls_port is not None:
        tls = {"certificateRefs": [{"name": secret}]}
        listeners.append({"name": "https", "protocol": "HTTPS", "port": tls_port, "tls": tls})
    controller = {"controllerName": "seawall.dev/gateway-controller"}
    return [
        {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "seawall"}, "spec": controller},
        {
            "apiVersion": GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "test"},
            "spec": {"gatewayClassName": "seawall", "listeners": listeners},
        },
    ]


def route(name: str, hostnames: list[str], rules: list[Json]) -> Json:
    """An HTTPRoute on the Gateway."""
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"parentRefs": [{"name": "edge"}], "hostnames": hostnames, "rules": rules},
    }


def to(backend: str, *filters: Json, path: str = "/", weight: int = 1) -> Json:
    """A rule that sends a prefix to a Backend."""
    reference = {"group": "seawall.dev", "kind": "Backend", "name": backend, "weight": weight}
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": list(filters),
        "backendRefs": [reference],
    }


def backend(name: str, *ports: int) -> Json:
    """A Backend on loopback."""
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"endpoints": [{"ip": "127.0.0.1", "port": port} for port in ports]},
    }


def set_header(name: str, value: str) -> Json:
    """A filter that sets a header of the request."""
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": value}]}}


def secret(name: str, chain: bytes, key: bytes) -> Json:
    """A certificate with its key."""
    data = {"tls.crt": chain.decode(), "tls.key": key.decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "test"},
        "type": "kubernetes.io/tls",
        "stringData": data,
    }
