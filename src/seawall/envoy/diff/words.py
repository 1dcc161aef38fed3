"""Words: names that people use for resources, and small looks into messages. Pure."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from seawall.envoy.messages import full_name
from seawall.envoy.proto import TYPE_PREFIX, decode
from seawall.envoy.routes import NOT_FOUND
from seawall.xds.resource import Resource, ResourceName

OWN_HOSTS = frozenset({"misdirected", "unknown"})
"""Virtual hosts of a fallback that are no one's: they answer 421 and 404."""
_MOST_NAMES = 3


def opened(resource: Resource) -> Any:
    """Decode a resource. Raises DecodeError."""
    return decode(full_name(resource.type_url), resource.body)


def unpacked(packed: Any) -> Any:
    """Decode what is in an Any. Raises DecodeError, KeyError for a type that Envoy does not have."""
    return decode(packed.type_url.removeprefix(TYPE_PREFIX), packed.value)


def is_fallback(name: ResourceName) -> bool:
    return name.endswith("|*")


def host_name(scope: ResourceName, domain: str = "") -> str:
    """Name a host by its hostname and port: `tcp/0.0.0.0/443/*|shop.example` → `shop.example:443`."""
    table, _, hostname = scope.rpartition("|")
    parts = table.split("/")
    port = f":{parts[2]}" if len(parts) > 2 else ""
    return f"{domain or hostname}{port}"


def hosts_of(resource: Resource) -> dict[str, Any]:
    """Return the virtual hosts of a scope that have routes of somebody, by domain; none if it cannot be read."""
    try:
        table = opened(resource).route_configuration
    except DecodeError:
        return {}
    return {each.name: each for each in table.virtual_hosts if each.name not in OWN_HOSTS and _has_routes(each)}


def _has_routes(host: Any) -> bool:
    return any(route.name != NOT_FOUND for route in host.routes)


def tenant(origin: str) -> str:
    """Return the namespace of an object's key: `HTTPRoute/shop/web` → `shop`."""
    return origin.split("/")[1] if origin.count("/") == 2 else ""


def differing(old: Any, new: Any) -> list[str]:
    """Name the fields of two messages of one type that differ, in their own words."""
    before = {field.name: value for field, value in old.ListFields()}
    after = {field.name: value for field, value in new.ListFields()}
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def raw(message: Any) -> bytes:
    """Return the bytes by which two messages are compared: maps sorted."""
    body: bytes = message.SerializeToString(deterministic=True)
    return body


def without(message: Any, *fields: str) -> bytes:
    """Return the bytes of a message without some of its fields."""
    copy = type(message)()
    copy.CopyFrom(message)
    for field in fields:
        copy.ClearField(field)
    return raw(copy)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some(names: Iterable[str]) -> str:
    """Write the first few names."""
    all_names = list(names)
    more = len(all_names) - _MOST_NAMES
    return ", ".join(all_names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def has_moved(old: list[Any], new: list[Any]) -> bool:
    """Say whether what stands in both lists stands in another order: insertion and removal alone move nothing."""
    both = set(old) & set(new)
    return [each for each in old if each in both] != [each for each in new if each in both]


def numbered(keys: Iterable[Any]) -> list[tuple[Any, int]]:
    """Tell equal keys apart by which one it is."""
    seen: dict[Any, int] = {}
    result: list[tuple[Any, int]] = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        result.append((key, seen[key]))
    return result
