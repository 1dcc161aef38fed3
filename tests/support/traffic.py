"""Traffic in tests: an edge with TrafficPolicies on one hostname, and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.manifests import Json, gateway, route
from tests.support.origins import Answer, Handler
from tests.support.seawall import Instance, free_port, seawall_up

HOST = "a.example"
GATEWAY_GROUP = "gateway.networking.k8s.io"
OWN_GROUP = "seawall.dev"


def policy(name: str, target: str, **spec: Any) -> Json:
    """A TrafficPolicy; the target is `Kind/name` or `Kind/name/section`."""
    kind, target_name, *section = target.split("/")
    group = OWN_GROUP if kind == "Backend" else GATEWAY_GROUP
    ref = {"group": group, "kind": kind, "name": target_name, **({"sectionName": section[0]} if section else {})}
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [ref], **spec},
    }


def rules(*names: str, to: str = "web", **more: Any) -> list[Json]:
    """A rule for the path `/<name>` each."""
    reference = {"group": OWN_GROUP, "kind": "Backend", "name": to}
    return [
        {
            "name": name,
            "matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}],
            "backendRefs": [reference],
            **more,
        }
        for name in names
    ]


class Edge:
    """A running instance and a client for it."""

    def __init__(self, instance: Instance, port: int, client: httpx.AsyncClient) -> None:
        self.instance = instance
        self.port = port
        self.client = client

    async def ask(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        headers = {"host": HOST, **more.pop("headers", {})}
        return await self.client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **more)


@asynccontextmanager
async def edge(route_rules: list[Json], *objects: Json) -> AsyncIterator[Edge]:
    port = free_port()
    files = {"gateway": gateway(port), "routes": [route("a", [HOST], route_rules)], "rest": list(objects)}
    async with seawall_up(files) as instance, httpx.AsyncClient(timeout=20) as client:
        yield Edge(instance, port, client)


def saying(text: str) -> Handler:
    """Answer every request with this."""
    return lambda _: Answer(body=text.encode())
