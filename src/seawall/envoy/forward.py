"""Forward: send a request to a backend: shares, rewrites, mirrors, timeouts, retries.

Pure. `envoy.routes` calls it for every route that is neither a redirect nor an answer of our own.
"""

from typing import Any, Final

from seawall.envoy.edits import header_edits, host_edit
from seawall.envoy.messages import duration
from seawall.envoy.proto import pack
from seawall.envoy.redirect import path_edit
from seawall.envoy.retries import SAFE_RETRIES
from seawall.gateway.graph import Forward, Mirror, Retry, RouteMatch, WeightedBackend
from seawall.gateway.resources.traffic import RetryReason

NO_SUCH_CLUSTER = "seawall.invalid-backend"
"""A cluster that never exists: the share of a backend that cannot be used. Envoy then answers what
`cluster_not_found_response_code` says (a direct response is per route, not per share)."""
_MILLION = 1_000_000
_NOT_FOUND = {500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE"}


def forward(action: Forward, match: RouteMatch, host: str | None) -> dict[str, Any]:
    """Build the part of a route that forwards. `host` is a Host that a header edit asks for; a rewrite outranks it."""
    if not any(backend.weight for backend in action.backends):
        return {"direct_response": {"status": action.unusable}}
    built: dict[str, Any] = {
        **_target(action.backends),
        # Whole-request limit: none unless asked for. A slow download, an event stream and a WebSocket are legitimate;
        # what stands still is ended by the listener's stream_idle_timeout.
        "timeout": duration(action.timeout or 0.0),
        "cluster_not_found_response_code": _NOT_FOUND[action.unusable],
    }
    if action.stream_idle is not None:
        built["idle_timeout"] = duration(action.stream_idle)
    if action.rewrite_host or host:
        built["host_rewrite_literal"] = action.rewrite_host or host
    if action.rewrite_path is not None:
        built |= path_edit(action.rewrite_path, match, full="path_rewrite")
    if action.mirrors:
        built["request_mirror_policies"] = [_mirror(mirror) for mirror in action.mirrors]
    if (policy := _retry(action)) is not None:
        built["retry_policy"] = policy
    return {"route": built}


def _target(backends: tuple[WeightedBackend, ...]) -> dict[str, Any]:
    only = backends[0]
    if len(backends) == 1 and only.request_headers is None and only.response_headers is None:
        return {"cluster": only.cluster or NO_SUCH_CLUSTER}
    return {"weighted_clusters": {"clusters": [_share(backend) for backend in backends]}}


def _share(backend: WeightedBackend) -> dict[str, Any]:
    built: dict[str, Any] = {
        "name": backend.cluster or NO_SUCH_CLUSTER,
        "weight": {"value": backend.weight},
        **header_edits(backend.request_headers, backend.response_headers),
    }
    if (host := host_edit(backend.request_headers)) is not None:
        built["host_rewrite_literal"] = host
    return built


def _mirror(mirror: Mirror) -> dict[str, Any]:
    share = round(mirror.numerator * _MILLION / mirror.denominator)
    return {
        "cluster": mirror.cluster,
        "runtime_fraction": {"default_value": {"numerator": share, "denominator": "MILLION"}},
        # The copy is for a backend like the first: it should see the Host that the first one sees.
        "disable_shadow_host_suffix_append": True,
    }


def _retry(action: Forward) -> dict[str, Any] | None:
    """Build what replaces the virtual host's safe retries; None keeps them."""
    if action.retry is None and not action.try_timeout:
        return None
    built: dict[str, Any] = {}
    if action.try_timeout:
        built["per_try_timeout"] = duration(action.try_timeout)
    if action.retry is None:
        # A limit for each try, and nothing said about retries: the safe ones go on.
        return SAFE_RETRIES | built
    return built | _asked(action.retry)


def _asked(retry: Retry) -> dict[str, Any]:
    if retry.attempts == 0:
        return {"num_retries": {"value": 0}}
    built: dict[str, Any] = {
        # Never `5xx`: only the codes that are listed. `reset` covers a try that ran into its own timeout.
        "retry_on": _retry_on(retry),
        "num_retries": {"value": retry.attempts},
        "retriable_status_codes": [*retry.codes, *([429] if "tooManyRequests" in (retry.on or ()) else [])],
    }
    if retry.backoff:
        built["retry_back_off"] = {
            "base_interval": duration(retry.backoff),
            "max_interval": duration(retry.longest or retry.backoff * 10),
        }
    if retry.is_elsewhere:
        before = {"name": "before", "typed_config": pack(_PREVIOUS_HOSTS)}
        built |= {"retry_host_predicate": [before], "host_selection_retry_max_attempts": 3}
    return built


_PREVIOUS_HOSTS: Final = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
_REASONS: Final[dict[RetryReason, str]] = {
    "connectFailure": "connect-failure",
    "refusedStream": "refused-stream",
    "reset": "reset",
    "gatewayError": "gateway-error",
    "serverError": "5xx",
    "tooManyRequests": "retriable-status-codes",
}


def _retry_on(retry: Retry) -> str:
    reasons = retry.on if retry.on is not None else ("connectFailure", "refusedStream", "reset")
    said = [_REASONS[reason] for reason in reasons]
    return ",".join(dict.fromkeys([*said, *(["retriable-status-codes"] if retry.codes else [])]))
