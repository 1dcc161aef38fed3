"""Identify: of which kind a document is, what its object is called, and why it is none of ours.

Pure.
"""

from collections.abc import Mapping
from typing import Any, Final

from seawall.gateway.graph import ObjectKey
from seawall.gateway.mistakes import closest
from seawall.gateway.objects import object_key
from seawall.gateway.resources.kinds import IGNORED_CORE_KINDS, IGNORED_GROUPS, SHAPES, Shape
from seawall.gateway.resources.refs import EXPERIMENTAL_GROUP
from seawall.gateway.status import Problem

DEFAULT_NAMESPACE: Final = "default"

_BY_VERSION: Final[Mapping[tuple[str, str], Shape]] = {
    (f"{shape.group}/{version}" if shape.group else version, shape.kind): shape
    for shape in SHAPES.values()
    for version in shape.versions
}
_GROUPS: Final = frozenset(shape.group for shape in SHAPES.values())
_UNSUPPORTED: Final = {
    "XBackend": "Use Backend (seawall.dev/v1alpha1).",
    "XMesh": "Seawall serves no mesh.",
    "XListenerSet": "Use ListenerSet (gateway.networking.k8s.io/v1).",
}


def shape_of(document: object) -> Shape | None:
    """Look up the shape; None if the document is not of a kind and version that we take."""
    if not isinstance(document, dict):
        return None
    version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return None
    return _BY_VERSION.get((version, kind))


def identity(document: object) -> ObjectKey | None:
    """Name the object that a document is about, even if it is wrong inside; None if it does not say."""
    shape = shape_of(document)
    if shape is None or not isinstance(document, dict):
        return None
    name, _ = _name(document)
    return key_of(document, shape) if name else None


def key_of(document: dict[str, Any], shape: Shape) -> ObjectKey:
    name, namespace = _name(document)
    return object_key(shape.kind, (namespace or DEFAULT_NAMESPACE) if shape.is_namespaced else "", name)


def _name(document: dict[str, Any]) -> tuple[str, str]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return "", ""
    name, namespace = metadata.get("name"), metadata.get("namespace")
    return name if isinstance(name, str) else "", namespace if isinstance(namespace, str) else ""


def why_not(document: object) -> tuple[Problem, ...]:
    """Say why a document has no shape; nothing if it is one of Kubernetes' that means nothing to us."""
    if not isinstance(document, dict):
        what = "a list" if isinstance(document, list) else "a single value"
        message = f"A document must be a mapping with apiVersion, kind and metadata, not {what}."
        return (_problem(document, "$", message, "Separate documents by lines with ---."),)
    missing = [field for field in ("apiVersion", "kind") if not document.get(field)]
    if missing:
        hint = "Add it: every document starts with apiVersion and kind."
        return tuple(_problem(document, "$", f"The required field {name!r} is missing.", hint) for name in missing)
    wrong = [field for field in ("apiVersion", "kind") if not isinstance(document[field], str)]
    if wrong:
        return tuple(_problem(document, f"$.{name}", f"{name} must be text.", "Put it in quotes.") for name in wrong)
    return _why_unknown(document, document["apiVersion"], document["kind"])


def _why_unknown(document: dict[str, Any], api_version: str, kind: str) -> tuple[Problem, ...]:
    group, _, version = api_version.rpartition("/")
    shape = SHAPES.get(kind)
    if shape is not None and group == shape.group:
        versions = ", ".join(shape.versions)
        message = f"{kind} has no version {version[:80]!r}; it is served as {versions}."
        return (_problem(document, "$.apiVersion", message, f"Write apiVersion: {shape.api_version}."),)
    if group in IGNORED_GROUPS or (group == "" and kind in IGNORED_CORE_KINDS):
        if shape is None:
            return ()
        return (_wrong_group(document, api_version, shape),)
    if group not in _GROUPS:
        return (_unknown_group(document, api_version, group, shape),)
    if shape is not None:
        return (_wrong_group(document, api_version, shape),)
    if group == "discovery.k8s.io":
        return ()
    if group in (EXPERIMENTAL_GROUP, "gateway.networking.k8s.io") and kind in _UNSUPPORTED:
        message = f"Seawall does not support {kind}; it is passed over."
        return (_problem(document, "$.kind", message, _UNSUPPORTED[kind], is_warning=True),)
    near = closest(kind, SHAPES)
    known = ", ".join(sorted(name for name, known in SHAPES.items() if known.group == group))
    hint = f"Did you mean {near!r}?" if near else f"Kinds of this group: {known}."
    return (_problem(document, "$.kind", f"The kind {kind[:80]!r} is unknown in {api_version[:80]}.", hint),)


def _wrong_group(document: dict[str, Any], api_version: str, shape: Shape) -> Problem:
    message = f"There is no {shape.kind} in {api_version[:80]}."
    return _problem(document, "$.apiVersion", message, f"Write apiVersion: {shape.api_version}.")


def _unknown_group(document: dict[str, Any], api_version: str, group: str, shape: Shape | None) -> Problem:
    # networking.istio.io is no misspelt networking.k8s.io.
    near = closest(group, {shape.group for shape in SHAPES.values() if shape.group} | IGNORED_GROUPS, cutoff=0.9)
    if near:
        hint = f"Write apiVersion: {shape.api_version}." if shape is not None else f"Did you mean {near!r}?"
        return _problem(document, "$.apiVersion", f"The API group {group[:80]!r} is unknown.", hint)
    # Manifests of other products lie in the same folders; that stops nothing of ours.
    message = f"{api_version[:80]} is unknown to Seawall; the document is passed over."
    hint = f"If it is meant for Seawall, write apiVersion: {shape.api_version}." if shape is not None else ""
    return _problem(document, "$.apiVersion", message, hint, is_warning=True)


def _problem(document: object, path: str, message: str, hint: str, *, is_warning: bool = False) -> Problem:
    key = ObjectKey("")
    if isinstance(document, dict) and isinstance(document.get("kind"), str):
        name, namespace = _name(document)
        key = object_key(document["kind"][:80], namespace, name)
    return Problem(object=key, path=path, message=message, hint=hint, severity="warning" if is_warning else "error")
