"""Faults: changes for `bench.fire`, good ones and bad ones, as manifests that an operator could write.

Most bad ones sleep until a real client comes (a header that no probe sends): else the sandbox would have them all, and
nothing would be seen of the canary. What a client notices depends on the fault; a filter that fails in silence answers 200.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from tests.support.fleet import ORIGIN
from tests.support.manifests import backend, route, set_header, to
from tests.support.rolling import native

Json = dict[str, Any]
CLIENT = {"x-client": "1"}
"""What every client of the bench sends, and no probe."""
RARE = {**CLIENT, "x-rare": "1"}
_FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
_ABORT = "local ffi = require('ffi')\nffi.cdef[[void abort();]]\n"
_ON_CLIENT = [{"name": "x-client", "presentMatch": True}]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout: files to write; none: all tenants' routes are deleted. `pace` and `rate` (requests/s on the canary's cell)
    where a fault needs more to be seen than the others."""

    kind: str
    files: dict[str, list[Json]]
    is_bad: bool = False
    pace: float = 0.0
    rate: float = 0.0


def bad(number: int, pace: float) -> list[Change]:
    """List the bad ones. `pace`: how much faster than life the clocks go; "2 minutes" are scaled alike."""
    sleep = max(2.0, 120 * pace)
    lua = {
        "crash on the first request": f"{_ABORT}function envoy_on_request(h) ffi.C.abort() end",
        "crash on a rare header, after a while": f"{_ABORT}local born = os.time()\n"
        f"function envoy_on_request(h) if h:headers():get('x-rare') and os.time() - born > {sleep:.0f} then "
        "ffi.C.abort() end end",
        "memory leak": "leak = {}\nfunction envoy_on_request(h) if h:headers():get('x-client') then "
        "leak[#leak + 1] = string.rep(tostring(#leak) .. 'x', 131072) end end",
        "filter refused by Envoy (NACK)": "function envoy_on_request(h",
        "filter fails in silence (200)": "function envoy_on_request(h) if h:headers():get('x-client') then error('no') end end",
    }
    found = [_native(kind, f"bad-{number}", source) for kind, source in lua.items()]
    found.append(_fault("1 % more 5xx", number, {"abort": {"httpStatus": 503, "percentage": _percent(1)}}))
    found.append(_fault("slow filter", number, {"delay": {"fixedDelay": "1.2s", "percentage": _percent(100)}}))
    found.append(Change(kind="empty route table", files={}, is_bad=True))
    found[-3] = msgspec.structs.replace(found[-3], pace=max(pace, 0.2), rate=120.0)
    return found


def good(number: int) -> list[Change]:
    """List the good ones."""
    host = f"new-{number}.example"
    mark = f"function envoy_on_response(h) h:headers():add('x-mark', '{number}') end"
    changes: tuple[tuple[str, dict[str, list[Json]]], ...] = (
        ("new host", {f"new-{number % 4}": [route(f"new-{number % 4}", [host], [to("origin")])]}),
        ("route edited", {"t01": [route("t01", ["t01.example"], [to("origin", set_header("x-edit", str(number)))])]}),
        ("backend with another endpoint", {"spare": [_spare(number)]}),
        ("harmless filter", {"mark": native("mark", mark)}),
        ("path added", {"t02": [route("t02", ["t02.example"], [to("origin"), to("origin", path=f"/{number}")])]}),
    )
    return [Change(kind=kind, files=files) for kind, files in changes]


def _spare(number: int) -> Json:
    """Two endpoints, one of them new; the origin listens on every address of its host."""
    found = backend("spare", ORIGIN)
    found["spec"]["endpoints"].append({"ip": f"127.0.0.{2 + number}", "port": ORIGIN})
    return found


def _native(kind: str, name: str, source: str) -> Change:
    return Change(kind=kind, files={"bad": native(name, source)}, is_bad=True)


def _fault(kind: str, number: int, fault: Json) -> Change:
    policy = native(f"bad-{number}", "")
    policy[0]["spec"]["filters"] = [
        {"name": "fault", "typedConfig": {"@type": _FAULT, "headers": _ON_CLIENT, **fault}},
    ]
    return Change(kind=kind, files={"bad": policy}, is_bad=True)


def _percent(share: float) -> Json:
    return {"numerator": share, "denominator": "HUNDRED"}


def series(count: int, choose: Callable[[list[Change]], Change], pace: float) -> list[Change]:
    """Every third is bad; the bad ones take turns, so that each kind comes."""
    changes, turn = [], 0
    for number in range(count):
        if number % 3 == 2:
            kinds = bad(number, pace)
            changes.append(kinds[turn % len(kinds)])
            turn += 1
        else:
            changes.append(choose(good(number)))
    return changes
