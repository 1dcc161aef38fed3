"""References to certificates: what can be wrong with them, and what is done when it changes."""

import base64
from typing import Any

import pytest

from seawall.gateway.graph import ObjectKey, SecretName, TrustSecret
from seawall.kit.units import Instant
from tests.gateway.world import CERTIFICATE, KEY, edge, https, made, pair, problems, resolved, said, trust

EDGE = "Gateway/shop/edge"
FRONTEND = {"default": {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "trust"}]}}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "needs both"),
        ({"tls.crt": CERTIFICATE}, "needs both"),
        ({"tls.crt": CERTIFICATE, "tls.key": "no"}, "private key"),
        ({"tls.crt": "no", "tls.key": KEY}, "certificate"),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_with_the_reason(data: dict[str, str], words: str) -> None:
    world = resolved(*edge(https("a")), made("Secret", "pair", {"stringData": data}))

    assert said(world, EDGE, "ResolvedRefs", listener="a") == ("False", "InvalidCertificateRef")
    assert words in problems(world, EDGE)[0].message
    assert dict(world.graph.listeners) == {}


@pytest.mark.parametrize("body", [{"data": {}}, {"data": {"ca.crt": "no"}}])
def test_a_config_map_that_cannot_be_used_closes_the_listener(body: dict[str, Any]) -> None:
    world = resolved(*edge(https("a"), tls={"frontend": FRONTEND}), pair(), made("ConfigMap", "trust", body))

    assert said(world, EDGE, "Accepted", listener="a") == ("False", "NoValidCACertificate")
    assert said(world, EDGE, "ResolvedRefs", listener="a") == ("False", "InvalidCACertificateRef")
    assert dict(world.graph.listeners) == {}


def test_a_bundle_may_be_binary() -> None:
    binary = made("ConfigMap", "trust", {"binaryData": {"ca.crt": base64.b64encode(CERTIFICATE.encode()).decode()}})

    world = resolved(*edge(https("a"), tls={"frontend": FRONTEND}), pair(), binary)

    assert any(isinstance(secret, TrustSecret) for secret in world.graph.secrets.values())


def test_a_renewed_certificate_changes_one_secret_and_no_listener() -> None:
    world = resolved(*edge(https("a")), pair())
    renewed = made("Secret", "pair", {"stringData": {"tls.crt": CERTIFICATE + "\n", "tls.key": KEY}})

    change = world.update(put=[renewed])

    assert change.secrets == {SecretName("Secret/shop/pair")}
    assert not (change.listeners or change.hosts or change.clusters or change.statuses)


def test_certificates_are_warned_about_before_and_after_their_time() -> None:
    world = resolved(*edge(https("a"), tls={"frontend": FRONTEND}), pair(), trust())
    end = 4922899200.0  # 2126-01-01

    seen = []
    for at in (1.0, 1.8e9, end - 86_400, end):
        world.update(at=Instant(at))
        seen.append({problem.message.split(" ", 5)[5] for problem in problems(world, EDGE)})

    assert seen == [{"is not valid yet."}, set(), {"expires within 7 days."}, {"has expired."}]
    assert said(world, EDGE, "Programmed", listener="a") == ("True", "Programmed")


@pytest.mark.parametrize("key", ["Secret/shop/pair", "ConfigMap/shop/trust"])
def test_what_envoy_refused_is_not_used(key: str) -> None:
    world = resolved(
        *edge(https("a"), tls={"frontend": FRONTEND}), pair(), trust(), quarantine={ObjectKey(key): "no such curve"}
    )

    assert said(world, EDGE, "Programmed", listener="a") == ("False", "Invalid")
    assert any("no such curve" in problem.message for problem in problems(world, EDGE))


def test_a_certificate_can_only_come_from_a_secret() -> None:
    world = resolved(*edge(https("a", tls={"certificateRefs": [{"kind": "Wish", "group": "x.example", "name": "w"}]})))

    assert said(world, EDGE, "ResolvedRefs", listener="a") == ("False", "InvalidCertificateRef")
    assert problems(world, EDGE)[0].path == "$.spec.listeners[0].tls.certificateRefs[0].kind"


def test_trust_of_another_namespace_needs_a_grant() -> None:
    ref = {"group": "", "kind": "ConfigMap", "name": "trust", "namespace": "bank"}
    frontend = {"default": {"validation": {"caCertificateRefs": [ref]}}}

    world = resolved(*edge(https("a"), tls={"frontend": frontend}), pair())

    assert said(world, EDGE, "ResolvedRefs", listener="a") == ("False", "RefNotPermitted")
    assert said(world, EDGE, "Accepted", listener="a") == ("False", "NoValidCACertificate")
