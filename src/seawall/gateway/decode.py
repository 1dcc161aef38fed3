"""Decode: one document of plain JSON data → a strictly decoded Object, or everything that is wrong with it.

Pure. The fast way is two conversions and the rules (some 10 µs a route); only a document that fails is looked at closely.
Next room: `seawall.source` keeps the objects, `gateway.resolve` relates them.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from seawall.gateway import identify
from seawall.gateway.graph import ObjectKey
from seawall.gateway.mistakes import child, from_conversion, mistakes, without_nulls
from seawall.gateway.objects import Meta, Object
from seawall.gateway.resources.core import NAMESPACE_NAME_LABEL, ConfigMapSpec, SecretSpec
from seawall.gateway.resources.kinds import Shape
from seawall.gateway.resources.scalars import timestamp
from seawall.gateway.rules import names, table
from seawall.gateway.rules.rule import Finding, Findings
from seawall.gateway.status import Problem
from seawall.gateway.wire import RawConfigMap, RawSecret, config_map, secret
from seawall.kit.units import Instant

_TOP: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_RAW: Final[Mapping[type[msgspec.Struct], type[msgspec.Struct]]] = {SecretSpec: RawSecret, ConfigMapSpec: RawConfigMap}


class _Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What may stand in `metadata`. Of what only the API server writes, we take the creation time."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    creation_timestamp: str | None = None
    deletion_grace_period_seconds: Any = None
    deletion_timestamp: Any = None
    finalizers: Any = None
    generate_name: Any = None
    generation: Any = None
    managed_fields: Any = None
    owner_references: Any = None
    resource_version: Any = None
    self_link: Any = None
    uid: Any = None


def decode(document: object) -> Object | tuple[Problem, ...]:
    """Decode a document. No problems and no object: it is of a kind that Kubernetes needs and we do not."""
    try:
        return _decode(document)
    except RecursionError:
        return (Problem(object=ObjectKey(""), path="$", message="It is nested too deeply.", hint="Flatten it."),)


def _decode(document: object) -> Object | tuple[Problem, ...]:
    shape = identify.shape_of(document)
    if shape is None:
        return identify.why_not(document)
    assert isinstance(document, dict)
    try:
        metadata, spec = _convert(document, shape)
    except (msgspec.ValidationError, KeyError):
        document = without_nulls(document)
        assert isinstance(document, dict)
        try:
            metadata, spec = _convert(document, shape)
        except (msgspec.ValidationError, KeyError) as error:
            return _problems(document, shape, _explain(document, shape, error))
    findings = _check_top(document, shape)
    created = _check_metadata(metadata, shape, findings)
    spec = _finish(spec, findings)
    if not findings:
        findings = table.check(spec)
        if not findings:
            return Object(kind=shape.kind, meta=_meta(metadata, shape, created), spec=spec)
    return _problems(document, shape, findings)


def _convert(document: dict[str, Any], shape: Shape) -> tuple[_Metadata, msgspec.Struct]:
    metadata = msgspec.convert(document["metadata"], _Metadata)
    body = document if shape.is_flat else document["spec"]
    return metadata, msgspec.convert(body, _RAW.get(shape.spec, shape.spec))


def _finish(spec: msgspec.Struct, findings: Findings) -> msgspec.Struct:
    if isinstance(spec, RawSecret):
        return secret(spec, findings)
    if isinstance(spec, RawConfigMap):
        return config_map(spec, findings)
    return spec


def _meta(metadata: _Metadata, shape: Shape, created: Instant) -> Meta:
    labels = metadata.labels
    if shape.kind == "Namespace":
        labels = {**labels, NAMESPACE_NAME_LABEL: metadata.name}
    return Meta(
        name=metadata.name,
        namespace=(metadata.namespace or identify.DEFAULT_NAMESPACE) if shape.is_namespaced else "",
        labels=labels,
        annotations=metadata.annotations,
        created=created,
    )


# ── what conversion does not see ─────────────────────────────────────────────────────────────────────────────────


def _check_top(document: dict[str, Any], shape: Shape) -> Findings:
    if shape.is_flat or shape.group == "" or document.keys() <= _TOP:
        return []
    return [
        Finding(
            path=child("$", str(key)),
            message=f"The field {str(key)!r} is unknown.",
            hint="It probably belongs into spec: indent it below.",
        )
        for key in document
        if key not in _TOP
    ]


def _check_metadata(metadata: _Metadata, shape: Shape, findings: Findings) -> Instant:
    _check_names(metadata, shape, findings)
    if metadata.labels:
        names.check_keys(metadata.labels, "$.metadata.labels", "label", findings)
        for key, value in metadata.labels.items():
            if not names.is_label_value(value):
                message = f"{value[:80]!r} is no label value: at most 63 letters, digits, '-', '_' and '.'."
                hint = "Shorten it, or make it an annotation."
                findings.append(Finding(path=child("$.metadata.labels", key), message=message, hint=hint))
    if metadata.annotations:
        names.check_keys(metadata.annotations, "$.metadata.annotations", "annotation", findings)
    if metadata.creation_timestamp is None:
        return Instant(0.0)
    created = timestamp(metadata.creation_timestamp)
    if created is None:
        message = f"{metadata.creation_timestamp[:80]!r} is no time."
        hint = "Write it as 2026-01-31T12:00:00Z, or leave it out."
        findings.append(Finding(path="$.metadata.creationTimestamp", message=message, hint=hint))
    return created or Instant(0.0)


def _check_names(metadata: _Metadata, shape: Shape, findings: Findings) -> None:
    is_label = shape.kind in ("Namespace", "Service")
    if not (names.is_dns_label(metadata.name) if is_label else names.is_subdomain(metadata.name)):
        wanted = (
            "1 to 63 lower-case letters, digits and '-'"
            if is_label
            else "1 to 253 lower-case letters, digits, '-' and '.'"
        )
        message = f"{metadata.name[:80]!r} is no name of a {shape.kind}: {wanted}, with a letter or digit at both ends."
        findings.append(Finding(path="$.metadata.name", message=message, hint="Rename it."))
    if metadata.namespace and not shape.is_namespaced:
        message = f"A {shape.kind} has no namespace."
        findings.append(Finding(path="$.metadata.namespace", message=message, hint="Remove the field."))
    elif metadata.namespace and not names.is_dns_label(metadata.namespace):
        message = f"{metadata.namespace[:80]!r} is no name of a namespace: 1 to 63 lower-case letters, digits and '-'."
        findings.append(Finding(path="$.metadata.namespace", message=message, hint="Correct it."))


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────


def _explain(document: dict[str, Any], shape: Shape, error: Exception) -> Findings:
    is_secret = shape.kind == "Secret"
    findings: Findings = []
    if "metadata" in document:
        findings += mistakes(document["metadata"], _Metadata, "$.metadata")
    else:
        findings.append(
            Finding(path="$", message="The required field 'metadata' is missing.", hint="Add metadata.name.")
        )
    if shape.is_flat:
        findings += mistakes(document, _RAW.get(shape.spec, shape.spec), "$", is_secret=is_secret)
    elif "spec" in document:
        findings += mistakes(document["spec"], shape.spec, "$.spec")
    else:
        findings.append(Finding(path="$", message="The required field 'spec' is missing.", hint="Add spec."))
    findings += _check_top(document, shape)
    if not findings and isinstance(error, msgspec.ValidationError):
        findings.append(from_conversion(error, "$"))
    return findings


def _problems(document: dict[str, Any], shape: Shape, findings: Findings) -> tuple[Problem, ...]:
    key = identify.key_of(document, shape)
    return tuple(Problem(object=key, path=f.path, message=f.message, hint=f.hint) for f in findings)
