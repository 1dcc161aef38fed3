"""Listeners judged by themselves, beyond the golden cases."""

import msgspec

from seawall.gateway.objects import Object
from seawall.gateway.resources.gateways import GatewaySpec, ListenerTls
from seawall.gateway.settings import Settings
from tests.gateway.world import edge, https, listener_set, pair, problems, resolved, said

EDGE = "Gateway/shop/edge"
BROKEN = {"default": {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "none"}]}}}


def _with_tls(tls: ListenerTls | None) -> list[Object]:
    """Make a Gateway that decoding would refuse: the resolver must not depend on that."""
    gateway_class, gateway = edge(https("a"))
    spec = gateway.spec
    assert isinstance(spec, GatewaySpec)
    changed = msgspec.structs.replace(spec, listeners=(msgspec.structs.replace(spec.listeners[0], tls=tls),))
    return [gateway_class, Object(kind="Gateway", meta=gateway.meta, spec=changed)]


def test_https_without_a_certificate_or_with_passthrough_does_not_serve() -> None:
    bare = resolved(*_with_tls(None))
    empty = resolved(*_with_tls(ListenerTls()))
    through = resolved(*_with_tls(ListenerTls(mode="Passthrough")))

    assert said(bare, EDGE, "ResolvedRefs", listener="a") == ("False", "InvalidCertificateRef")
    assert problems(empty, EDGE)[0].path == "$.spec.listeners[0].tls"
    assert said(through, EDGE, "Accepted", listener="a") == ("False", "UnsupportedValue")


def test_a_listener_set_says_on_its_own_listener_that_the_gateway_has_no_trust() -> None:
    gateway = edge(allowedListeners={"namespaces": {"from": "Same"}}, tls={"frontend": BROKEN})

    world = resolved(*gateway, listener_set("more", https("a")), pair())

    assert said(world, "ListenerSet/shop/more", "Accepted", listener="a") == ("False", "NoValidCACertificate")
    assert {problem.path for problem in problems(world, "ListenerSet/shop/more")} == {"$.spec.listeners[0]"}


def test_tls_options_and_kinds_are_taken_over() -> None:
    tls = {"certificateRefs": [{"name": "pair"}], "options": {"x.example/b": "2", "x.example/a": "1"}}
    listener = https("a", tls=tls, allowedRoutes={"kinds": [{"kind": "HTTPRoute"}, {"kind": "Wish"}]})

    world = resolved(*edge(listener), pair())

    (made_listener,) = world.graph.listeners.values()
    assert made_listener.chains[0].tls is not None
    assert made_listener.chains[0].tls.options == (("x.example/a", "1"), ("x.example/b", "2"))
    assert said(world, EDGE, "ResolvedRefs", listener="a") == ("False", "InvalidRouteKinds")


def test_a_gateway_in_a_pool_that_is_too_small_listens_nowhere() -> None:
    world = resolved(*edge(name="one"), edge(name="two", at=1)[1], settings=Settings(pool=("127.9.0.1",)))

    assert said(world, "Gateway/shop/two", "Programmed") == ("False", "AddressNotAssigned")
    assert said(world, "Gateway/shop/two", "Programmed", listener="http") == ("False", "Pending")
