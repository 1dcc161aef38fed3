"""Header edits → Envoy's fields. Pure.

Envoy refuses a whole route table that edits `Host` as a header, so an edit of Host becomes a host rewrite here, and a
removal of it (which no HTTP request survives) is dropped.
"""

from typing import Any

from seawall.envoy.messages import literal
from seawall.gateway.graph import HeaderEdits

_HOST = ("host", ":authority")


def header_edits(request: HeaderEdits | None, response: HeaderEdits | None) -> dict[str, Any]:
    """Build `request_headers_to_add` and its three sisters, those that are not empty."""
    built: dict[str, Any] = {}
    for prefix, edits in (("request", request), ("response", response)):
        if edits is None:
            continue
        if adds := [
            *_options(edits.set, "OVERWRITE_IF_EXISTS_OR_ADD"),
            *_options(edits.add, "APPEND_IF_EXISTS_OR_ADD"),
        ]:
            built[f"{prefix}_headers_to_add"] = adds
        if removes := [name for name in edits.remove if not _is_special(name)]:
            built[f"{prefix}_headers_to_remove"] = removes
    return built


def host_edit(edits: HeaderEdits | None) -> str | None:
    """Return the Host that an edit of the request's headers asks for."""
    if edits is None:
        return None
    return next((value for name, value in (*edits.set, *edits.add) if name.lower() in _HOST), None)


def _options(headers: tuple[tuple[str, str], ...], action: str) -> list[dict[str, Any]]:
    return [
        {"header": {"key": name, "value": literal(value)}, "append_action": action, "keep_empty_value": True}
        for name, value in headers
        if not _is_special(name)
    ]


def _is_special(name: str) -> bool:
    return name.startswith(":") or name.lower() in _HOST
