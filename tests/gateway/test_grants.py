"""References across namespaces need a ReferenceGrant that fits in every part."""

from typing import Any

import pytest

from tests.gateway.world import edge, made, pair, resolved, route, rule, said, service

FITS: dict[str, Any] = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}


def _grant(source: dict[str, Any], target: dict[str, Any]) -> Any:
    return made("ReferenceGrant", "grant", {"spec": {"from": [source], "to": [target]}}, namespace="bank")


@pytest.mark.parametrize(
    ("source", "target", "is_granted"),
    [
        (FITS, {"group": "", "kind": "Service"}, True),
        (FITS, {"group": "", "kind": "Service", "name": "web"}, True),
        (FITS, {"group": "", "kind": "Service", "name": "other"}, False),
        (FITS, {"group": "", "kind": "Secret"}, False),
        (FITS, {"group": "seawall.dev", "kind": "Service"}, False),
        (FITS | {"namespace": "bank"}, {"group": "", "kind": "Service"}, False),
        (FITS | {"kind": "GRPCRoute"}, {"group": "", "kind": "Service"}, False),
        (FITS | {"group": "x.example"}, {"group": "", "kind": "Service"}, False),
    ],
)
def test_a_grant_must_fit(source: dict[str, Any], target: dict[str, Any], is_granted: bool) -> None:
    far = {"backendRefs": [{"name": "web", "namespace": "bank", "port": 80}]}

    world = resolved(*edge(), route("home", far), service("web", namespace="bank"), _grant(source, target))

    expected = ("True", "ResolvedRefs") if is_granted else ("False", "RefNotPermitted")
    assert said(world, "HTTPRoute/shop/home", "ResolvedRefs") == expected


def test_a_grant_that_goes_takes_effect_at_once() -> None:
    far = {"backendRefs": [{"name": "web", "namespace": "bank", "port": 80}]}
    grant = _grant(FITS, {"group": "", "kind": "Service"})
    world = resolved(
        *edge(), route("home", far, rule("near")), service("web", namespace="bank"), service("near"), grant
    )

    change = world.update(remove=[grant.key])

    assert {key.hostname for key in change.hosts} == {"*"}
    assert said(world, "HTTPRoute/shop/home", "ResolvedRefs") == ("False", "RefNotPermitted")


def test_a_certificate_of_another_namespace_needs_a_grant_for_gateways() -> None:
    listener = {"name": "a", "port": 443, "protocol": "HTTPS"}
    listener["tls"] = {"certificateRefs": [{"name": "pair", "namespace": "bank"}]}
    grant = _grant(FITS | {"kind": "Gateway"}, {"group": "", "kind": "Secret"})
    world = resolved(*edge(listener), pair(namespace="bank"))
    before = said(world, "Gateway/shop/edge", "ResolvedRefs", listener="a")

    world.update(put=[grant])

    assert before == ("False", "RefNotPermitted")
    assert said(world, "Gateway/shop/edge", "ResolvedRefs", listener="a") == ("True", "ResolvedRefs")
