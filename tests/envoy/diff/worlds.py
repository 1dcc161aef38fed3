"""Two states of the manifests, compared: from objects through the resolver and the builder to the report."""

from typing import Any

from seawall.envoy.build import Builder
from seawall.envoy.diff.compare import Compared, compare
from seawall.fleet.bundle import Limits
from seawall.gateway.objects import Object
from seawall.xds.resource import Ref
from seawall.xds.snapshot import Snapshot
from tests.envoy.graphs import everything
from tests.gateway.world import edge, made, resolved, route

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def backend(name: str = "web", *ports: int) -> Object:
    members = [{"ip": "127.0.0.1", "port": port} for port in ports or (9001, 9002, 9003, 9004)]
    return made("Backend", name, {"spec": {"endpoints": members}})


def rule(path: str = "/", to: str = "web", **match: Any) -> dict[str, Any]:
    reference = {"group": "seawall.dev", "kind": "Backend", "name": to}
    return {"matches": [{"path": {"type": "PathPrefix", "value": path}, **match}], "backendRefs": [reference]}


def shop(*rules: dict[str, Any], name: str = "shop", host: str = "shop.example", **more: Any) -> Object:
    return route(name, *(rules or (rule(),)), hostnames=[host], **more)


def native(*filters: str, prefix: str = "x") -> Object:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    wanted = [{"name": one, "typedConfig": {"@type": LUA, "statPrefix": prefix}} for one in filters]
    return made("HTTPFilterPolicy", "policy", {"spec": {"targetRefs": [ref], "filters": wanted}})


def built(*objects: Object) -> Builder:
    graph = resolved(*objects).graph
    builder = Builder()
    builder.update(graph, everything(graph))
    return builder


def compared(
    before: list[Object], after: list[Object], limits: tuple[Limits, Limits] = (Limits(), Limits())
) -> Compared:
    """Compare what is made of two states."""
    old, new = built(*before), built(*after)

    def origins(ref: Ref) -> tuple[str, ...]:
        return new.origins(ref) or old.origins(ref)

    return compare(old.snapshot, new.snapshot, origins=origins, limits=limits)


def snapshot(*objects: Object) -> Snapshot:
    return built(*objects).snapshot


def world(*more: Object) -> list[Object]:
    """A Gateway, the backend `web`, and more."""
    return [*edge(), backend(), *more]
