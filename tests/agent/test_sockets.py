"""Who holds silent connections, asked of the real kernel."""

import socket
import time
from contextlib import ExitStack

import pytest

from seawall.agent import sockets
from seawall.agent.sockets import FEWEST, held, weighed
from seawall.traffic.peers import OPENED, UNASKED


def test_silent_connections_are_counted_beside_those_that_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SILENT_FOR", 100)
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        port = door.getsockname()[1]
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=(address, 0)))
            for address in ("127.9.0.1", "127.9.0.1", "127.9.0.1", "127.9.0.2")
        ]
        taken = [stack.enter_context(door.accept()[0]) for _ in clients]
        clients[0].send(b"GET /")
        end = time.monotonic() + 5
        while held([port]).get("127.9.0.1") != (3, 2) and time.monotonic() < end:
            taken[0].getpeername()

        found = held([port])

    assert found["127.9.0.1"] == (3, 2)
    assert found["127.9.0.2"] == (1, 1)


def test_a_port_that_nobody_connects_to_has_no_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        assert held([door.getsockname()[1]]) == {}


def test_few_silent_ones_are_nobody_and_many_stand_beside_those_that_speak() -> None:
    found = weighed({"a": (FEWEST - 1, FEWEST - 1), "b": (10 * FEWEST, FEWEST)})

    assert set(found) == {"b"}
    assert (found["b"][OPENED], found["b"][UNASKED]) == (100.0, 10.0)
