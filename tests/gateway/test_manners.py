"""Manners: which ListenerPolicy applies to which listener, as things come and go."""

from typing import Any

import pytest

from seawall.gateway.graph import FilterChain, ObjectKey, TrustSecret
from seawall.gateway.resolve import Resolver
from tests.gateway.manners import FRONTEND, LIST, manners, revoking
from tests.gateway.world import HTTP, edge, https, listener_set, made, pair, resolved, said, trust

COLLECTOR = {"group": "seawall.dev", "kind": "Backend", "name": "collector"}


def chains(world: Resolver) -> dict[str, FilterChain]:
    return {chain.name: chain for listener in world.graph.listeners.values() for chain in listener.chains}


def applied(world: Resolver) -> dict[str, str]:
    return {name: one.manner.by.rsplit("/", 1)[1] if one.manner else "" for name, one in chains(world).items()}


def test_a_listener_goes_before_its_set_before_the_gateway() -> None:
    allowed: dict[str, Any] = {"allowedListeners": {"namespaces": {"from": "All"}}}
    objects = [
        manners("gateway"),
        manners("set", "ListenerSet/more"),
        manners("listener", "ListenerSet/more", "b"),
    ]
    owners = [*edge(https("a", "a.example"), **allowed), listener_set("more", https("b", "b.example"))]
    world = resolved(*owners, pair(), *objects)
    found = [applied(world)]
    for obj in reversed(objects):
        world.update(remove=[obj.key])
        found.append(applied(world))

    assert [(one["https/a.example"], one["https/b.example"]) for one in found] == [
        ("gateway", "listener"),
        ("gateway", "set"),
        ("gateway", "gateway"),
        ("", ""),
    ]


def test_the_oldest_applies_and_the_next_when_it_is_gone_or_refused() -> None:
    young, old = manners("a", at=2), manners("b", at=1)
    world = resolved(*edge(), young, old)
    assert applied(world) == {"http": "b"}
    assert said(world, "ListenerPolicy/shop/a", "Accepted") == ("False", "Conflicted")

    world.update(quarantine={old.key: "too much"})
    assert applied(world) == {"http": "a"}
    assert said(world, "ListenerPolicy/shop/b", "Programmed") == ("False", "Invalid")


def test_of_plain_listeners_on_one_port_the_first_with_a_policy_decides() -> None:
    one, two = {**HTTP, "name": "one", "hostname": "one.example"}, {**HTTP, "name": "two", "hostname": "two.example"}
    world = resolved(*edge(one, two), manners("second", section="two"))
    assert applied(world) == {"http": "second"}

    world.update(put=[manners("first", section="one")])
    assert applied(world) == {"http": "first"}


def test_a_policy_aimed_at_one_more_listener_changes_nothing_for_the_others() -> None:
    world = resolved(*edge(https("a", "a.example"), https("b", "b.example")), pair(), manners("p", section="a"))
    before = chains(world)["https/a.example"]
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    both = [{**ref, "sectionName": "a"}, {**ref, "sectionName": "b"}]

    world.update(put=[made("ListenerPolicy", "p", {"spec": {"targetRefs": both}})])

    assert chains(world)["https/a.example"] == before
    assert applied(world) == {"https/a.example": "p", "https/b.example": "p"}


def test_proxy_headers_are_for_the_whole_port_also_of_tcp() -> None:
    world = resolved(
        *edge({"name": "raw", "port": 80, "protocol": "TCP"}), manners("p", section="raw", proxyProtocol={})
    )

    (listener,) = world.graph.listeners.values()
    assert listener.proxy_protocol is not None
    assert said(world, "ListenerPolicy/shop/p", "Programmed") == ("True", "Programmed")


# ── client certificates ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_revocation_list_changes_a_secret_and_no_listener() -> None:
    policy = manners("p", clientCertificates={"mode": "Optional", "crl": {"name": "crl"}})
    world = resolved(*edge(https("a"), tls=FRONTEND), pair(), trust(), policy, revoking())
    clients = chains(world)["https/*"].tls
    assert clients is not None
    assert clients.clients is not None
    assert clients.clients.is_optional
    name = clients.clients.ca
    found = world.graph.secrets[name]
    assert isinstance(found, TrustSecret)
    assert found.crl.decode() == LIST

    change = world.update(put=[revoking(text=LIST + "\n" + LIST)])

    assert (change.listeners, change.secrets) == (frozenset(), frozenset({name}))


@pytest.mark.parametrize(
    ("crl", "words"),
    [
        ([], "does not exist"),
        ([revoking("crll")], "did you mean crll?"),
        ([revoking(text="nothing")], "has no PEM"),
        ([revoking(key="ca.crt")], "has no PEM"),
        ([revoking(text="-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")], "cannot be read"),
    ],
)
def test_who_cannot_know_what_is_revoked_lets_nobody_in(crl: list[object], words: str) -> None:
    policy = manners("p", clientCertificates={"crl": {"name": "crl"}})
    world = resolved(*edge(https("a"), tls=FRONTEND), pair(), trust(), policy, *crl)  # type: ignore[arg-type]  # Objects

    chain = chains(world)["https/*"]
    assert (chain.protocol, chain.tls, chain.table, chain.backends) == ("tls", None, None, ())
    assert said(world, "ListenerPolicy/shop/p", "ResolvedRefs") == ("False", "InvalidCRL")
    assert words in world.statuses[ObjectKey("ListenerPolicy/shop/p")].problems[0].message


def test_client_certificates_without_cas_let_nobody_in() -> None:
    world = resolved(*edge(https("a")), pair(), manners("p", clientCertificates={}))

    assert chains(world)["https/*"].tls is None
    assert said(world, "ListenerPolicy/shop/p", "Accepted") == ("False", "NoTrust")


# ── collectors ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_collector_is_a_cluster_as_long_as_a_listener_uses_it() -> None:
    collector = made("Backend", "collector", {"spec": {"endpoints": [{"ip": "127.0.0.1", "port": 4317}]}})
    world = resolved(*edge(), collector, manners("p", tracing={"backendRef": COLLECTOR}))
    assert [one.protocol for one in world.graph.clusters.values()] == ["http2"]

    world.update(put=[manners("p")])
    assert not world.graph.clusters


def test_what_is_no_collector_is_told() -> None:
    sinks = [{"type": "OTLP", "backendRef": {"group": "", "kind": "Secret", "name": "a"}}]
    world = resolved(*edge(), manners("p", accessLog={"sinks": sinks}))

    assert said(world, "ListenerPolicy/shop/p", "ResolvedRefs") == ("False", "InvalidKind")
    assert chains(world)["http"].manner is not None
