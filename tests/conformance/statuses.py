"""Statuses: is what an object says of itself what a step wants?

Pure. Each function returns what is wrong, as sentences that name the expected and the actual.
"""

from collections.abc import Iterable

from tests.conformance.data import Json

_GROUP = "gateway.networking.k8s.io"


def problems(step: Json, obj: Json | None, controller: str) -> list[str]:
    """Compare an object with a step of a type that looks at one object."""
    if obj is None:
        return ["the object is not there"]
    status = obj.get("status") or {}
    match step["type"]:
        case "address":
            return _address(step, status)
        case "status" if "parent" in step:
            return _parents(step, obj, status.get("parents") or [], controller)
        case "status" if "ancestor" in step:
            return _ancestors(step, obj, status.get("ancestors") or [])
        case "status" if step.get("no_accepted_parents"):
            return _refused(obj, status.get("parents") or [])
        case "status":
            return _plain(step, obj, status.get("conditions") or [])
        case "listeners":
            return _listeners(step, obj, status.get("listeners") or [])
        case "attached_routes":
            return _attached_routes(step, obj, status.get("listeners") or [])
        case "attached_listener_sets":
            found = status.get("attachedListenerSets") or 0
            wrong = [] if found == step["count"] else [f"attachedListenerSets is {found}, expected {step['count']}"]
            return wrong + _stale(step, obj, status.get("conditions") or [])
        case other:
            return [f"a step of the type {other} does not look at one object"]


def ready(gateway: Json | None) -> list[str]:
    """Say why a Gateway is not ready: conditions that are current, accepted and programmed."""
    wanted = [{"type": kind, "status": "True", "reason": None} for kind in ("Accepted", "Programmed")]
    step = {"type": "status", "conditions": wanted, "observed_generation": True}
    return problems(step, gateway, "")


def address_of(gateway: Json | None) -> str | None:
    """Return where to dial: the first address with a type."""
    addresses = ((gateway or {}).get("status") or {}).get("addresses") or []
    return next((entry["value"] for entry in addresses if entry.get("type")), None)


def missing(wanted: Iterable[Json], conditions: list[Json]) -> list[str]:
    """Say which wanted conditions are not in a list. A null status or reason fits any."""
    return [_lacking(want, conditions) for want in wanted if not any(_fits(want, have) for have in conditions)]


def outdated(obj: Json, conditions: Iterable[Json]) -> list[str]:
    """Say which conditions are of an older generation."""
    now = obj["metadata"].get("generation")
    return [
        f"{condition['type']} has observedGeneration {condition.get('observedGeneration')}, the object is at {now}"
        for condition in conditions
        if condition.get("observedGeneration") != now
    ]


def _fits(want: Json, have: Json) -> bool:
    return all(want[field] is None or have.get(field) == want[field] for field in ("type", "status", "reason"))


def _lacking(want: Json, conditions: list[Json]) -> str:
    actual = next((have for have in conditions if have["type"] == want["type"]), None)
    got = f"{actual['status']}/{actual['reason']} ({actual.get('message', '')})" if actual else "no such condition"
    return f"{want['type']}: expected {want['status'] or 'any'}/{want['reason'] or 'any'}, got {got}"


def _stale(step: Json, obj: Json, conditions: Iterable[Json]) -> list[str]:
    return outdated(obj, conditions) if step.get("observed_generation") else []


def _plain(step: Json, obj: Json, conditions: list[Json]) -> list[str]:
    if not conditions:
        return ["there are no conditions"]
    return missing(step.get("conditions", ()), conditions) + _stale(step, obj, conditions)


def _address(step: Json, status: Json) -> list[str]:
    found = [entry for entry in status.get("addresses") or [] if entry.get("type")]
    if "exact" in step:
        actual = [(entry["type"], entry["value"]) for entry in found]
        wanted = [(entry["type"], entry["value"]) for entry in step["exact"]]
        wrong = [] if sorted(actual) == sorted(wanted) else [f"addresses are {actual}, expected {wanted}"]
        return wrong + [f"{value} must not be an address" for _, value in actual if value in step.get("absent", ())]
    return [] if len(found) >= step["min"] else [f"{len(found)} addresses, expected at least {step['min']}"]


def _parents(step: Json, obj: Json, parents: list[Json], controller: str) -> list[str]:
    stale = _stale(step, obj, (condition for parent in parents for condition in parent.get("conditions") or []))
    if stale or step["parent"]["match"] == "all":
        return stale if parents else ["status.parents is empty"]
    found = [parent for parent in parents if _is_parent(step["parent"], parent, controller)]
    if not found:
        return [f"no fitting entry in status.parents: {[parent.get('parentRef') for parent in parents]}"]
    wrong = [missing(step.get("conditions", ()), parent.get("conditions") or []) for parent in found]
    return min(wrong, key=len)


def _is_parent(wanted: Json, parent: Json, controller: str) -> bool:
    ref = parent["parentRef"]
    has_namespace = ref.get("namespace") == wanted.get("namespace")
    if wanted["match"] == "full":
        return (
            parent.get("controllerName") == controller
            and (ref.get("group"), ref.get("kind"), ref.get("name"))
            == (wanted["group"], wanted["kind"], wanted["name"])
            and (has_namespace or ("namespace" not in ref and not wanted["namespace_required"]))
        )
    return ref.get("name") == wanted["name"] and (has_namespace or "namespace" not in ref)


def _ancestors(step: Json, obj: Json, ancestors: list[Json]) -> list[str]:
    stale = _stale(step, obj, (condition for one in ancestors for condition in one.get("conditions") or []))
    wanted = step["ancestor"]
    if stale or wanted["match"] == "all":
        return stale if ancestors else ["status.ancestors is empty"]
    found = [
        one
        for one in ancestors
        if one["ancestorRef"].get("name") == wanted["name"]
        and one["ancestorRef"].get("namespace", wanted.get("namespace")) == wanted.get("namespace")
    ]
    if not found:
        return [f"no fitting entry in status.ancestors: {[one.get('ancestorRef') for one in ancestors]}"]
    return min((missing(step.get("conditions", ()), one.get("conditions") or []) for one in found), key=len)


def _refused(obj: Json, parents: list[Json]) -> list[str]:
    if not parents:
        return []
    if len(parents) > 1:
        return [f"status.parents has {len(parents)} entries, expected none or one that is refused"]
    conditions = parents[0].get("conditions") or []
    wanted = {"type": "Accepted", "status": "False", "reason": None}
    return missing([wanted], conditions) + outdated(obj, conditions)


def _listeners(step: Json, obj: Json, listeners: list[Json]) -> list[str]:
    by_name = {listener["name"]: listener for listener in listeners}
    parent_stale = _stale(step, obj, (obj.get("status") or {}).get("conditions") or [])
    stale = _stale(step, obj, (condition for one in listeners for condition in one.get("conditions") or []))
    wrong = parent_stale + stale
    if step["exact"]:
        wanted = {listener["name"]: listener for listener in step["listeners"]}
        if set(wanted) != set(by_name):
            return [*wrong, f"status.listeners has {sorted(by_name)}, expected {sorted(wanted)}"]
        return wrong + [problem for name in wanted for problem in _listener(wanted[name], by_name[name])]
    names = list(by_name) if step["select"] == "all" else step["select"]
    if not names:
        # Upstream is content with none; then a step would be true of a Gateway that nobody has looked at.
        return [*wrong, "status.listeners is empty"]
    for name in names:
        if name not in by_name:
            wrong.append(f"listener {name} is not in status.listeners")
            continue
        found = missing(step["conditions"], by_name[name].get("conditions") or [])
        wrong += [f"listener {name}: {problem}" for problem in found]
    return wrong


def _listener(wanted: Json, actual: Json) -> list[str]:
    wrong = missing(wanted["conditions"], actual.get("conditions") or [])
    attached = actual.get("attachedRoutes") or 0
    if attached != wanted["attached_routes"]:
        wrong.append(f"attachedRoutes is {attached}, expected {wanted['attached_routes']}")
    have = {_kind(kind) for kind in actual.get("supportedKinds") or []}
    want = {_kind(kind) for kind in wanted["supported_kinds"]}
    if not want <= have or (not want and have):
        wrong.append(f"supportedKinds is {sorted(have)}, expected {sorted(want)}")
    return [f"listener {wanted['name']}: {problem}" for problem in wrong]


def _kind(kind: Json) -> tuple[str, str]:
    return kind.get("group") or _GROUP, kind["kind"]


def _attached_routes(step: Json, obj: Json, listeners: list[Json]) -> list[str]:
    wrong = _stale(step, obj, (condition for one in listeners for condition in one.get("conditions") or []))
    if listeners and (len(listeners) > 1 or listeners[0].get("attachedRoutes")):
        counts = {listener["name"]: listener.get("attachedRoutes") for listener in listeners}
        wrong.append(f"attachedRoutes is {counts}, expected one listener with none")
    return wrong
