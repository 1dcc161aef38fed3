"""The schema is the pinned Envoy's."""

import pytest
from google.protobuf.message import DecodeError

from seawall.envoy.proto import as_json, decode, encode, from_json, message, pack

CLUSTER = "envoy.config.cluster.v3.Cluster"


def test_messages_that_the_packages_on_pypi_lack_are_here() -> None:
    assert message("envoy.extensions.filters.http.composite.v3.CompositePerRoute")
    with pytest.raises(KeyError):
        message("envoy.config.cluster.v3.NoSuchThing")


def test_equal_fields_give_equal_bytes_whatever_their_order() -> None:
    one = encode(CLUSTER, {"typed_extension_protocol_options": {n: pack(CLUSTER) for n in ("a", "b", "c")}})
    two = encode(CLUSTER, {"typed_extension_protocol_options": {n: pack(CLUSTER) for n in ("c", "a", "b")}})

    assert one == two


def test_a_message_survives_bytes_and_json() -> None:
    body = encode(CLUSTER, {"name": "a", "connect_timeout": {"seconds": 1}})

    assert as_json(decode(CLUSTER, body)) == {"name": "a", "connect_timeout": "1s"}
    assert from_json(CLUSTER, {"name": "a", "connect_timeout": "1s"}).SerializeToString() == body
    with pytest.raises(DecodeError):
        decode(CLUSTER, b"\xff\xff")
