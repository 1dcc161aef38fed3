"""Backends: clusters, endpoints and secrets. Pure."""

from typing import Any

from seawall.envoy.diff.notes import Action, Notes
from seawall.envoy.diff.words import differing, opened, plural, raw, some
from seawall.rollout.change import Risk
from seawall.rollout.guards.question import Emptied
from seawall.xds.resource import CLUSTER, ENDPOINTS, Ref, Resource, ResourceName

_Origins = tuple[str, ...]
_LEAST = 0.5
"""Of the endpoints; fewer that stay may not carry the load."""


def cluster(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note what differs between two clusters. Raises DecodeError."""
    because: tuple[Risk, str] = ("R1", "a backend comes, goes or is reached in another way")
    at = (ref, origins)
    if new is None:
        notes.add(("cluster", "removed"), ref.name, "Nothing is sent to it any more.", because, at)
        return
    after = opened(new)
    if not _has_budget(after):
        notes.unbudgeted.append(ref.name)
    if old is None:
        notes.add(("cluster", "added"), ref.name, "A new backend.", because, at)
        return
    fields = differing(opened(old), after)
    detail = (
        f"Its {some(fields)} {'changes' if len(fields) == 1 else 'change'}; connections to the backend are made anew."
    )
    notes.add(("cluster", "changed"), ref.name, detail, because, at)


def endpoints(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note which endpoints come and go. Raises DecodeError."""
    before, after = _members(old), _members(new)
    come, gone = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    said = [f"{some(come)} {'comes' if len(come) == 1 else 'come'}"] if come else []
    said += [f"{some(gone)} {'goes' if len(gone) == 1 else 'go'}"] if gone else []
    if any(after[one] != before[one] for one in after.keys() & before.keys()):
        said.append("weights or health change")
    detail = f"{'; '.join(said) or 'Only its settings change'}: {len(before)} → {plural(len(after), 'endpoint')}."
    risk: Risk = "R1"
    if not after and before:
        why = "a backend has no endpoints left"
        refs = (ref,) if old is not None else ()
        gap = Emptied(what="endpoints", name=ref.name, had=len(before), refs=refs, origins=origins)
        notes.emptied.append(gap)
    elif len(after) < _LEAST * len(before):
        why = "a backend loses more than half of its endpoints"
    elif not before and after:
        why = "a backend gets its first endpoints"
    else:
        why, risk = "endpoints within bounds", "R0"
    action: Action = "added" if old is None else "removed" if new is None else "changed"
    notes.add(("endpoints", action), ref.name, detail, (risk, why), (ref, origins))


def secret(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note that a secret differs, by its digest: nothing of it is shown."""
    because: tuple[Risk, str] = ("R1", "new handshakes use another certificate or trust")
    at = (ref, origins)
    if new is None:
        notes.add(("secret", "removed"), ref.name, "It is used no more.", because, at)
        return
    if old is not None and _trusts(old) and not _trusts(new):
        gone = Emptied(what="trust bundle", name=ref.name, had=1, refs=(ref,), origins=origins)
        notes.emptied.append(gone)
    if old is None:
        notes.add(("secret", "added"), ref.name, f"Digest {new.version[:12]}.", because, at)
        return
    detail = f"Digest {old.version[:12]} → {new.version[:12]}; connections that are open keep the old one."
    notes.add(("secret", "changed"), ref.name, detail, because, at)


def cluster_of(ref: Ref) -> Ref:
    """Name the cluster whose endpoints these are."""
    return Ref(CLUSTER, ref.name)


def endpoints_of(ref: Ref) -> Ref:
    return Ref(ENDPOINTS, ResourceName(ref.name))


def _members(resource: Resource | None) -> dict[str, bytes]:
    if resource is None:
        return {}
    found = {}
    for locality in opened(resource).endpoints:
        for member in locality.lb_endpoints:
            address = member.endpoint.address.socket_address
            found[f"{address.address}:{address.port_value}"] = raw(member)
    return found


def _has_budget(message: Any) -> bool:
    """Say whether retries are bounded by a share of what is under way."""
    return any(each.HasField("retry_budget") for each in message.circuit_breakers.thresholds)


def _trusts(resource: Resource) -> bool:
    message = opened(resource)
    return message.WhichOneof("type") == "validation_context" and bool(
        message.validation_context.trusted_ca.inline_bytes.strip()
    )
