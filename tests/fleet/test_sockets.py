"""Which sockets a snapshot wants."""

import pytest

from seawall.fleet.sockets import Socket, socket_of, sockets_of
from seawall.xds.resource import CLUSTER, LISTENER, Ref, Resource, ResourceName
from seawall.xds.snapshot import Snapshot


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tcp/0.0.0.0/80", "0.0.0.0:80/tcp"),
        ("udp/::/443", "[::]:443/udp"),
        ("tcp/2001:db8::1/0", "[2001:db8::1]:0/tcp"),
    ],
)
def test_a_listeners_name_says_its_socket(name: str, shown: str) -> None:
    assert str(socket_of(ResourceName(name))) == shown


@pytest.mark.parametrize("name", ["", "tcp", "tcp/80", "sctp/::/80", "tcp/::/", "tcp/::/x", "tcp/::/70000", "tcp//80"])
def test_other_names_say_none(name: str) -> None:
    assert socket_of(ResourceName(name)) is None


def test_only_listeners_have_sockets() -> None:
    members = [
        Resource(type_url=type_url, name=ResourceName(name), version="1", body=b"")
        for type_url, name in [(LISTENER, "tcp/::/80"), (LISTENER, "odd"), (CLUSTER, "tcp/::/81")]
    ]

    assert sockets_of(Snapshot.of(members)) == {
        Ref(LISTENER, ResourceName("tcp/::/80")): Socket(transport="tcp", address="::", port=80)
    }
