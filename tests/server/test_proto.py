"""Requests become events, actions become responses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.xds.play import cluster

from seawall.envoy.proto import message
from seawall.kit.units import Instant
from seawall.server.proto import events, parse, response
from seawall.xds.events import Acked, Nacked, Send, Subscribed
from seawall.xds.resource import CLUSTER, ResourceName

NOW = Instant(5.5)


def request(**fields: Any) -> Any:
    return message("envoy.service.discovery.v3.DeltaDiscoveryRequest")(type_url=CLUSTER, **fields)


def test_an_answer_is_an_ack_unless_it_carries_an_error() -> None:
    nack = request(response_nonce="7")
    nack.error_detail.message = "no"

    assert list(events(request(response_nonce="7"), NOW, is_first=False)) == [
        Acked(at=NOW, type_url=CLUSTER, nonce="7")
    ]
    assert list(events(nack, NOW, is_first=False)) == [Nacked(at=NOW, type_url=CLUSTER, nonce="7", message="no")]


def test_an_error_without_words_is_an_error() -> None:
    nack = request(response_nonce="7")
    nack.error_detail.code = 13

    (event,) = events(nack, NOW, is_first=False)

    assert isinstance(event, Nacked)
    assert event.message == "error 13 without a message"


def test_a_subscription_changes_whatever_the_nonce_is() -> None:
    both = request(response_nonce="old", resource_names_subscribe=["a"], resource_names_unsubscribe=["b"])

    assert list(events(both, NOW, is_first=False)) == [
        Acked(at=NOW, type_url=CLUSTER, nonce="old"),
        Subscribed(at=NOW, type_url=CLUSTER, subscribe=(ResourceName("a"),), unsubscribe=(ResourceName("b"),)),
    ]


def test_only_the_first_request_of_a_type_subscribes_without_names() -> None:
    assert list(events(request(), NOW, is_first=True)) == [Subscribed(at=NOW, type_url=CLUSTER)]
    assert list(events(request(), NOW, is_first=False)) == []


def test_what_the_client_holds_is_told() -> None:
    (event,) = events(request(initial_resource_versions={"a": "1"}), NOW, is_first=True)

    assert isinstance(event, Subscribed)
    assert event.initial_versions == {"a": "1"}


def test_a_response_carries_bodies_as_they_are() -> None:
    send = Send(
        type_url=CLUSTER, nonce="3", resources=(cluster("a"),), removed=(ResourceName("b"),), system_version="v"
    )

    built: Any = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(response(send))

    assert (built.type_url, built.nonce, built.system_version_info) == (CLUSTER, "3", "v")
    assert list(built.removed_resources) == ["b"]
    (resource,) = built.resources
    assert (resource.name, resource.version, resource.resource.value) == ("a", "1", b"1")
    assert resource.resource.type_url == CLUSTER


@given(st.binary())
def test_no_bytes_crash_the_parser(body: bytes) -> None:
    try:
        parsed = parse(body)
    except ValueError:
        return
    list(events(parsed, NOW, is_first=True))


def test_bytes_that_are_no_request_are_told_apart() -> None:
    with pytest.raises(ValueError, match="no DeltaDiscoveryRequest"):
        parse(b"\xff\xff\xff")
