"""What it means that a request is in a scope, and that a scope is in another."""

import pytest

from seawall.detect.scope import Scope, inside, scope


def test_scope_holds_requests_with_all_of_its_values() -> None:
    one = scope("shop", {"agent": "bot", "path": "/"})

    assert one.holds({"route": "shop", "agent": "bot", "path": "/", "ja4": "x"})
    assert not one.holds({"route": "shop", "agent": "bot", "path": "/list"})
    assert not one.holds({"route": "blog", "agent": "bot", "path": "/"})


def test_equal_scopes_are_equal_in_whatever_order_they_were_written() -> None:
    assert scope("", {"a": "1", "b": "2"}) == scope("", {"b": "2", "a": "1"})


@pytest.mark.parametrize(
    ("small", "large", "is_inside"),
    [
        ("192.0.2.7", "192.0.2.0/24", True),
        ("192.0.3.7", "192.0.2.0/24", False),
        ("2001:db8:7:1::/64", "2001:db8:7::/48", True),
        ("2001:db8::1", "192.0.2.0/24", False),
        ("nobody", "192.0.2.0/24", False),
        ("192.0.2.7", "a/b", False),
    ],
)
def test_addresses_lie_in_networks(small: str, large: str, is_inside: bool) -> None:
    assert inside(small, large) is is_inside


def test_network_contains_addresses_and_narrower_scopes() -> None:
    allowed = scope("", {"address": "192.0.2.0/24"})

    assert allowed.contains(scope("", {"address": "192.0.2.9"}))
    assert allowed.contains(scope("shop", {"address": "192.0.2.9", "agent": "x"}))
    assert allowed.contains(scope("", {"net24": "192.0.2.0/24"}))
    assert not allowed.contains(scope("", {"agent": "x"}))
    assert not scope("shop", {"address": "192.0.2.9"}).contains(scope("", {"address": "192.0.2.9"}))
    assert allowed.holds({"address": "192.0.2.200"})


def test_scope_says_its_layer_and_itself() -> None:
    by_address = scope("", {"address": "192.0.2.9"})

    assert by_address.is_by_network
    assert [one.layer for one in (by_address, scope("", {"ja4": "x"}), scope("shop", {"ja4": "x"}))] == [
        "l4",
        "tls",
        "http",
    ]
    assert str(scope("shop", {"agent": ""})) == "agent=(none) on shop"
    assert str(Scope()) == "all requests"
    assert by_address.with_(ja4="x").fields == {"address", "ja4"}
    assert by_address.value("address") == "192.0.2.9" and by_address.value("ja4") is None
