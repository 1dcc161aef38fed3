"""Scope: which requests something is about: a route, and values that all have to match.

Pure. Records, and what it means that a request is in a scope; `detect.columns` has the fields. Next room: `detect.verdict`.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

NETWORKS: dict[str, int] = {"address": 0, "net64": 64, "net56": 56, "net48": 48, "net24": 24}
"""Fields that say where a client is; an address may also be written as a network: `address=192.0.2.0/24`."""


class Match(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A field has a value."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}={self.value[:120] or '(none)'}"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Requests to a route (empty: to any) with all of these values. Without values: all requests of the route."""

    route: str = ""
    match: tuple[Match, ...] = ()

    def __str__(self) -> str:
        values = " and ".join(str(one) for one in self.match) or "all requests"
        return f"{values} on {self.route}" if self.route else values

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(one.field for one in self.match)

    @property
    def is_by_network(self) -> bool:
        """Say whether nothing but an address or a network tells these requests from others."""
        return bool(self.match) and all(one.field in NETWORKS for one in self.match)

    @property
    def layer(self) -> str:
        """Name the cheapest layer that can see it."""
        if self.is_by_network and not self.route:
            return "l4"
        return "tls" if self.fields <= {"address", "ja4", *NETWORKS} and not self.route else "http"

    def value(self, field: str) -> str | None:
        """Return what a field has to be, if it is part of the scope."""
        return next((one.value for one in self.match if one.field == field), None)

    def with_(self, **values: str) -> "Scope":
        """Narrow it."""
        merged = {one.field: one.value for one in self.match} | values
        return scope(self.route, merged)

    def holds(self, request: Mapping[str, str]) -> bool:
        """Say whether a request, as field and value, is in the scope."""
        if self.route and request.get("route", "") != self.route:
            return False
        return all(matches(one, request.get(one.field, "")) for one in self.match)

    def contains(self, other: "Scope") -> bool:
        """Say whether every request of the other is certainly one of this."""
        if self.route and other.route != self.route:
            return False
        return all(_implied(one, other) for one in self.match)


def scope(route: str = "", values: Mapping[str, str] | None = None) -> Scope:
    """Make a scope; its values in one order, so that equal scopes are equal."""
    match = tuple(sorted(Match(field=field, value=value) for field, value in (values or {}).items()))
    return Scope(route=route, match=match)


def matches(one: Match, value: str) -> bool:
    """Compare a value of a request with what it has to be; a network matches the addresses and networks in it."""
    if one.value == value:
        return True
    return one.field in NETWORKS and "/" in one.value and inside(value, one.value)


def inside(small: str, large: str) -> bool:
    """Say whether an address or network lies in a network. What is no address lies nowhere."""
    first, second = network(small), network(large)
    if isinstance(first, IPv4Network) and isinstance(second, IPv4Network):
        return first.subnet_of(second)
    if isinstance(first, IPv6Network) and isinstance(second, IPv6Network):
        return first.subnet_of(second)
    return False


@lru_cache(maxsize=4096)
def network(text: str) -> IPv4Network | IPv6Network | None:
    """Read an address or a network."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _implied(one: Match, other: Scope) -> bool:
    """Say whether a condition follows from those of another scope."""
    if any(each.field == one.field and matches(one, each.value) for each in other.match):
        return True
    if one.field not in NETWORKS:
        return False
    return any(each.field in NETWORKS and inside(each.value, one.value) for each in other.match)
