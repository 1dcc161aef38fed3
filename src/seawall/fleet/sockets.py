"""Sockets: which address and port a listener of a snapshot wants.

Pure. A listener's name says it (`gateway.graph.ListenerName`): `tcp/<address>/<port>`; nobody has to open the message.
Next room: `seawall.agent.preflight` tries them.
"""

from typing import Literal

import msgspec

from seawall.xds.resource import LISTENER, Ref, ResourceName
from seawall.xds.snapshot import Snapshot


class Socket(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener binds."""

    transport: Literal["tcp", "udp"]
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.transport}"


def socket_of(name: ResourceName) -> Socket | None:
    """Read a listener's name; None for a name that does not follow the rule (Envoy will judge that one)."""
    transport, _, rest = name.partition("/")
    address, _, port = rest.rpartition("/")
    if transport not in ("tcp", "udp") or not address or not port.isdecimal() or int(port) > 65535:
        return None
    return Socket(transport="tcp" if transport == "tcp" else "udp", address=address, port=int(port))


def sockets_of(snapshot: Snapshot) -> dict[Ref, Socket]:
    """Return the sockets of all listeners of a snapshot."""
    sockets = {}
    for name in snapshot.resources(LISTENER):
        socket = socket_of(name)
        if socket is not None:
            sockets[Ref(LISTENER, name)] = socket
    return sockets
