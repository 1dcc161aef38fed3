"""Matching: would this request meet this route, and if not, which part of the match fails?

Pure. Envoy does this for real; here it is done again to tell a person about it (`gateway.explain`), in Envoy's
semantics: of a repeated header any value may match, of a repeated query parameter only the first, and a regular
expression matches the whole value.
"""

import ipaddress
import posixpath
import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from seawall.gateway.graph import Hostname, PathEdit, RouteMatch, ValueMatch
from seawall.kit.errors import ConfigError

Scheme = Literal["http", "https", "tcp", "tls", "udp"]
"""How an edge is spoken to. The last three are bare: what a TCPRoute, a TLSRoute and a UDPRoute see."""

_DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443}
_SCHEMES: dict[str, Scheme] = {"http": "http", "https": "https", "tcp": "tcp", "tls": "tls", "udp": "udp"}
_SECURE = ("https", "tls")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as an edge sees it after it has normalised path and host. Header names are lower case.

    `authority` is the Host as sent, port and letter case kept; `host` is the one that is matched. `port` None means that
    the URL did not say.
    """

    method: str
    scheme: Scheme
    authority: str
    host: Hostname
    dialled: str
    port: int | None
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    sni: str | None = None
    client: str = ""

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_request(
    method: str, url: str, headers: tuple[str, ...] = (), sni: str | None = None, client: str = ""
) -> Request:
    """Read a request as one would give it to curl: a URL, and headers as `Name: value`. Raises ConfigError."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"{url!r} is not a URL: {exc}.", hint="Write it as http://shop.example:8080/path.") from exc
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        known = ", ".join(_SCHEMES)
        raise ConfigError(f"{url!r} is not a URL of one of {known}.", hint="Write it as http://shop.example:8080/path.")
    if port is None and scheme not in _DEFAULT_PORTS:
        raise ConfigError(f"{url!r} names no port.", hint=f"Write it as {scheme}://{parts.hostname}:5432.")
    _check_client(client)
    fields = tuple(_header(header) for header in headers)
    authority = next((value for name, value in fields if name == "host"), parts.netloc.rpartition("@")[2])
    default_sni = parts.hostname if scheme in _SECURE and not _is_address(parts.hostname) else None
    return Request(
        method=method.upper(),
        scheme=scheme,
        authority=authority,
        host=normal_host(authority),
        dialled=parts.hostname,
        port=port,
        path=normal_path(parts.path),
        query=parts.query,
        headers=tuple(field for field in fields if field[0] != "host"),
        sni=sni.lower() if sni is not None else default_sni,
        client=client,
    )


def default_port(scheme: str) -> int:
    """Return the port that a URL of this scheme means when it names none."""
    return _DEFAULT_PORTS[scheme]


def normal_host(authority: str) -> Hostname:
    """Return the hostname that is matched: no port, lower case, no trailing dot."""
    host = authority if authority.startswith("[") and authority.endswith("]") else re.sub(r":\d*$", "", authority)
    return Hostname(host.lower().removesuffix("."))


def normal_path(path: str) -> str:
    """Normalise as the edge does: dot segments resolved, repeated and backward slashes made one."""
    joined = re.sub(r"/+", "/", "/" + path.replace("\\", "/"))
    resolved = re.sub(r"/+", "/", posixpath.normpath(joined))
    ends_open = joined.endswith(("/", "/.", "/.."))
    return resolved + "/" if ends_open and resolved != "/" else resolved


def has_escaped_slash(path: str) -> bool:
    """Say whether the edge answers this path with a redirect to itself without `%2F` and `%5C`."""
    return re.search("%(2f|5c)", path, re.IGNORECASE) is not None


def covers(pattern: Hostname, host: Hostname) -> bool:
    """Say whether a hostname pattern (`*.example.com`: one or more labels) takes this host."""
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) and len(host) >= len(pattern) if pattern.startswith("*.") else pattern == host


def best_host(patterns: "tuple[Hostname, ...]", host: Hostname) -> Hostname | None:
    """Pick the pattern that serves a host: exact, then the longest wildcard, then `*`."""
    fitting = [pattern for pattern in patterns if covers(pattern, host)]
    return max(fitting, key=specificity) if fitting else None


def specificity(pattern: Hostname) -> tuple[bool, int]:
    return not pattern.startswith("*"), len(pattern)


def mismatches(match: RouteMatch, request: Request) -> tuple[str, ...]:
    """Say in a sentence each which parts of a match this request fails; none: it matches."""
    found: list[str] = []
    if not _path_matches(match, request.path):
        found.append(f"path {request.path} {_PATH_FAILURES[match.path_type]} {match.path}")
    if match.method is not None and match.method != request.method:
        found.append(f"method {request.method} is not {match.method}")
    for header in match.headers:
        values = [value for name, value in request.headers if name == header.name.lower()]
        found.extend(_value_mismatch("header", header, values))
    for query in match.query:
        found.extend(_value_mismatch("query parameter", query, _query_values(request.query, query.name)[:1]))
    return tuple(found)


_PATH_FAILURES = {"Exact": "is not", "PathPrefix": "does not begin with", "RegularExpression": "does not match"}


def describe(match: RouteMatch) -> str:
    """Write a match on one line: `GET /api/* header x-version=2`."""
    shapes = {"Exact": f"{match.path} (exact)", "PathPrefix": match.path, "RegularExpression": f"~{match.path}"}
    words = [*([match.method] if match.method else []), shapes[match.path_type]]
    for noun, values in (("header", match.headers), ("query", match.query)):
        words += [f"{noun} {v.name}{'~' if v.type == 'RegularExpression' else '='}{v.value}" for v in values]
    return " ".join(words)


def edited_path(edit: PathEdit, match: RouteMatch, path: str) -> str:
    """Apply a path edit as the Gateway API means it: whole elements, never `//`."""
    if edit.type == "ReplaceFullPath":
        return edit.value or "/"
    prefix, value = match.path.rstrip("/"), edit.value.rstrip("/")
    rest = path.removeprefix(prefix) if match.path_type == "PathPrefix" else path
    if prefix and value:
        return value + rest
    return f"{value}/{rest.lstrip('/')}"


def _path_matches(match: RouteMatch, path: str) -> bool:
    if match.path_type == "Exact":
        return path == match.path
    if match.path_type == "PathPrefix":
        return match.path in ("/", path) or path.startswith(match.path + "/")
    return _regex_matches(match.path, path)


def _value_mismatch(noun: str, wanted: ValueMatch, values: list[str]) -> tuple[str, ...]:
    """Say what is wrong unless one of the values is as wanted."""
    if not values:
        return (f"{noun} {wanted.name} is missing",)
    is_pattern = wanted.type == "RegularExpression"
    if any(_regex_matches(wanted.value, value) if is_pattern else value == wanted.value for value in values):
        return ()
    shown = ", ".join(repr(value) for value in values)
    return (f"{noun} {wanted.name} is {shown}, which {'does not match' if is_pattern else 'is not'} {wanted.value!r}",)


def _regex_matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        # RE2 knows a few things that Python does not; the resolver has checked the pattern, so this is such a one.
        return False


def _query_values(query: str, name: str) -> list[str]:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return [value for key, _, value in pairs if key == name]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"{text!r} is not a header.", hint='Write it as "Name: value".')
    return name.strip().lower(), value.strip()


def _check_client(client: str) -> None:
    try:
        ipaddress.ip_address(client or "::")
    except ValueError as exc:
        raise ConfigError(f"{client!r} is not the address of a client.", hint="Write it as 192.0.2.7.") from exc


def _is_address(host: str) -> bool:
    return ":" in host or re.fullmatch(r"[\d.]+", host) is not None
