"""Shop: the manifests of a play's edge and the origin behind it, the same for every play."""

from typing import Any

from tests.support.manifests import backend, gateway, route, secret, to
from tests.support.origins import Answer, Asked

from bench.support.people import HOST

Json = dict[str, Any]


def manifests(
    port: int,
    behind: int,
    *,
    learning: int = 20,
    highest: str = "deny",
    tls_port: int | None = None,
    pair: tuple[bytes, bytes] | None = None,
) -> dict[str, list[Json]]:
    """Write them. As a rule nothing is dropped by the kernel: addresses of loopback are one network, and it is the host's."""
    policy = {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "ProtectionPolicy",
        "metadata": {"name": "bench", "namespace": "test"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "mode": "enforce",
            "learning": f"{learning}s",
            "highest": highest,
        },
    }
    certificate = [secret("certificate", *pair)] if pair else []
    return {
        "gateway": [*gateway(port, tls_port=tls_port), *certificate],
        "shop": [backend("shop", behind), route("shop", [HOST], [to("shop")])],
        "protection": [policy],
    }


async def answer(asked: Asked) -> Answer:
    """Answer as the request says that it would be answered."""
    status, _, seconds = asked.headers.get("x-bench", "200 0").partition(" ")
    return Answer(status=int(status), after=min(float(seconds), 1.0))
