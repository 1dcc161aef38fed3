"""External auth: a service is asked whether a request may pass, before it goes on.

Pure. Over gRPC in the words of `envoy.service.auth.v3`, over HTTP with the request itself, without its body unless that is asked
for. Whoever cannot be asked has not said yes: the request gets 503, so that nobody takes a dead service for a locked door (403).
"""

from typing import Any, Final

from seawall.envoy.messages import duration
from seawall.envoy.proto import pack
from seawall.gateway.entrance import ExternalAuth

_EXT_AUTHZ: Final = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_PATIENCE: Final = 2.0
"""Seconds for an answer: such a service looks something up. Envoy's own 0.2 s is less than one garbage collection."""
_NOT_TO_BE_SET: Final = (
    ":.*|host|con(nection|tent-length)|t(e|ra.*)|upgrade|keep-.*|proxy-.*|x-(envoy|seawall|forwarded)-.*"
)
"""What an answer may never change in a request: how it is framed, whose it is, and what only this edge says. Short:
Envoy takes no expression of more than 100 instructions."""


def ask(asked: ExternalAuth) -> dict[str, Any]:
    """Build the filter. It waits for an answer, so nothing may stand behind it in its place."""
    config: dict[str, Any] = {
        "stat_prefix": "ask",
        "transport_api_version": "V3",
        "status_on_error": {"code": "ServiceUnavailable"},
        "decoder_header_mutation_rules": {"disallow_expression": {"regex": _NOT_TO_BE_SET}},
        **(_over_grpc(asked) if asked.protocol == "GRPC" else _over_http(asked)),
    }
    if asked.headers:
        config["allowed_headers"] = _exactly(asked.headers)
    if asked.body:
        # "Bodies over that size must be rejected with a 4xx": Envoy's 413.
        config["with_request_body"] = {
            "max_request_bytes": asked.body,
            "allow_partial_message": False,
            "pack_as_bytes": asked.protocol == "GRPC",
        }
    return {"name": "ask", "typed_config": pack(_EXT_AUTHZ, config)}


def _over_grpc(asked: ExternalAuth) -> dict[str, Any]:
    return {"grpc_service": {"envoy_grpc": {"cluster_name": asked.cluster}, "timeout": duration(_PATIENCE)}}


def _over_http(asked: ExternalAuth) -> dict[str, Any]:
    taken = _exactly(asked.answered) if asked.answered else {"patterns": [{"safe_regex": {"regex": ".*"}}]}
    uri = {"uri": "http://auth", "cluster": asked.cluster, "timeout": duration(_PATIENCE)}
    return {
        "http_service": {
            "server_uri": uri,
            "path_prefix": asked.prefix,
            "authorization_response": {"allowed_upstream_headers": taken},
        }
    }


def _exactly(names: tuple[str, ...]) -> dict[str, Any]:
    return {"patterns": [{"exact": name, "ignore_case": True} for name in names]}
