"""Preflight: can this host bind what a listener wants? Asked before Envoy is given it.

Binds sockets and reads /proc. Needed because Envoy binds with SO_REUSEPORT: on a port of another Envoy it would
silently take half of the connections, and where it may not bind at all it refuses a whole response.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from seawall.fleet.sockets import Socket


def refusal(wanted: Socket, *, envoy_pid: int = 0, binary: str = "") -> str:
    """Say why the socket cannot be bound here; empty if it can.

    Args:
        envoy_pid: our Envoy: what it holds itself (a listener that is still draining) is no obstacle.
        binary: its program: one with file capabilities may bind ports that we may not, so it is let try.
    """
    family = socket.AF_INET6 if ":" in wanted.address else socket.AF_INET
    kind = socket.SOCK_STREAM if wanted.transport == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as probe:
            if wanted.transport == "tcp":
                # As Envoy does: connections of the last Envoy that wait out their end are no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, wanted.address != "::")
            probe.bind((wanted.address, wanted.port))
    except OSError as exc:
        return _explain(wanted, exc, envoy_pid, binary)
    return ""


def _explain(wanted: Socket, error: OSError, envoy_pid: int, binary: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            holders = _holders(wanted)
            if envoy_pid and holders and holders <= _sockets_of(envoy_pid):
                return ""
            who = _name_of(holders)
            return f"{wanted} is in use{who}. Stop that program, or give the listener another port."
        case errno.EACCES | errno.EPERM:
            if binary and _has_capabilities(binary):
                return ""
            return (
                f"{wanted} needs a right that this user lacks: ports below 1024 are privileged. Allow it with "
                f"`sysctl net.ipv4.ip_unprivileged_port_start={wanted.port}`, run with CAP_NET_BIND_SERVICE, "
                "or use a higher port."
            )
        case errno.EADDRNOTAVAIL:
            return f"{wanted.address} is no address of this host. Add it to an interface, or leave the address out."
        case errno.EAFNOSUPPORT:
            return f"this host does not speak the protocol of {wanted.address}."
        case _:
            return f"{wanted} cannot be bound: {error.strerror or error}."


def _holders(wanted: Socket) -> frozenset[str]:
    """Return the inodes of the sockets that listen on the port, as /proc shows them."""
    listening = "0A" if wanted.transport == "tcp" else "07"
    found = set()
    for table in (wanted.transport, f"{wanted.transport}6"):
        for fields in _rows(Path("/proc/net") / table):
            if len(fields) > 9 and fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == wanted.port:
                found.add(f"socket:[{fields[9]}]")
    return frozenset(found)


def _rows(table: Path) -> Iterator[list[str]]:
    try:
        text = table.read_text()
    except OSError:
        return
    yield from (line.split() for line in text.splitlines()[1:])


def _sockets_of(pid: int) -> frozenset[str]:
    folder = f"/proc/{pid}/fd"
    found = set()
    try:
        for entry in os.listdir(folder):  # noqa: PTH208 - names are all we want, of perhaps 50,000 entries
            link = os.readlink(f"{folder}/{entry}")  # noqa: PTH115
            if link.startswith("socket:"):
                found.add(link)
    except OSError:
        pass
    return frozenset(found)


def _name_of(holders: frozenset[str]) -> str:
    """Name the program, where we may know: other users' processes keep it to themselves."""
    if not holders:
        return ""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and holders & _sockets_of(int(process.name)):
            try:
                return f" by {(process / 'comm').read_text().strip()} (process {process.name})"
            except OSError:
                return ""
    return ""


def _has_capabilities(binary: str) -> bool:
    try:
        return bool(os.getxattr(binary, "security.capability"))
    except OSError:
        return False
