"""Sockets: who holds connections open to the edge and has said nothing on them; asked of the kernel, which alone knows.

Envoy tells of a connection when it ends, and a silent one ends by a timeout of many minutes. Talks to the kernel by netlink
(sock_diag(7)), which answers everybody about his own network. Where it does not, nothing is told of silent connections.
"""

import asyncio
import socket
import struct
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import structlog

from seawall.agent.parts import Parts
from seawall.envoy.access_log import CONNECTIONS
from seawall.fleet.wire import Traffic
from seawall.kit.units import Instant
from seawall.traffic.delta import WindowDelta
from seawall.traffic.peers import OPENED, PEER, UNASKED, Counts, conspicuous

log = structlog.get_logger(__name__)

SILENT_FOR: Final = 3_000
"""Milliseconds without a byte, after which it is no handshake that is under way. Clients send as they connect."""
FEWEST: Final = 50
"""Silent connections of one address at a time; browsers hold one or two to spare."""
_EACH: Final = 10.0 / FEWEST
"""What a held connection counts for in a second, so that so many weigh as much as ten that are opened for nothing."""
_INTERVAL, _SHARE, _LATER = 1.0, 0.05, 600.0
_DUMP, _DIAG, _BY_FAMILY, _DONE, _ERROR = 0x301, 4, 20, 3, 2
_ESTABLISHED, _INFO = 1 << 1, 2
_HEAD, _MESSAGE, _ATTRIBUTE = struct.Struct("=IHHII"), 72, struct.Struct("=HH")
_LAST_RECEIVED, _RECEIVED = 52, 128
"""Where `tcp_info` has how long ago something came (ms), and how many bytes did in all."""
Held = dict[str, tuple[int, int]]


class Sockets:
    """Tells the control plane of addresses that hold many silent connections."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._run = uuid.uuid4().hex
        self._number = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            try:
                found = await asyncio.to_thread(held, self._ports())
            except OSError as exc:
                log.info("sockets_not_seen", reason=str(exc))
                await asyncio.sleep(_LATER)
                continue
            self._tell(weighed(found))
            # Of a host with very many connections less often: to look takes time of its processors.
            await asyncio.sleep(max(_INTERVAL, (time.monotonic() - began) / _SHARE))

    def _ports(self) -> set[int]:
        return self._parts.relay.ports_with(b"http_connection_manager", CONNECTIONS.encode())

    def _tell(self, peers: dict[str, Counts]) -> None:
        if not peers:
            return
        self._number += 1
        at = Instant(float(int(time.time())))
        told = WindowDelta(edge=self._parts.settings.edge, run=self._run, number=self._number, at=at, peers=peers)
        self._parts.uplink.tell(Traffic(delta=told))


def weighed(found: Held) -> dict[str, Counts]:
    """Count those who hold many silent ones as if they had opened them for nothing, beside those that speak."""
    peers = {}
    for address, (every, silent) in found.items():
        if silent >= FEWEST:
            counts = [0.0] * len(PEER)
            counts[OPENED], counts[UNASKED] = every * _EACH, silent * _EACH
            peers[address] = tuple(counts)
    return conspicuous(peers)


def held(ports: Iterable[int]) -> Held:
    """Return for each address how many connections to these ports it holds, and how many of them are silent. Raises OSError.

    One that is younger than silence takes is neither yet: among those that come all the while no share would say anything."""
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for port in ports:
        for family in (socket.AF_INET, socket.AF_INET6):
            for address, is_young, is_silent in _dumped(family, port):
                found[address][0] += not is_young
                found[address][1] += is_silent
    return {address: (every, silent) for address, (every, silent) in found.items()}


def _dumped(family: int, port: int) -> Iterator[tuple[str, bool, bool]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG) as kernel:
        kernel.settimeout(2)
        wanted = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ESTABLISHED)
        wanted += struct.pack(">HH", port, 0) + bytes(44)
        kernel.send(_HEAD.pack(_HEAD.size + len(wanted), _BY_FAMILY, _DUMP, 1, 0) + wanted)
        while True:
            data = kernel.recv(1 << 18)
            place = 0
            while place + _HEAD.size <= len(data):
                size, kind, *_ = _HEAD.unpack_from(data, place)
                if kind == _DONE:
                    return
                if kind == _ERROR or size < _HEAD.size:
                    raise OSError("the kernel does not tell of sockets")
                yield _read(data[place + _HEAD.size : place + size])
                place += (size + 3) & ~3


def _read(message: bytes) -> tuple[str, bool, bool]:
    """Read an answer: an address, and whether its connection is too young to say, and whether it is silent."""
    raw = message[24:40]
    address = IPv4Address(raw[:4]) if message[0] == socket.AF_INET else IPv6Address(raw)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    place, is_young, is_silent = _MESSAGE, False, False
    while place + _ATTRIBUTE.size <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, place)
        if size < _ATTRIBUTE.size:
            break
        info = message[place + _ATTRIBUTE.size : place + size]
        if kind == _INFO and len(info) >= _RECEIVED + 8:
            (since,), (received,) = (
                struct.unpack_from("=I", info, _LAST_RECEIVED),
                struct.unpack_from("=Q", info, _RECEIVED),
            )
            is_silent = not received and since >= SILENT_FOR
            is_young = not received and not is_silent
        place += (size + 3) & ~3
    return str(mapped or address), is_young, is_silent
