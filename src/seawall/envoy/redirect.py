"""Redirects, and the path edits that redirects and rewrites share. Pure."""

import re
from typing import Any

from seawall.gateway.graph import Hostname, PathEdit, Redirect, RouteMatch

_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def redirect(action: Redirect, match: RouteMatch, hostname: Hostname) -> dict[str, Any]:
    """Build a RedirectAction."""
    built: dict[str, Any] = {"response_code": _CODES[action.status]}
    if action.scheme is not None:
        built["scheme_redirect"] = action.scheme
    host = action.host
    if host is None and action.port is None and not hostname.startswith("*"):
        # Without a host Envoy repeats the request's, port and all, also a port that the new scheme does not mean.
        host = hostname
    if host is not None:
        built["host_redirect"] = host
    if action.port is not None:
        built["port_redirect"] = action.port
    elif host is None and action.scheme in _DEFAULT_PORTS:
        built["port_redirect"] = _DEFAULT_PORTS[action.scheme]
    if action.path is not None:
        built |= path_edit(action.path, match, full="path_redirect")
    return built


def path_edit(edit: PathEdit, match: RouteMatch, *, full: str) -> dict[str, Any]:
    """Build a path edit; `full` is Envoy's field for replacing the whole path.

    The Gateway API replaces whole path elements: of `/a/b` with prefix `/a`, `/x` and `/x/` both give `/x/b`, `/` gives
    `/b`; and `/a` itself gives `/x`, or `/` for an empty replacement. Envoy's prefix_rewrite joins strings, so that a
    replacement of `/` would yield `//b`: hence a regular expression.
    """
    if edit.type == "ReplaceFullPath":
        if full == "path_redirect":
            return {"path_redirect": edit.value or "/"}
        # The query stays: a rewrite of the whole path ends where the query begins.
        return _regex(r"^[^?]*", edit.value or "/")
    prefix, value = match.path.rstrip("/"), edit.value.rstrip("/")
    if match.path_type == "PathPrefix" and prefix and value:
        return {"prefix_rewrite": value}
    return _regex("^" + re.escape(prefix) + "/*", value + "/")


def _regex(pattern: str, substitution: str) -> dict[str, Any]:
    # A backslash in a substitution begins a group reference.
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": substitution.replace("\\", "\\\\")}}
