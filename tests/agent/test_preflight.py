"""What this host can bind, and why not."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.agent.preflight import refusal
from seawall.fleet.sockets import Socket


@pytest.fixture(params=["tcp", "udp"])
def taken(request: pytest.FixtureRequest) -> Iterator[Socket]:
    """A port that somebody holds with SO_REUSEPORT, as Envoy does."""
    kind = socket.SOCK_STREAM if request.param == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        yield Socket(transport=request.param, address="127.0.0.1", port=holder.getsockname()[1])


def test_a_free_port_can_be_had() -> None:
    assert refusal(Socket(transport="tcp", address="127.0.0.1", port=0)) == ""
    assert refusal(Socket(transport="tcp", address="::", port=0)) == ""
    assert refusal(Socket(transport="udp", address="::1", port=0)) == ""


def test_a_port_in_use_is_refused_and_its_holder_named(taken: Socket) -> None:
    text = refusal(taken)

    assert f"{taken} is in use by" in text
    assert f"(process {os.getpid()})" in text


def test_what_our_envoy_holds_is_no_obstacle(taken: Socket) -> None:
    assert refusal(taken, envoy_pid=os.getpid()) == ""
    assert refusal(taken, envoy_pid=1) != ""


def test_the_wildcard_and_the_address_are_in_each_others_way(taken: Socket) -> None:
    assert "in use" in refusal(Socket(transport=taken.transport, address="0.0.0.0", port=taken.port))


def test_an_address_of_another_host_is_refused() -> None:
    assert "no address of this host" in refusal(Socket(transport="tcp", address="192.0.2.1", port=0))


def test_nonsense_is_refused() -> None:
    assert "cannot be bound" in refusal(Socket(transport="tcp", address="999.1.1.1", port=0))


def test_a_privileged_port_needs_a_right() -> None:
    """Asked by a process that gave its rights up; one that never had them is asked directly."""
    code = (
        "import os\n"
        "from seawall.agent.preflight import refusal\n"
        "from seawall.fleet.sockets import Socket\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(refusal(Socket(transport='tcp', address='127.0.0.1', port=1)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    # Containers often allow every port to everybody.
    is_free = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() in ("0", "1")
    assert is_free or "ip_unprivileged_port_start=1" in answer.stdout
