"""Manifests: the folders that the measurements run on, as an operator would write them."""

from pathlib import Path

from bench.support.graphs import host_name

NAMESPACE = "bench"
BACKEND = "backend"

_GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: seawall}}
spec: {{controllerName: seawall.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: bench}}
spec:
  gatewayClassName: seawall
  listeners:
  - name: http
    protocol: HTTP
    port: {port}
    allowedRoutes: {{namespaces: {{from: All}}}}
"""
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{name: http, port: 80}}]}}
"""
_SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ["{address}"]}}]
"""
_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{{name: edge, namespace: bench}}]
  hostnames: ["{host}"]
  rules:
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {{set: [{{name: x-bench-request, value: "{mark}"}}]}}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{add: [{{name: x-bench-response, value: "1"}}]}}
    backendRefs: [{{name: {service}, port: 80}}]
  - matches: [{{path: {{type: PathPrefix, value: /second}}}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {{set: [{{name: x-bench-request, value: "2"}}]}}
    backendRefs: [{{name: {second}, port: 80}}]
"""

_PLAIN = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: h{number}, namespace: bench}}
spec:
  parentRefs: [{{name: edge, namespace: bench}}]
  hostnames: ["{host}"]
  rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]
"""


def base(port: int, backend_port: int) -> str:
    """Write the Gateway on a port, and the Service with the backend behind it."""
    service = _SERVICE.format(name=BACKEND, namespace=NAMESPACE)
    return "---".join((_GATEWAY.format(port=port), service, endpoint_slice(BACKEND, backend_port)))


MISSING = "missing"
"""A Service that nobody wrote."""


def route(
    number: int, *, namespace: str = NAMESPACE, service: str = BACKEND, second: str = MISSING, mark: int = 1
) -> str:
    """Write a route for a host of its own: two rules, header filters, the second rule names a missing backend."""
    name = f"h{number}"
    return _ROUTE.format(
        name=name, namespace=namespace, host=host_name(number), service=service, second=second, mark=mark
    )


def plain_route(number: int) -> str:
    """Write a route that does nothing but forward."""
    return _PLAIN.format(number=number, host=host_name(number))


def service(name: str, namespace: str) -> str:
    return _SERVICE.format(name=name, namespace=namespace)


def endpoint_slice(name: str, port: int, *, namespace: str = NAMESPACE, address: str = "127.0.0.1") -> str:
    return _SLICE.format(name=name, namespace=namespace, port=port, address=address)


def many_routes(folder: Path, count: int, *, in_a_file: int = 100) -> None:
    """Fill a folder with routes, some to a file: nobody keeps 20,000 files. Their backends exist: they are in use."""
    for first in range(0, count, in_a_file):
        numbers = range(first, min(first + in_a_file, count))
        text = "---".join(route(number, second=BACKEND) for number in numbers)
        (folder / f"routes-{first:06}.yaml").write_text(text, encoding="utf-8")


def town(folder: Path, port: int, backend_port: int, *, namespaces: int = 50, services: int = 100) -> None:
    """Write what gateway-api-bench calls route scale: namespaces with services, a slice and a route for each.

    Each in a file of its own, so that a change to one is a change of a small file.
    """
    (folder / "gateway.yaml").write_text(base(port, backend_port), encoding="utf-8")
    for space in range(namespaces):
        below = folder / f"ns{space}"
        below.mkdir()
        for number in range(services):
            name, whole = f"s{number}", space * services + number
            (below / f"{name}.yaml").write_text(service(name, f"ns{space}"), encoding="utf-8")
            town_endpoint(folder, space, number, backend_port)
            town_route(folder, space, number, whole)


def town_endpoint(folder: Path, space: int, number: int, port: int, address: str = "127.0.0.1") -> None:
    """Write, or change, where a service of the town is."""
    name, namespace = f"s{number}", f"ns{space}"
    text = endpoint_slice(name, port, namespace=namespace, address=address)
    place(folder / namespace / f"{name}-slice.yaml", text)


def town_route(folder: Path, space: int, number: int, whole: int, mark: int = 1) -> None:
    """Write, or change, a route of the town."""
    namespace, name = f"ns{space}", f"s{number}"
    place(
        folder / namespace / f"{name}-route.yaml",
        route(whole, namespace=namespace, service=name, second=name, mark=mark),
    )


def place(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)
