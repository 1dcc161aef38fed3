"""Manifests: every object of one case, in the order of application, and how an edit changes one.

Pure but for the suite's files. The runner stands in for the API server's controllers: EndpointSlices are made here.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from tests.conformance.certificates import Vault
from tests.conformance.data import Case, Json, Suite

Key = tuple[str, str, str]
"""Kind, namespace (empty if none), name."""

_CLASS = "gatewayclass.yaml"


def key_of(obj: Json) -> Key:
    """Name an object of a manifest."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def key_of_step(named: Json) -> Key:
    """Name what a step's `object` or `gateway` points at."""
    return named.get("kind", "Gateway"), named.get("namespace", ""), named["name"]


def objects_of(case: Case, suite: Suite, vault: Vault, controller: str) -> dict[Key, Json]:
    """List the objects of a case: class, manifests, certificates, endpoints."""
    found = [
        document
        for name in (_CLASS, *case.manifests)
        for document in yaml.safe_load_all(suite.manifest(name).replace("{GATEWAY_CONTROLLER_NAME}", controller))
        if document
    ]
    return {key_of(obj): obj for obj in (*found, *vault.objects, *_slices(case, suite))}


def merged(obj: Any, patch: Any, vault: Vault) -> Any:
    """Apply a JSON merge patch (RFC 7386). `{"$ref": …}` stands for a generated value."""
    if not isinstance(patch, dict):
        return patch
    if set(patch) == {"$ref"}:
        return vault.read(patch["$ref"])
    result = dict(obj) if isinstance(obj, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, vault)
    return result


def _slices(case: Case, suite: Suite) -> Iterable[Json]:
    """Make one EndpointSlice a Service that selects pods; those without a selector bring their own."""
    for service in suite.services:
        if service["manifest"] not in ("base", case.short_name) or not service["has_selector"]:
            continue
        ports = [_port(port) for port in service["ports"].values()]
        pods = {end["address"]: end["name"] for port in service["ports"].values() for end in port["endpoints"]}
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service['name']}-ip4",
                "namespace": service["namespace"],
                "labels": {"kubernetes.io/service-name": service["name"]},
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {"kind": "Pod", "namespace": service["namespace"], "name": name},
                }
                for address, name in pods.items()
            ],
        }


def _port(port: Json) -> Json:
    made = {"protocol": port["protocol"], "port": port["targetPort"]}
    return {**{name: port[name] for name in ("name", "appProtocol") if name in port}, **made}
