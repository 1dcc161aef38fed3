"""Verdicts → filters that note which verdict a request is under. They only look: `envoy.acts` acts.

Pure. A filter is a resource of its own (ECDS), so that a verdict changes no listener, no route and no bucket. In it, by rank:

    networks   one tree of prefixes
    values     for each set of fields one key, and one table of all verdicts that name just these fields
    the rest   one by one: what is compared by a pattern; few

An update replaces a filter as a whole, hence two of them: `lasting` for the many, `fresh` for what is new.
Next room: `agent.enforcer`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from seawall.envoy import acts, seen
from seawall.envoy.messages import literal
from seawall.envoy.proto import TYPE_PREFIX, encode, message, pack, part
from seawall.envoy.seen import Prefix, Sight
from seawall.fleet.verdicts import Entry
from seawall.kit.digest import digest
from seawall.xds.resource import EXTENSION, Resource, ResourceName

_HTTP = "envoy.extensions.filters.http."
_COMPOSITE = f"{_HTTP}composite.v3.Composite"
_EXECUTE = f"{_HTTP}composite.v3.ExecuteFilterAction"
_STATE = f"{_HTTP}set_filter_state.v3.Config"
_STATE_VALUE = "envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue"
_STATE_INPUT = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
_SOURCE_IP = "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
_RANGE = "xds.core.v3.CidrRange"
_ON_MATCH = "xds.type.matcher.v3.Matcher.OnMatch"
_IP_TREE = "xds.type.matcher.v3.IPMatcher"
_EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"

MOST_ASKED: Final = 256
"""Verdicts of one filter that are compared by a pattern; each costs every request."""
MOST_KEYS: Final = 32
"""Sets of fields of one filter; each costs every request a key."""
MOST_COPIES: Final = 200_000
"""Verdicts of one filter, times the filter chains of all listeners: each chain has a copy, of about 1.3 KiB a verdict. And a tree
of Envoy's holds 262,144 networks."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_LATEST: Final = 253_370_764_800.0
_REFUSALS: Final = ("deny", "drop", "challenge", "labyrinth", "tarpit")
KEYS: Final = ResourceName("seawall.verdicts.keys")
"""The filter that writes keys, on the listener and as a resource."""
_LOWEST_RATE: Final = 0.01


class Prepared(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verdict, ready to be put into the filter of a slot. `on_match` is what matching it does, in Envoy's bytes; of one that is
    by network alone `member` is its part of the tree."""

    entry: Entry
    rank: str
    sight: Sight
    on_match: bytes
    member: bytes = b""


def resource_name(slot: str) -> ResourceName:
    """Name the filter of a slot, on the listener and as a resource."""
    return ResourceName(f"seawall.verdicts.{slot}")


def prepare(entry: Entry, slot: str) -> Prepared | str:
    """Make a verdict ready for a slot; or say in a sentence why it cannot be enforced."""
    problem = _problem(entry)
    if problem:
        return problem
    found = seen.sight(entry.route, entry.match)
    if isinstance(found, str):
        return found
    done = _done(entry)
    if isinstance(done, str):
        return done
    values = {"id": entry.id, "until": _moment(entry.expires), **done}
    notes = b"".join(part(1, _note(slot, field, value)) for field, value in values.items())
    on_match = _on_match(notes, entry.share)
    network = found.network
    member = b""
    if network is not None:
        member = part(1, part(1, network.address.encode()) + _length(network.length)) + part(2, on_match)
    return Prepared(entry=entry, rank=done["do"][0], sight=found, on_match=on_match, member=member)


def _note(slot: str, field: str, value: str) -> bytes:
    if field != "id":
        return _known_note(slot, field, value)
    # Another one in each verdict, so it is written by hand; it has no `%` in it.
    return _note_key(slot, field) + part(2, part(5, part(3, value.encode())))


@lru_cache(maxsize=4096)
def _known_note(slot: str, field: str, value: str) -> bytes:
    return encode(_STATE_VALUE, _value(acts.note(slot, field), value))


@cache
def _note_key(slot: str, field: str) -> bytes:
    return encode(_STATE_VALUE, {"object_key": acts.note(slot, field), "factory_key": "envoy.string"})


def _on_match(notes: bytes, share: float) -> bytes:
    """Write by hand what is in every verdict and so is built ten thousand times: xds.type.matcher.v3.Matcher.OnMatch."""
    filter_ = part(1, b"note") + part(2, _any(_STATE, notes))
    execute = part(1, filter_)
    if share < 1:
        some = {"numerator": round(share * 1_000_000), "denominator": "MILLION"}
        execute += encode(_EXECUTE, {"sample_percent": {"default_value": some}})
    return part(2, part(1, b"note") + part(2, _any(_EXECUTE, execute)))


@cache
def _length(bits: int) -> bytes:
    return encode(_RANGE, {"prefix_len": {"value": bits}})


def _any(name: str, body: bytes) -> bytes:
    return _type(name) + part(2, body)


@cache
def _type(name: str) -> bytes:
    return part(1, f"{TYPE_PREFIX}{name}".encode())


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The filter of a slot, which verdicts have no room in it and why, and the sets of fields that it wants keys of."""

    resource: Resource
    refused: dict[str, str]
    fields: frozenset[seen.Fields]


def judge(slot: str, verdicts: Iterable[Prepared], chains: int = 1) -> Judged:
    """Build the filter of a slot for so many filter chains."""
    ordered = sorted(verdicts, key=lambda one: (one.rank, one.entry.expires, one.entry.generation, one.entry.id))
    kept, refused = _bounded(ordered, MOST_COPIES // max(1, chains))
    matcher: dict[str, Any] = {}
    for rank in reversed(acts.RANKS.values()):
        matcher = _ranked([one for one in kept if one.rank == rank], matcher)
    resource = _extension(resource_name(slot), pack(_COMPOSITE, {"matcher": matcher} if matcher else {}))
    return Judged(resource=resource, refused=refused, fields=frozenset(one.sight.fields for one in kept) - {()})


def keys(wanted: Iterable[seen.Fields]) -> Resource:
    """Build the filter that writes the keys for all slots, before they look."""
    fields = sorted(set(wanted))
    written = [_value(seen.key_name(one), seen.key_format(one), is_format=True) for one in fields]
    if any("ja4" in one for one in fields):
        written.insert(0, _value(seen.JA4, "%TLS_JA4_FINGERPRINT%", is_format=True))
    config = pack(_STATE, {"on_request_headers": written})
    if any("route" in one for one in fields):
        # A request that `rescope` has helped has no route until somebody asks for it; a composite does.
        action = {
            "name": "keys",
            "typed_config": pack(_EXECUTE, {"typed_config": {"name": "keys", "typed_config": config}}),
        }
        config = pack(_COMPOSITE, {"matcher": {"on_no_match": {"action": action}}})
    return _extension(KEYS, config)


def _extension(name: ResourceName, config: dict[str, Any]) -> Resource:
    body = encode(_EXTENSION, {"name": name, "typed_config": config})
    return Resource(type_url=EXTENSION, name=name, version=digest(body), body=body)


# ── one verdict ──────────────────────────────────────────────────────────────────────────────────────────────────


def _problem(entry: Entry) -> str:
    numbers = (entry.expires, entry.rate, entry.burst, entry.share)
    if not _ID.fullmatch(entry.id):
        return "Its id is none: letters, digits, '.', '_', ':' and '-', 64 at most."
    if not all(map(math.isfinite, numbers)) or min(entry.rate, entry.burst, entry.delay_ms) < 0:
        return "A number in it is negative or no number."
    if not 0 < entry.expires < _LATEST:
        return "It ends at no moment that there is."
    if not 0 < entry.share <= 1:
        return f"Its share is {entry.share:g}, and has to be above 0 and at most 1."
    if not entry.match and entry.kind in _REFUSALS:
        return "It names no requests: all of them would be refused." if not entry.route else ""
    return ""


def _done(entry: Entry) -> dict[str, str] | str:
    """Say what is noted to do, and the numbers beside it; or why nothing can be."""
    match entry.kind:
        case "allow":
            return {"do": acts.allow()}
        case "tag":
            return {"do": acts.tag()}
        case "limit":
            return _limit(entry)
        case "tarpit":
            return {"do": acts.tarpit(), "number": str(min(max(entry.delay_ms, 1), acts.LONGEST_DELAY_MS))}
        case "challenge" | "labyrinth":
            # Not built yet: their place in the ladder is kept, and the answer says to come back later.
            return {"do": acts.refuse(entry.kind, 429), "number": "429"}
        case "drop":
            return {"do": acts.refuse("drop", 403)}
        case "deny":
            code = entry.code or 403
            if code not in acts.CODES:
                return f"A refusal cannot answer {code}, only {', '.join(map(str, acts.CODES))}."
            number = {} if code == acts.USUAL_CODE else {"number": str(code)}
            return {"do": acts.refuse("override" if entry.is_override else "deny", code), **number}


def _limit(entry: Entry) -> dict[str, str] | str:
    if entry.rate <= 0:
        return "It is a limit of nothing: give it a rate, or make it a deny."
    rate = max(entry.rate, _LOWEST_RATE)
    wanted = max(entry.burst, 1.0) / rate
    seconds = min((one for one in acts.BURSTS if one >= wanted), default=acts.BURSTS[-1])
    cost = max(1, round(acts.FILL / rate))
    return {"do": acts.limit("each" if entry.per_client else "shared"), "number": str(cost), "burst": str(seconds)}


@lru_cache(maxsize=1024)
def _moment(at: float) -> str:
    """Write a moment as RFC 3339 does. Many end in the same one: those that were told together."""
    whole = math.floor(at)
    return Timestamp(seconds=whole, nanos=int((at - whole) * 1000) * 1_000_000).ToJsonString()


# ── all of a filter ──────────────────────────────────────────────────────────────────────────────────────────────


def _bounded(verdicts: Sequence[Prepared], most: int) -> tuple[list[Prepared], dict[str, str]]:
    kept: list[Prepared] = []
    refused: dict[str, str] = {}
    sets: set[seen.Fields] = {()}
    asked = 0
    for one in verdicts:
        if len(kept) == most:
            refused[one.entry.id] = f"There are {most} verdicts already, which is all that fit into each filter chain."
        elif one.sight.predicates and asked == MOST_ASKED:
            refused[one.entry.id] = f"There are {MOST_ASKED} verdicts already that are compared by a pattern."
        elif one.sight.fields not in sets and len(sets) == MOST_KEYS:
            refused[one.entry.id] = f"There are {MOST_KEYS - 1} other sets of fields already."
        else:
            kept.append(one)
            sets.add(one.sight.fields)
            asked += bool(one.sight.predicates)
    return kept, refused


def _ranked(verdicts: Sequence[Prepared], otherwise: dict[str, Any]) -> dict[str, Any]:
    """Look among the verdicts of one rank, and then elsewhere. Of two with the same scope the one that ends later counts."""
    trees: dict[seen.Fields, dict[str, dict[str, Any]]] = {}
    prefixes: dict[Prefix, bytes] = {}
    cases: list[dict[str, Any]] = []
    for one in verdicts:
        if one.sight.network is not None:
            prefixes[one.sight.network] = one.member
        elif one.sight.predicates:
            cases.append({"predicate": _all_of(one.sight), "on_match": _noted(one)})
        elif one.sight.fields:
            trees.setdefault(one.sight.fields, {}).update(dict.fromkeys(one.sight.keys, _noted(one)))
        else:
            otherwise = {"on_no_match": _noted(one)}
    matcher = otherwise
    if cases:
        matcher = _behind({"matcher_list": {"matchers": cases}}, matcher)
    for fields in sorted(trees, reverse=True):
        tree = {"input": _state_input(seen.key_name(fields)), "exact_match_map": {"map": trees[fields]}}
        matcher = _behind({"matcher_tree": tree}, matcher)
    if prefixes:
        matcher = _behind({"matcher_tree": _prefix_tree(prefixes.values())}, matcher)
    return matcher


def _behind(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    if not then:
        return first
    # A matcher that only says what to do in any case need not be one.
    return {**first, "on_no_match": then["on_no_match"] if set(then) == {"on_no_match"} else {"matcher": then}}


def _prefix_tree(members: Iterable[bytes]) -> dict[str, Any]:
    tree = {"type_url": f"{TYPE_PREFIX}{_IP_TREE}", "value": b"".join(part(1, member) for member in members)}
    return {
        "input": {"name": "client", "typed_config": pack(_SOURCE_IP)},
        "custom_match": {"name": "networks", "typed_config": tree},
    }


def _all_of(sight: Sight) -> dict[str, Any]:
    predicates = list(sight.predicates)
    if sight.fields:
        key = _state_input(seen.key_name(sight.fields))
        ways = [{"single_predicate": {"input": key, "value_match": {"exact": one}}} for one in sight.keys]
        predicates.insert(0, ways[0] if len(ways) == 1 else {"or_matcher": {"predicate": ways}})
    return predicates[0] if len(predicates) == 1 else {"and_matcher": {"predicate": predicates}}


def _noted(one: Prepared) -> Any:
    return message(_ON_MATCH).FromString(one.on_match)


def _state_input(key: str) -> dict[str, Any]:
    return {"name": "key", "typed_config": pack(_STATE_INPUT, {"key": key})}


def _value(key: str, content: str, *, is_format: bool = False) -> dict[str, Any]:
    written = content if is_format else literal(content)
    return {
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": written}, "omit_empty_values": True},
    }
