"""Seen: what Envoy can see of each field of a verdict's scope, and how it compares it.

Pure. Most fields are compared as a whole: those of a scope are written behind each other into one key, as the access log would
write them, and that key is looked up among all verdicts with the same fields at once. The rest is asked one by one, so there may be
few.
`docs/reference/enforcement.md` lists all fields. Next room: `envoy.verdicts`.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from typing import Any, Final, NamedTuple

import msgspec

from seawall.envoy.proto import pack
from seawall.traffic.entry import LONGEST, NOTHING, SEPARATOR

_HEADER_INPUT = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
_SOURCE_IP = "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
_IP = "envoy.extensions.matching.input_matchers.ip.v3.Ip"

_ADDRESS = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
JA4: Final = "seawall.verdict.ja4"
"""Where the whole fingerprint is noted first: Envoy cuts what it takes from there, and not what it has from the handshake."""
EXACT: Final = {
    "address": _ADDRESS,
    "agent": "%REQ(USER-AGENT):256%",
    "fetch": "%REQ(SEC-FETCH-DEST):32%",
    "host": "%REQ(:AUTHORITY):256%",
    # Parts a and b; the third one is another on each connection of a browser that varies its signature algorithms.
    "ja4": f"%FILTER_STATE({JA4}:PLAIN):23%",
    "language": "%REQ(ACCEPT-LANGUAGE):64%",
    "method": "%REQ(:METHOD):32%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "route": "%ROUTE_NAME%",
}
"""Fields that are compared as a whole, and what Envoy writes for them; the same as in the access log."""
NETWORKS: Final = {"address": 0, "net24": 24, "net64": 64, "net56": 56, "net48": 48}
BLIND: Final = {
    "account": "Envoy does not know who is logged in",
    "alpn": "Envoy cannot tell it from the fingerprint that it is part of; use ja4",
    "cache": "it is known only when the answer is",
    "login": "it is in the body of the request",
    "status": "it is known only when the answer is",
    "token": "Envoy does not know the name of a key",
    "verified": "Envoy does not know whose address it is; use the address",
    "refused": "it is what verdicts lead to",
}
"""Fields that Envoy cannot see, and why."""
_PRESENT: Final = ("accept", "accept-language", "accept-encoding", "sec-ch-ua", "sec-fetch-dest")
"""The headers of which `headers` says whether they are there, in the order of `traffic.entry`."""
_VARIES = r"(?:[^/?]{33,}|[^/?]*[0-9][^/?]*)"
_OCTET = r"(0|[1-9][0-9]{0,2})"
_PLAIN: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")
_MOST_NAMES = 8
_MOST_ABSENT = 4
_PARTS = 17
"""A path is cut into so many parts; what is behind the sixteenth slash is one."""

Fields = tuple[str, ...]
Network = IPv4Network | IPv6Network


class Prefix(NamedTuple):
    """A network: its address, and how many bits of it count."""

    address: str
    length: int


class Sight(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a scope is compared: a network; `fields` as one key, which has to be one of `keys`; predicates for what is left."""

    network: Prefix | None = None
    fields: Fields = ()
    keys: tuple[str, ...] = ()
    predicates: tuple[dict[str, Any], ...] = ()


def sight(route: str, match: dict[str, str]) -> Sight | str:
    """Say how Envoy sees a scope; or why it cannot, in a sentence."""
    if not route and len(match) == 1 and "address" in match:
        # What ten thousand at once are.
        alone = _network(match)
        return alone if isinstance(alone, str) else Sight(network=alone)
    found = dict(match)
    network = _network({field: found.pop(field) for field in tuple(found) if field in NETWORKS})
    if isinstance(network, str):
        return network
    if route:
        found["route"] = route
    whole: dict[str, str] = {}
    predicates: list[dict[str, Any]] = []
    for field, value in sorted(found.items()):
        if len(value) >= LONGEST and field not in ("route", "query"):
            return f"{field} is a digest or cut short, and Envoy sees values as they are."
        if field in EXACT and not (field == "path" and "*" in value):
            whole[field] = value
            continue
        asked = _asked(field, value)
        if isinstance(asked, str):
            return asked
        predicates += asked
    if network is not None and (whole or predicates):
        if network.length == (128 if ":" in network.address else 32):
            whole["address"], network = network.address, None
        else:
            predicates.append(_inside(network))
            network = None
    fields = tuple(sorted(whole))
    if sum(not value for value in whole.values()) > _MOST_ABSENT:
        return f"More than {_MOST_ABSENT} of its fields are to be absent."
    # The log writes `-` for what is not there, so a client that sends just that counts as one without.
    ways = product(*([whole[field]] if whole[field] else ["", NOTHING] for field in fields))
    keys = tuple(SEPARATOR.join(way) for way in ways) if fields else ()
    return Sight(network=network, fields=fields, keys=keys, predicates=tuple(predicates))


def key_name(fields: Fields) -> str:
    """Name the key of such fields in the filter state."""
    return f"seawall.verdict.key.{'.'.join(fields)}"


def key_format(fields: Fields) -> str:
    """Return what Envoy writes as the key of such fields."""
    return SEPARATOR.join(EXACT[field] for field in fields)


def _network(values: dict[str, str]) -> Prefix | str | None:
    """Take the smallest of the networks, which has to lie in all others."""
    plain = _PLAIN.fullmatch(values.get("address", "")) if len(values) == 1 else None
    if plain is not None and max(map(int, plain.groups())) < 256:
        # Ten thousand of these come at once, and Python takes its time to read one in full.
        return Prefix(values["address"], 32)
    found: list[Network] = []
    for field, value in values.items():
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            return f"{field}={value[:60]!r} is no address and no network."
        if NETWORKS[field] and "/" not in value:
            return f"{field}={value[:60]!r} is an address; write the network, as in 192.0.2.0/24."
        found.append(network)
    if not found:
        return None
    smallest = max(found, key=lambda one: one.prefixlen)
    if any(one.version != smallest.version or not _lies_in(smallest, one) for one in found):
        return "No address lies in all of its networks."
    return Prefix(str(smallest.network_address), smallest.prefixlen)


def _lies_in(small: Network, large: Network) -> bool:
    return small.network_address in large and small.prefixlen >= large.prefixlen


def _asked(field: str, value: str) -> list[dict[str, Any]] | str:
    """Build predicates for a field that is no whole value."""
    match field:
        case "path":
            return [_header_is(":path", _template(value))]
        case "query_shape":
            return _shape(value)
        case "query":
            return [_header_is(":path", rf"[^?]*\?{re.escape(value)}" if value else r"[^?]*\??")]
        case "headers":
            if not re.fullmatch(f"[01]{{{len(_PRESENT)}}}", value):
                return "headers is a digest of their order, which Envoy does not see."
            return [_is_there(name, is_there=one == "1") for name, one in zip(_PRESENT, value, strict=True)]
        case "referer":
            return [_is_there("referer", is_there=bool(value))]
        case _:
            why = BLIND.get(field, "Envoy knows no such field")
            return f"{field} cannot be enforced: {why}."


def _template(value: str) -> str:
    """Write a path in which `*` stands for a part that varies: one with a digit, or a long one."""
    parts = value.split("/", _PARTS - 1)
    written = [_VARIES if part == "*" else re.escape(part) for part in parts]
    if len(parts) == _PARTS and parts[-1] == "*":
        written[-1] = r"[^?]*"
    return "/".join(written) + r"(?:\?.*)?"


def _shape(value: str) -> list[dict[str, Any]] | str:
    """Ask whether a query has these names, each at least once, and no others."""
    if not value:
        return [_header_is(":path", r"[^?]*\??")]
    names = value.split("&")
    if len(names) > _MOST_NAMES:
        return f"query_shape has {len(names)} names; Envoy is asked for {_MOST_NAMES} at most."
    written = [re.escape(name) for name in names]
    one = f"(?:{'|'.join(written)})(?:=[^&]*)?"
    only = rf"[^?]*\?{one}(?:&{one})*"
    each = [rf"[^?]*\?(?:.*&)?{name}(?:[=&].*)?" for name in written] if len(written) > 1 else []
    return [_header_is(":path", pattern) for pattern in (only, *each)]


def _header_is(name: str, pattern: str) -> dict[str, Any]:
    # (?s): a dot is any byte, also one that is no text.
    return _header(name, {"safe_regex": {"google_re2": {}, "regex": f"(?s){pattern}"}})


def _is_there(name: str, *, is_there: bool) -> dict[str, Any]:
    there = _header(name, {"safe_regex": {"google_re2": {}, "regex": "(?s)[^-].*|-.+"}})
    return there if is_there else {"not_matcher": there}


def _header(name: str, match: dict[str, Any]) -> dict[str, Any]:
    config = pack(_HEADER_INPUT, {"header_name": name})
    return {"single_predicate": {"input": {"name": "header", "typed_config": config}, "value_match": match}}


def _inside(network: Prefix) -> dict[str, Any]:
    config = pack(_IP, {"stat_prefix": "verdict", "cidr_ranges": [cidr(network)]})
    return {
        "single_predicate": {
            "input": {"name": "client", "typed_config": pack(_SOURCE_IP)},
            "custom_match": {"name": "ip", "typed_config": config},
        }
    }


def cidr(network: Prefix) -> dict[str, Any]:
    """Write a network as Envoy does."""
    return {"address_prefix": network.address, "prefix_len": {"value": network.length}}
