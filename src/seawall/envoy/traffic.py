"""Traffic: what the filters of a TrafficPolicy are in Envoy.

Pure. They fill the last part of the place `policy`: after whoever must not pass has been refused. Requests meet them from top
to bottom, responses from bottom to top.

A filter in a place that makes a request wait is the last one of it: once it goes on, Envoy (1.40) goes on behind the place, and
what stood after it is never asked (measured: a body above its limit passed after a delay). The same holds for responses the
other way round: what was to be compressed went out as it was, and said to be gzip. So there is at most one that waits in
each direction, at the end; `gateway.traffic` sees to it. Next room: `envoy.places`.
"""

from typing import Any, Final

import msgspec

from seawall.envoy.messages import duration, literal
from seawall.envoy.proto import pack
from seawall.gateway.handling import Handling, Session
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.resources.traffic import Bandwidth, Compression, ErrorPage, Fault
from seawall.kit.digest import digest

_HTTP: Final = "envoy.extensions.filters.http."
_COMPRESSION: Final = "envoy.extensions.compression."
_SESSION: Final = "envoy.extensions.http.stateful_session."
_STATUS_INPUT: Final = "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"
_CLASS_INPUT: Final = "envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput"
_LOCAL_INPUT: Final = "envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput"
_LOCAL_RESPONSE: Final = "envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy"
_MILLION: Final = 1_000_000
STAT_PREFIX: Final = "traffic."


def key(handling: Handling | None) -> str:
    """Tell apart what takes other filters; empty if it takes none."""
    if handling is None or not handling.has_filters:
        return ""
    return digest(msgspec.json.encode(msgspec.structs.replace(handling, sources=())))[:16]


def steps(handling: Handling) -> list[dict[str, Any]]:
    """Return the filters in the order of requests."""
    bandwidth, body, name = handling.bandwidth or Bandwidth(), handling.request_body, key(handling)
    found: list[dict[str, Any]] = []
    if bandwidth.response is not None:
        found.append(_bandwidth("RESPONSE", bandwidth.response, name))
    if handling.compression is not None:
        found += _compression(handling.compression)
    if handling.error_pages:
        found.append(_error_pages(handling.error_pages))
    if body is not None and not body.buffer:
        limit = {"max_request_bytes": {"value": body.max_bytes}}
        found.append(_step("body", "body_size_limit.v3.BodySizeLimit", limit))
    if handling.session is not None:
        found.append(_session(handling.session))
    if handling.fault is not None:
        found.append(_step("fault", "fault.v3.HTTPFault", _fault(handling.fault)))
    if bandwidth.request is not None:
        found.append(_bandwidth("REQUEST", bandwidth.request, name))
    if body is not None and body.buffer:
        found.append(_step("body", "buffer.v3.Buffer", {"max_request_bytes": {"value": body.max_bytes}}))
    return found


def _step(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": pack(_HTTP + kind, config)}


def _percent(percent: float) -> dict[str, Any]:
    return {"numerator": round(percent * _MILLION / 100), "denominator": "MILLION"}


# ── faults, bodies, bandwidth ────────────────────────────────────────────────────────────────────────────────────


def _fault(fault: Fault) -> dict[str, Any]:
    built: dict[str, Any] = {"max_active_faults": {"value": fault.max_active}}
    if fault.delay is not None:
        wait = duration(seconds(fault.delay.duration))
        built["delay"] = {"fixed_delay": wait, "percentage": _percent(fault.delay.percent)}
    if fault.abort is not None:
        status: dict[str, Any] = {"percentage": _percent(fault.abort.percent)}
        if fault.abort.status is not None:
            status["http_status"] = fault.abort.status
        else:
            status["grpc_status"] = fault.abort.grpc_status
        built["abort"] = status
    if fault.header is not None:
        built["headers"] = [{"name": fault.header.lower(), "present_match": True}]
    return built


def _bandwidth(mode: str, kilobytes: int, name: str) -> dict[str, Any]:
    """Limit one direction: one filter has one limit for both."""
    config = {
        "stat_prefix": f"{STAT_PREFIX}{name}",
        "enable_mode": mode,
        "limit_kbps": {"value": kilobytes},
        # In steps of a twentieth of a second what passes is even enough for people and cheap enough for us.
        "fill_interval": duration(0.05),
    }
    return _step("bandwidth", "bandwidth_limit.v3.BandwidthLimit", config)


# ── compression ──────────────────────────────────────────────────────────────────────────────────────────────────

_LIBRARIES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    # Fast levels: an edge that compresses all it sends has better uses for a core than the last three per cent.
    "gzip": (f"{_COMPRESSION}gzip.compressor.v3.Gzip", {"compression_level": "BEST_SPEED"}),
    "brotli": (f"{_COMPRESSION}brotli.compressor.v3.Brotli", {"quality": {"value": 3}}),
    "zstd": (f"{_COMPRESSION}zstd.compressor.v3.Zstd", {"compression_level": {"value": 3}}),
}


def _compression(compression: Compression) -> list[dict[str, Any]]:
    """Return a filter for each algorithm, the favourite first."""
    direction = {
        "common_config": {
            "min_content_length": {"value": compression.min_bytes},
            "content_type": list(compression.content_types),
        },
        # An ETag names these very bytes, so a strong one forbids to change them.
        "disable_on_etag_header": False,
        "weaken_etag_on_compress": True,
    }
    found = []
    for index, name in enumerate(compression.algorithms):
        kind, settings = _LIBRARIES[name]
        library = {"name": name, "typed_config": pack(kind, settings)}
        config = {"response_direction_config": direction, "compressor_library": library, "choose_first": index == 0}
        found.append(_step(name, "compressor.v3.Compressor", config))
    return found


# ── error pages ──────────────────────────────────────────────────────────────────────────────────────────────────


def _error_pages(pages: tuple[ErrorPage, ...]) -> dict[str, Any]:
    matchers = [{"predicate": _page_is_for(page), "on_match": _page(page)} for page in pages]
    return _step(
        "error-pages",
        "custom_response.v3.CustomResponse",
        {"custom_response_matcher": {"matcher_list": {"matchers": matchers}}},
    )


def _page_is_for(page: ErrorPage) -> dict[str, Any]:
    codes = [_is(_STATUS_INPUT, str(code)) for code in dict.fromkeys(_codes(page))]
    some = codes[0] if len(codes) == 1 else {"or_matcher": {"predicate": codes}}
    if page.from_ == "any":
        return some
    return {"and_matcher": {"predicate": [some, _is(_LOCAL_INPUT, "true")]}}


def _codes(page: ErrorPage) -> list[int]:
    return [*page.codes, *(code for one in page.ranges for code in range(one.first, one.last + 1))]


def _is(kind: str, value: str) -> dict[str, Any]:
    return {
        "single_predicate": {"input": {"name": "response", "typed_config": pack(kind)}, "value_match": {"exact": value}}
    }


def _page(page: ErrorPage) -> dict[str, Any]:
    response: dict[str, Any] = {
        "body_format": {"text_format_source": {"inline_string": page.body}},
        # Envoy has put its own in by the time it fills the body, and does not look at the one of the format.
        "response_headers_to_add": [
            {
                "header": {"key": "content-type", "value": literal(page.content_type)},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
        "preserve_response_code_details": True,
    }
    if page.status is not None:
        response["status_code"] = {"value": page.status}
    return {"action": {"name": "page", "typed_config": pack(_LOCAL_RESPONSE, response)}}


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _session(session: Session) -> dict[str, Any]:
    if session.type == "Header":
        state = {
            "name": "envoy.http.stateful_session.header",
            "typed_config": pack(f"{_SESSION}header.v3.HeaderBasedSessionState", {"name": session.name}),
        }
    else:
        cookie: dict[str, Any] = {
            "name": session.name,
            "path": "/",
            "attributes": [{"name": "HttpOnly"}, {"name": "SameSite", "value": "Lax"}],
        }
        if session.lifetime is not None:
            cookie["ttl"] = duration(session.lifetime)
        state = {
            "name": "envoy.http.stateful_session.cookie",
            "typed_config": pack(f"{_SESSION}cookie.v3.CookieBasedSessionState", {"cookie": cookie}),
        }
    return _step("session", "stateful_session.v3.StatefulSession", {"session_state": state})
