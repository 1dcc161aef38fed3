"""ListenerPolicies for tests, in a line each."""

from typing import Any

from seawall.gateway.objects import Object
from tests.gateway.world import made
from tests.support.authority import Authority

LIST = Authority().revoked(7).decode()
GROUP = "gateway.networking.k8s.io"


def manners(label: str, target: str = "Gateway/edge", section: str = "", at: int = 0, **spec: Any) -> Object:
    kind, name = target.split("/")
    ref = {"group": GROUP, "kind": kind, "name": name, **({"sectionName": section} if section else {})}
    return made("ListenerPolicy", label, {"spec": {"targetRefs": [ref], **spec}}, at=at)


FRONTEND = {
    "frontend": {
        "default": {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "trust"}]}}
    }
}


def revoking(name: str = "crl", text: str | None = None, key: str = "ca.crl") -> Object:
    """A ConfigMap with a revocation list."""
    return made("ConfigMap", name, {"data": {key: text if text is not None else LIST}})
