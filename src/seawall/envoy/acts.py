"""Acts: what is done with a request that a verdict is about: refuse, hold back, limit, tag, or let pass.

Pure, and a constant of the release: no verdict changes it, so no verdict empties a bucket or drains a connection. Which verdict a
request is under has been noted before, by filters that only look (`envoy.verdicts`), in the filter state:

    lasting ─▶ fresh ─▶ choose: of what the two have noted, the first in rank that has not ended ─▶ act

A note ends by its own time: Envoy's clock is asked, for each request that has one, though nobody is left who could take it back.
`docs/explanation/enforcement.md` has the measurements.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from seawall.envoy import cel
from seawall.envoy.proto import pack

_HTTP = "envoy.extensions.filters.http."
_COMPOSITE = f"{_HTTP}composite.v3.Composite"
_EXECUTE = f"{_HTTP}composite.v3.ExecuteFilterAction"
_STATE = f"{_HTTP}set_filter_state.v3.Config"
_MUTATION = f"{_HTTP}header_mutation.v3.HeaderMutation"
_FAULT = f"{_HTTP}fault.v3.HTTPFault"
_LIMIT = f"{_HTTP}local_ratelimit.v3.LocalRateLimit"
_RESPONSE = f"{_HTTP}custom_response.v3.CustomResponse"
_LOCAL_RESPONSE = "envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy"
_STATUS_INPUT = "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"
_LOCAL_INPUT = "envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput"
_STATE_INPUT = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"

SLOTS: Final = ("lasting", "fresh")
"""Where verdicts are noted: the many that stay, and the few that are new, so that a new one does not cost all the others."""
REF_HEADER = "x-seawall-ref"
"""On every refused answer: the id of the verdict."""
TAG_HEADER = "x-seawall-tag"
"""On a tagged request, for the backend: the id of the verdict."""
ENFORCE_PCT = "seawall.enforce_pct"
"""The switch of the runtime layer: of how many per cent of the requests verdicts are acted upon. 0: all is only watched."""
CODES: Final = (401, 402, 403, 404, 410, 429, 451, 503)
"""What a refusal may answer."""
USUAL_CODE: Final = 403
LONGEST_DELAY_MS: Final = 10_000
MOST_DELAYED: Final = 500
"""So many requests are held back at a time; further ones are refused at once."""
MOST_DELAYED_KEY: Final = "seawall.tarpit_most"
"""In the runtime layer, instead of that number."""
BURSTS: Final = (1, 2, 3, 5, 10, 20, 50, 100)
"""How many seconds' worth of its rate a limit may save up."""
FILL: Final = 10_000_000
"""Tokens a second in every bucket of a limit. What a request costs makes the rate: the filter is the same for all of them."""
RANKS: Final = {
    "override": "0",  # a person's refusal, before all that is allowed
    "allow": "1",
    "drop": "2",
    "deny": "3",
    "labyrinth": "4",
    "tarpit": "5",
    "challenge": "6",
    "limit": "7",
    "tag": "8",
}
"""The order in which verdicts win, as the first character of what is noted to do."""
NOTE: Final = "seawall.verdict"
_BUCKETS: Final = {"shared": 20_000, "each": 100_000}
"""Buckets at most. One that was pushed out comes back full, so there is room for many more than behave badly at a time."""
_LATER: Final = (429, 503)
_RETRY_AFTER: Final = "30"
_ID: Final = f"%FILTER_STATE({NOTE}.id:PLAIN)%"
_NUMBER: Final = f"%FILTER_STATE({NOTE}.number:PLAIN)%"


def note(slot: str, field: str) -> str:
    """Name a value in the filter state."""
    return f"{NOTE}.{slot}.{field}"


# ── what is noted to do ──────────────────────────────────────────────────────────────────────────────────────────


def refuse(kind: str, code: int) -> str:
    """Name a refusal; unless it is the usual one, the number beside it is the code."""
    name = "refuse" if code == USUAL_CODE else "later" if code in _LATER else "coded"
    return f"{RANKS[kind]}{name}"


def tarpit() -> str:
    """Name what holds a refusal back; the number beside it is how many milliseconds."""
    return f"{RANKS['tarpit']}tarpit"


def limit(scope: str) -> str:
    """Name a limit, `shared` by all requests of the verdict or for `each` client; the number beside it is what a request costs,
    and `burst` is one of `BURSTS`."""
    return f"{RANKS['limit']}{scope}"


def tag() -> str:
    return f"{RANKS['tag']}tag"


def allow() -> str:
    return f"{RANKS['allow']}allow"


# ── the two filters ──────────────────────────────────────────────────────────────────────────────────────────────


@cache
def choose() -> dict[str, Any]:
    """Build the filter that chooses among what was noted. A request without a note costs it two looks."""
    cases = []
    for rank in RANKS.values():
        for slot in reversed(SLOTS):
            is_it = {"and_matcher": {"predicate": [_has(slot, rank), _is_alive(slot)]}}
            cases.append(_case(is_it, _action({"filter_chain_name": slot, "sample_percent": _ENFORCED})))
    ranked = pack(
        _COMPOSITE,
        {"matcher": _first(cases), "named_filter_chains": {slot: {"typed_config": [_copy(slot)]} for slot in SLOTS}},
    )
    untils = {_until(slot): f"%FILTER_STATE({note(slot, 'until')}:PLAIN)%" for slot in SLOTS}
    removed = {"mutations": {"request_mutations": [{"remove": name} for name in untils]}}
    steps = [
        # CEL has values of the filter state as bytes and cannot read a moment out of them; out of a header it can.
        {"name": "until", "typed_config": pack(_MUTATION, _requests(untils))},
        {"name": "ranked", "typed_config": ranked},
        {"name": "until", "typed_config": pack(_MUTATION, removed)},
    ]
    has_any = {"or_matcher": {"predicate": [_has(slot) for slot in SLOTS]}}
    noted = _case(has_any, _action({"filter_chain": {"typed_config": steps}}))
    return pack(_COMPOSITE, {"matcher": _first([noted])})


def _until(slot: str) -> str:
    # Two names that are stripped at the door anyway: each one more costs every request.
    return {"lasting": REF_HEADER, "fresh": TAG_HEADER}[slot]


_ENFORCED = {"default_value": {"numerator": 100}, "runtime_key": ENFORCE_PCT}


def _copy(slot: str) -> dict[str, Any]:
    values = [
        _value(f"{NOTE}.{field}", f"%FILTER_STATE({note(slot, field)}:PLAIN)%")
        for field in ("do", "id", "number", "burst")
    ]
    return {"name": "chosen", "typed_config": pack(_STATE, {"on_request_headers": values})}


@cache
def act() -> dict[str, Any]:
    """Build the filter that acts. Its buckets stay, whatever verdicts come and go."""
    chains = {
        "refuse": [_words(), _abort(USUAL_CODE)],
        "coded": [_words(), _told_code(), _abort()],
        "later": [_words(_RETRY_AFTER), _told_code(), _abort()],
        "tarpit": [_words(_RETRY_AFTER), _told_delay(), _held(), _abort()],
        "tag": [{"name": "tag", "typed_config": pack(_MUTATION, _requests({TAG_HEADER: _ID}))}],
        **{scope: [_words(_RETRY_AFTER), _told_keys(), _limited(scope), _forgotten_keys()] for scope in _BUCKETS},
    }
    # What is allowed is in none, and passes.
    refusals = ("override", "drop", "deny", "labyrinth", "challenge")
    kinds = {"refuse": refusals, "coded": refusals, "later": refusals, "shared": ("limit",), "each": ("limit",)}
    done = {
        f"{RANKS[kind]}{chain}": _action({"filter_chain_name": chain})
        for chain in chains
        for kind in kinds.get(chain, (chain,))
    }
    tree = {"input": _state_input(f"{NOTE}.do"), "exact_match_map": {"map": done}}
    named = {chain: {"typed_config": steps} for chain, steps in chains.items()}
    return pack(_COMPOSITE, {"matcher": {"matcher_tree": tree}, "named_filter_chains": named})


# ── what they run ────────────────────────────────────────────────────────────────────────────────────────────────


def _told_code() -> dict[str, Any]:
    return {"name": "code", "typed_config": pack(_MUTATION, _requests({"x-envoy-fault-abort-request": _NUMBER}))}


def _told_delay() -> dict[str, Any]:
    said = {"x-envoy-fault-delay-request": _NUMBER, "x-envoy-fault-abort-request": "429"}
    return {"name": "delay", "typed_config": pack(_MUTATION, _requests(said))}


_COUNTED: Final = {"burst": TAG_HEADER, "verdict": REF_HEADER}
"""What is counted by, in headers while it is: a limit's key can be no value of the filter state."""


def _told_keys() -> dict[str, Any]:
    said = {_COUNTED["verdict"]: _ID, _COUNTED["burst"]: f"%FILTER_STATE({NOTE}.burst:PLAIN)%"}
    return {"name": "keys", "typed_config": pack(_MUTATION, _requests(said))}


def _forgotten_keys() -> dict[str, Any]:
    removed = {"mutations": {"request_mutations": [{"remove": header} for header in _COUNTED.values()]}}
    return {"name": "keys", "typed_config": pack(_MUTATION, removed)}


_WHOLLY = {"percentage": {"numerator": 100}}


def _abort(code: int = 0) -> dict[str, Any]:
    how: dict[str, Any] = {"http_status": code} if code else {"header_abort": {}}
    config = {"abort": {**how, **_WHOLLY}, "disable_downstream_cluster_stats": True}
    return {"name": "refuse", "typed_config": pack(_FAULT, config)}


def _held() -> dict[str, Any]:
    """Hold back and refuse then; beyond so many at a time do nothing, so that the next filter refuses at once."""
    config = {
        # Both in one filter: one that goes on later does not go on to the next in its chain (measured).
        "delay": {"header_delay": {}, **_WHOLLY},
        "abort": {"header_abort": {}, **_WHOLLY},
        "max_active_faults": {"value": MOST_DELAYED},
        # A key of its own: with Envoy's, whoever lowers it would let pass what the next filter is to refuse.
        "max_active_faults_runtime": MOST_DELAYED_KEY,
        "disable_downstream_cluster_stats": True,
    }
    return {"name": "hold", "typed_config": pack(_FAULT, config)}


def _limited(scope: str) -> dict[str, Any]:
    """Build buckets for each verdict, or for each client of each verdict; one size for each length of burst."""
    actions: list[dict[str, Any]] = [
        {"request_headers": {"header_name": header, "descriptor_key": key}} for key, header in _COUNTED.items()
    ]
    keys = [{"key": "verdict"}]
    if scope == "each":
        masks = {"v4_prefix_mask_len": {"value": 32}, "v6_prefix_mask_len": {"value": 64}}
        actions.append({"masked_remote_address": masks})
        keys.append({"key": "masked_remote_address"})
    second: dict[str, Any] = {"fill_interval": {"seconds": 1}}
    always = {"default_value": {"numerator": 100}}
    # No values but the burst's: a bucket for each value that comes.
    sizes: list[dict[str, Any]] = [
        {
            "entries": [{"key": "burst", "value": str(burst)}, *keys],
            "token_bucket": {"max_tokens": FILL * burst, "tokens_per_fill": {"value": FILL}, **second},
        }
        for burst in BURSTS
    ]
    config = {
        "stat_prefix": f"verdict.{scope}",
        "status": {"code": 429},
        # The filter wants a bucket for requests that no descriptor fits; nothing is to be refused by it.
        "token_bucket": {"max_tokens": 10**9, "tokens_per_fill": {"value": 10**9}, **second},
        "filter_enabled": always,
        "filter_enforced": always,
        "always_consume_default_token_bucket": {"value": False},
        "rate_limits": [{"actions": actions, "hits_addend": {"format": _NUMBER}}],
        "descriptors": sizes,
        "max_dynamic_descriptors": {"value": _BUCKETS[scope]},
        "enable_x_ratelimit_headers": "OFF",
    }
    return {"name": "limit", "typed_config": pack(_LIMIT, config)}


def _words(retry_after: str = "") -> dict[str, Any]:
    """Answer with the id, in a header and in words."""
    headers = {REF_HEADER: _ID, "cache-control": "no-store", **({"retry-after": retry_after} if retry_after else {})}
    words = f"This request was refused. Reference: {_ID}\n"
    response = {
        "body_format": {"text_format_source": {"inline_string": words}, "content_type": "text/plain; charset=utf-8"},
        "response_headers_to_add": [_header(name, value) for name, value in headers.items()],
        "preserve_response_code_details": True,
    }
    # A limit lets most requests pass, to a route perhaps that answers by itself: that is a local answer, too.
    ours = [_response_is(_STATUS_INPUT, one) for one in ((*map(str, _LATER),) if retry_after else (*map(str, CODES),))]
    matched = {"and_matcher": {"predicate": [_response_is(_LOCAL_INPUT, "true"), {"or_matcher": {"predicate": ours}}]}}
    action = {"action": {"name": "words", "typed_config": pack(_LOCAL_RESPONSE, response)}}
    matcher = {"custom_response_matcher": _first([_case(matched, action)])}
    return {"name": "words", "typed_config": pack(_RESPONSE, matcher)}


def _response_is(kind: str, value: str) -> dict[str, Any]:
    return {
        "single_predicate": {"input": {"name": "response", "typed_config": pack(kind)}, "value_match": {"exact": value}}
    }


def _requests(headers: dict[str, str]) -> dict[str, Any]:
    return {"mutations": {"request_mutations": [{"append": _header(name, value)} for name, value in headers.items()]}}


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


# ── matchers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_alive(slot: str) -> dict[str, Any]:
    """Ask the clock."""
    until = cel.call("_[_]", cel.name("request.headers"), cel.text(_until(slot)))
    return cel.predicate(cel.call("_<_", cel.name("request.time"), cel.call("timestamp", until)))


def _has(slot: str, rank: str = "") -> dict[str, Any]:
    match = {"prefix": rank} if rank else {"safe_regex": {"google_re2": {}, "regex": ".+"}}
    return {"single_predicate": {"input": _state_input(note(slot, "do")), "value_match": match}}


def _first(cases: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"matcher_list": {"matchers": list(cases)}}


def _case(predicate: dict[str, Any], on_match: dict[str, Any]) -> dict[str, Any]:
    return {"predicate": predicate, "on_match": on_match}


def _state_input(key: str) -> dict[str, Any]:
    return {"name": "note", "typed_config": pack(_STATE_INPUT, {"key": key})}


def _value(key: str, content: str) -> dict[str, Any]:
    return {
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": content}, "omit_empty_values": True},
    }


def _action(fields: dict[str, Any]) -> dict[str, Any]:
    return {"action": {"name": "act", "typed_config": pack(_EXECUTE, fields)}}
