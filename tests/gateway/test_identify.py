"""Which documents are ours, and what is said of those that are not."""

from typing import Any

import pytest

from seawall.gateway.decode import decode
from seawall.gateway.identify import identity
from seawall.gateway.objects import Object
from seawall.gateway.status import Problem


def problems(document: object) -> tuple[Problem, ...]:
    decoded = decode(document)
    assert not isinstance(decoded, Object)
    return decoded


@pytest.mark.parametrize(
    ("document", "path", "message", "hint"),
    [
        ([], "$", "not a list", "lines with ---"),
        ("text", "$", "not a single value", "lines with ---"),
        ({"kind": "Secret"}, "$", "'apiVersion' is missing", "Add it"),
        ({"apiVersion": "v1"}, "$", "'kind' is missing", "Add it"),
        ({"apiVersion": 1, "kind": "Secret"}, "$.apiVersion", "must be text", "quotes"),
        (
            {"apiVersion": "gateway.networking.k8s.io/v1beta2", "kind": "HTTPRoute"},
            "$.apiVersion",
            "no version 'v1beta2'",
            "apiVersion: gateway.networking.k8s.io/v1.",
        ),
        (
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HttpRout"},
            "$.kind",
            "'HttpRout' is unknown",
            "'HTTPRoute'",
        ),
        (
            {"apiVersion": "seawall.dev/v1alpha1", "kind": "Zzz"},
            "$.kind",
            "'Zzz' is unknown",
            "group: AccessPolicy, Backend, HTTPFilterPolicy, ListenerPolicy, Perimeter, ProtectionPolicy, RateLimitPolicy, "
            "TrafficPolicy.",
        ),
        ({"apiVersion": "v1", "kind": "HTTPRoute"}, "$.apiVersion", "no HTTPRoute in v1", "gateway.networking"),
        (
            {"apiVersion": "networking.k8s.io/v1", "kind": "Gateway"},
            "$.apiVersion",
            "no Gateway in",
            "gateway.networking",
        ),
        ({"apiVersion": "gateway.networking.k8s.oi/v1", "kind": "X"}, "$.apiVersion", "API group", "Did you mean"),
        (
            {"apiVersion": "gateway.networking.k8s.oi/v1", "kind": "Gateway"},
            "$.apiVersion",
            "API group",
            "Write apiVersion: gateway.networking.k8s.io/v1.",
        ),
    ],
)
def test_what_cannot_be_identified_is_an_error(document: Any, path: str, message: str, hint: str) -> None:
    (problem,) = problems(document)

    assert (problem.path, problem.severity) == (path, "error")
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}, "apiVersion: gateway.networking.k8s.io/v1"),
        ({"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}, ""),
        ({"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend"}, "Use Backend"),
        ({"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XMesh"}, "no mesh"),
    ],
)
def test_what_belongs_to_others_is_a_warning(document: Any, hint: str) -> None:
    (problem,) = problems(document)

    assert problem.severity == "warning"
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("version", "kind"),
    [("apps/v1", "Deployment"), ("v1", "Pod"), ("rbac.authorization.k8s.io/v1", "Role"), ("discovery.k8s.io/v1", "X")],
)
def test_what_only_kubernetes_needs_is_passed_over(version: str, kind: str) -> None:
    assert problems({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}) == ()


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"metadata": {"name": "a"}}, "HTTPRoute/default/a"),
        ({"metadata": {"name": "a", "namespace": "b"}, "spec": 1}, "HTTPRoute/b/a"),
        ({"metadata": {"name": 1}}, None),
        ({"metadata": []}, None),
        ({"kind": "Nothing", "metadata": {"name": "a"}}, None),
    ],
)
def test_identity_is_seen_even_if_the_rest_is_wrong(document: dict[str, Any], key: str | None) -> None:
    head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}

    assert identity(head | document) == key


def test_identity_of_no_mapping_is_none() -> None:
    assert identity([]) is None
    assert identity({"apiVersion": 1}) is None
