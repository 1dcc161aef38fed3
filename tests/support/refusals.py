"""Refusals: manifests that fit every rule of ours and that Envoy refuses all the same, each for another reason."""

from typing import Any, Final

from tests.support.door import policy as manners
from tests.support.manifests import Json

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
_GROUP = "gateway.networking.k8s.io"
CULPRIT = "bad"


def own(kind: str, name: str, target: str, **spec: Any) -> Json:
    """A policy of ours; the target is `Kind/name` or `Kind/name/section`."""
    kind_of, target_name, *section = target.split("/")
    group = "seawall.dev" if kind_of == "Backend" else _GROUP
    ref = {"group": group, "kind": kind_of, "name": target_name, **({"sectionName": section[0]} if section else {})}
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [ref], **spec},
    }


def native(kind: str, **config: Any) -> Json:
    """An HTTPFilterPolicy with one filter."""
    typed = {"@type": f"{_FILTERS}{kind}", **config}
    return own("HTTPFilterPolicy", CULPRIT, "Gateway/edge", filters=[{"name": "f", "typedConfig": typed}])


def lua(source: str) -> Json:
    return native("lua.v3.Lua", defaultSourceCode={"inlineString": source})


def _rbac(**policy: Any) -> Json:
    everybody = {"permissions": [{"any": True}], "principals": [{"any": True}]}
    return native("rbac.v3.RBAC", rules={"policies": {"p": {**everybody, **policy}}})


_LOG: Final = {"fields": ["path"], "sinks": [{"type": "File", "path": "/no/such/folder/requests.log"}]}
_PATTERN: Final = {"urlPath": {"path": {"safeRegex": {"regex": "/(?=x)"}}}}

REFUSED: Final[dict[str, Json]] = {
    "a script that is none": lua("function envoy_on_request("),
    "a status that does not exist": native("fault.v3.HTTPFault", abort={"httpStatus": 99}),
    "a regular expression with look-ahead in a filter": _rbac(permissions=[_PATTERN]),
    "a CEL expression with an unknown function": _rbac(condition={"callExpr": {"function": "nope", "args": []}}),
    "keys that are none": native(
        "jwt_authn.v3.JwtAuthentication", providers={"a": {"localJwks": {"inlineString": "{}"}}}
    ),
    "a module that is not there": native(
        "wasm.v3.Wasm",
        config={"vmConfig": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": "/no/such.wasm"}}}},
    ),
    "an error page with two alternatives": own(
        "TrafficPolicy", CULPRIT, "HTTPRoute/route-1", errorPages=[{"codes": [503], "body": "%REQ(A?B?C)%"}]
    ),
    "a log in a folder that is not there": manners(CULPRIT, accessLog=_LOG),
}
"""Each refused by Envoy 1.40 as a whole response: of a listener, or of the routes of one host."""


def culprit(document: Json) -> str:
    """Name an object as problems do."""
    return f"{document['kind']} test/{document['metadata']['name']}"
