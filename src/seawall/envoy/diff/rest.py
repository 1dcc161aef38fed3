"""The rest: runtime switches, discovered extensions, limits, and what nobody here understands. Pure."""

from seawall.envoy.diff.notes import Action, Notes
from seawall.envoy.diff.words import opened
from seawall.envoy.proto import as_json
from seawall.fleet.bundle import Limits
from seawall.xds.resource import Ref, Resource

_Origins = tuple[str, ...]


def runtime(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note which keys of Envoy's runtime differ. Raises DecodeError."""
    before, after = (as_json(opened(one)).get("layer", {}) if one is not None else {} for one in (old, new))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key):
            continue
        is_both = key in before and key in after
        action: Action = "changed" if is_both else "added" if key in after else "removed"
        detail = f"{before.get(key, 'Envoy’s default')} → {after.get(key, 'Envoy’s default')}."
        because = ("a switch is thrown: other code of Envoy runs", "R2")
        notes.add(("runtime", action), key, detail, ("R2", because[0]), (ref, origins))


def extension(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note that a filter's configuration, which Envoy discovers apart, differs."""
    detail = f"Digest {_digest(old)} → {_digest(new)}."
    because = ("R2", "a filter runs on every request of a listener")
    notes.add(("extension", _action(old, new)), ref.name, detail, ("R2", because[1]), (ref, origins))


def limits(old: Limits, new: Limits, notes: Notes) -> None:
    """Note limits that differ: Envoy reads them when it starts."""
    for name, label in (("max_heap", "maximum heap"), ("max_connections", "maximum connections")):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            detail = f"The {label} was {before or 'the default'} and becomes {after or 'the default'}: Envoy restarts."
            because = "limits belong to Envoy's start: every edge restarts it"
            notes.add(("limits", "changed"), label, detail, ("R3", because), (None, ()))


def unclassified(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note a difference that nobody here understands."""
    kind = ref.type_url.rsplit(".", 1)[-1]
    detail = f"This {kind} cannot be classified: {_digest(old)} → {_digest(new)}."
    notes.add(("other", _action(old, new)), ref.name, detail, ("R3", "it cannot be classified"), (ref, origins))


def _action(old: Resource | None, new: Resource | None) -> Action:
    return "added" if old is None else "removed" if new is None else "changed"


def _digest(resource: Resource | None) -> str:
    return resource.version[:12] if resource is not None else "nothing"
