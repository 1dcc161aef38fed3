"""Rules for BackendTLSPolicy and XBackendTrafficPolicy.

Pure.
"""

from typing import Final

from seawall.gateway.resources.policies import (
    BackendTLSPolicySpec,
    BackendTLSPolicyValidation,
    RetryConstraint,
    SubjectAltName,
    XBackendTrafficPolicySpec,
)
from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.rules.filters import SESSION
from seawall.gateway.rules.rule import Finding, Findings, Rule, run
from seawall.gateway.rules.unique import no_repeats

_Targets = tuple[LocalPolicyTargetReferenceWithSectionName, ...]


def _targets_told_apart(targets: _Targets, at: str, findings: Findings) -> None:
    whole: dict[tuple[str, str, str], bool] = {}
    seen: set[tuple[str, str, str, str | None]] = set()
    for index, target in enumerate(targets):
        who = (target.group, target.kind, target.name)
        is_whole = target.section_name is None
        if (*who, target.section_name) in seen:
            message = f"The {target.kind} {target.name!r} is targeted twice with the same sectionName."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint="Remove one of the two."))
        elif whole.setdefault(who, is_whole) != is_whole:
            message = f"The {target.kind} {target.name!r} is targeted both as a whole and by sectionName."
            hint = "Give sectionName to all of these targets or to none."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint=hint))
        seen.add((*who, target.section_name))


TARGETS: Final[tuple[Rule[_Targets], ...]] = (
    Rule(
        check=_targets_told_apart,
        quotes=(
            "sectionName must be specified when targetRefs includes 2 or more references to the same target",
            "sectionName must be unique when targetRefs includes 2 or more references to the same target",
        ),
    ),
)


def _one_kind_of_trust(validation: BackendTLSPolicyValidation, at: str, findings: Findings) -> None:
    has_refs, has_name = bool(validation.ca_certificate_refs), validation.well_known_ca_certificates is not None
    if has_refs and has_name:
        message = "caCertificateRefs and wellKnownCACertificates exclude each other."
        findings.append(Finding(path=f"{at}.wellKnownCACertificates", message=message, hint="Remove one of the two."))
    if not has_refs and not has_name:
        message = "Nothing says which certificate authorities to trust."
        hint = "Add caCertificateRefs, or wellKnownCACertificates: System."
        findings.append(Finding(path=at, message=message, hint=hint))


VALIDATION: Final[tuple[Rule[BackendTLSPolicyValidation], ...]] = (
    Rule(
        check=_one_kind_of_trust,
        quotes=(
            "must not contain both CACertificateRefs and WellKnownCACertificates",
            "must specify either CACertificateRefs or WellKnownCACertificates",
        ),
    ),
)


def _name_fits_type(name: SubjectAltName, at: str, findings: Findings) -> None:
    for kind, field, value in (("Hostname", "hostname", name.hostname), ("URI", "uri", name.uri)):
        if value is None and name.type == kind:
            message = f"A subject alternative name of type {kind} needs the field {field}."
            findings.append(Finding(path=at, message=message, hint=f"Add {field}."))
        if value is not None and name.type != kind:
            message = f"A subject alternative name of type {name.type} must not have the field {field}."
            findings.append(Finding(path=f"{at}.{field}", message=message, hint=f"Set type to {kind}, or remove it."))


SUBJECT_ALT_NAME: Final[tuple[Rule[SubjectAltName], ...]] = (
    Rule(
        check=_name_fits_type,
        quotes=(
            "SubjectAltName element must contain Hostname, if Type is set to Hostname",
            "SubjectAltName element must not contain Hostname, if Type is not set to Hostname",
            "SubjectAltName element must contain URI, if Type is set to URI",
            "SubjectAltName element must not contain URI, if Type is not set to URI",
        ),
    ),
)


def _intervals(retry: RetryConstraint, at: str, findings: Findings) -> None:
    if not 1 <= seconds(retry.budget.interval) <= 3600:
        message = f"The interval {retry.budget.interval} is not between one second and one hour."
        findings.append(Finding(path=f"{at}.budget.interval", message=message, hint="Use 1s to 1h."))
    rate = retry.min_retry_rate.interval
    if rate is not None and not 0 < seconds(rate) <= 3600:
        message = f"The interval {rate} is not greater than zero and at most one hour."
        findings.append(Finding(path=f"{at}.minRetryRate.interval", message=message, hint="Use up to 1h."))


RETRY_CONSTRAINT: Final[tuple[Rule[RetryConstraint], ...]] = (
    Rule(
        check=_intervals,
        quotes=(
            "interval cannot be greater than one hour or less than one second",
            "interval cannot be greater than one hour",
        ),
    ),
)


def backend_tls_policy(spec: BackendTLSPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    run(VALIDATION, spec.validation, "$.spec.validation", findings)
    for index, name in enumerate(spec.validation.subject_alt_names):
        run(SUBJECT_ALT_NAME, name, f"$.spec.validation.subjectAltNames[{index}]", findings)


def backend_traffic_policy(spec: XBackendTrafficPolicySpec, findings: Findings) -> None:
    targets = [(ref.group, ref.kind, ref.name) for ref in spec.target_refs]
    no_repeats(targets, "$.spec.targetRefs", "target", findings)
    if spec.retry_constraint is not None:
        run(RETRY_CONSTRAINT, spec.retry_constraint, "$.spec.retryConstraint", findings)
    if spec.session_persistence is not None:
        run(SESSION, spec.session_persistence, "$.spec.sessionPersistence", findings)
