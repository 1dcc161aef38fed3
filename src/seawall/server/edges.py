"""Edges: the service that agents call: one stream each, snapshots down, acknowledgements and heartbeats up.

Speaks gRPC (generic, MessagePack bodies: `seawall.fleet.wire`). What is known of the edges lives in `fleet.edges`,
the way from one version to the next in `fleet.history`.
Next room: `seawall.agent.uplink` is the other end.

At most one message is on its way to an edge: changes that come meanwhile are merged into the next one.
"""

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import structlog

from seawall.fleet.edges import Edges
from seawall.fleet.history import History
from seawall.fleet.wire import METHOD, SERVICE, Hello, Order, Publish, Up
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant
from seawall.server.tls import ReloadingIdentity, peer_names, server_credentials
from seawall.xds.resource import Resource
from seawall.xds.snapshot import Change, Snapshot

log = structlog.get_logger(__name__)

MAX_MESSAGE = 64 << 20
"""One resource may be large (a list of 250,000 networks is 20 MB); parts are cut far below that."""
_PART = 2 << 20
_SEND_TIMEOUT = 60.0
_GREETING_TIMEOUT = 10.0
_WHOLE_AT_A_TIME = 8
"""So many edges are sent a whole snapshot at a time: after a restart they all want one."""
_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it
"""What a read returns at the end of a stream."""

_encode = msgspec.msgpack.Encoder().encode
_decode_up = msgspec.msgpack.Decoder(Up).decode
OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # Both sides notice a dead path within 20 s, though nothing is said on it.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
_SERVER_OPTIONS = (
    *OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Two control planes on one port would each see half of the fleet; the second must fail instead.
    ("grpc.so_reuseport", 0),
)


class _Session:
    """One connected edge."""

    def __init__(self, edge: str) -> None:
        self.edge = edge
        self.changed = asyncio.Event()
        self.replaced = asyncio.Event()
        self.orders: asyncio.Queue[Order] = asyncio.Queue(maxsize=16)
        self.sent = ""


class EdgeService:
    """What all edges are told, and what they say. One loop, no lock."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        on_report: Callable[[str, Up], None] = lambda edge, message: None,
    ) -> None:
        """`on_report` is called with every message of every edge, after the registry has taken it in."""
        self.edges = Edges()
        self._clock = clock
        self._on_report = on_report
        self._history = History()
        self._sessions: dict[str, _Session] = {}
        self._encoded: dict[tuple[str, str], tuple[bytes, ...]] = {}
        self._whole = asyncio.Semaphore(_WHOLE_AT_A_TIME)

    def publish(self, snapshot: Snapshot, change: Change | None = None) -> None:
        """Tell every edge to run `snapshot`. `change` leads to it from the one published before, if that is known.

        Before the first call edges are told nothing and keep what they have.
        """
        self._history.advance(snapshot, change)
        for session in self._sessions.values():
            session.changed.set()

    def order(self, edge: str, order: Order) -> None:
        """Tell one edge to do something. Raises UnavailableError if it is not connected."""
        session = self._sessions.get(edge)
        if session is None:
            raise UnavailableError(f"edge {edge} is not connected.")
        try:
            session.orders.put_nowait(order)
        except asyncio.QueueFull as exc:
            raise UnavailableError(f"edge {edge} does not read its orders.") from exc
        session.changed.set()

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        method = grpc.stream_stream_rpc_method_handler(self._connect)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def _connect(self, _: object, context: Any) -> None:
        """Serve one edge until it leaves. Bodies are decoded here: what is no message ends the stream, not the
        server."""
        hello = await self._greet(context)
        with self._session(hello) as session:
            # A version that we do not know is nothing to build on: the edge is sent the whole.
            session.sent = hello.held if self._history.since(hello.held) is not None else ""
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(session, context), name=f"edge-{hello.edge}-listen")
                    group.create_task(self._tell(session, context), name=f"edge-{hello.edge}-tell")
                    group.create_task(_until(session.replaced), name=f"edge-{hello.edge}-replaced")
            except* _LeftError as left:
                reason = str(left.exceptions[0])
                log.info("edge_disconnected", edge=hello.edge, reason=reason)

    async def _greet(self, context: Any) -> Hello:
        try:
            async with asyncio.timeout(_GREETING_TIMEOUT):
                raw = await context.read()
            hello = _decode_up(raw) if raw is not EOF else None
        except (TimeoutError, msgspec.DecodeError, msgspec.ValidationError):
            hello = None
        if not isinstance(hello, Hello) or not _NAME.fullmatch(hello.edge):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The first message must be a Hello with a name.")
            raise _LeftError("no greeting")
        auth = context.auth_context()
        if b"ssl" in auth.get("transport_security_type", ()) and hello.edge not in peer_names(auth):
            names = ", ".join(sorted(peer_names(auth))) or "no edge"
            log.warning("edge_refused", edge=hello.edge, certificate=names, peer=context.peer())
            remedy = f"Issue one: seawall pki issue DIR edge {hello.edge}."
            reason = f"This certificate is for {names}, not for edge {hello.edge}. {remedy}"
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)
        return hello

    @contextlib.contextmanager
    def _session(self, hello: Hello) -> Iterator[_Session]:
        older = self._sessions.get(hello.edge)
        if older is not None:
            # Most often the same edge, back before its old path was seen to be dead.
            log.warning("edge_replaced", edge=hello.edge)
            older.replaced.set()
        session = self._sessions[hello.edge] = _Session(hello.edge)
        self.edges.connected(hello, Instant(self._clock()))
        self._on_report(hello.edge, hello)
        log.info("edge_connected", edge=hello.edge, held=hello.held, envoy=hello.envoy)
        try:
            yield session
        finally:
            if self._sessions.get(hello.edge) is session:
                del self._sessions[hello.edge]
                self.edges.disconnected(hello.edge, Instant(self._clock()))

    async def _listen(self, session: _Session, context: Any) -> None:
        while True:
            raw = await context.read()
            if raw is EOF:
                raise _LeftError("it said goodbye")
            try:
                message = _decode_up(raw)
            except (msgspec.DecodeError, msgspec.ValidationError) as exc:
                raise _LeftError(f"it sent what is no message: {exc}") from exc
            self.edges.heard(session.edge, message, Instant(self._clock()))
            self._on_report(session.edge, message)

    async def _tell(self, session: _Session, context: Any) -> None:
        is_told = False
        while True:
            session.changed.clear()
            while not session.orders.empty():
                await self._send(context, _encode(session.orders.get_nowait()))
            newest = self._history.current
            # The first one is sent even if it changes nothing: it tells the edge that what it holds is wanted.
            if newest is not None and (newest.version != session.sent or not is_told):
                await self._publish(session, context, newest)
                is_told = True
                continue
            await session.changed.wait()

    async def _publish(self, session: _Session, context: Any, newest: Snapshot) -> None:
        change = self._history.since(session.sent)
        base = session.sent if change is not None else ""
        async with self._whole if change is None else contextlib.nullcontext():
            for part in self._parts(base, newest, change):
                await self._send(context, part)
        session.sent = newest.version
        self.edges.sent(session.edge, newest.version)

    async def _send(self, context: Any, body: bytes) -> None:
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await context.write(body)
        except TimeoutError as exc:
            raise _LeftError(f"it did not read for {_SEND_TIMEOUT:g} s") from exc

    def _parts(self, base: str, newest: Snapshot, change: Change | None) -> tuple[bytes, ...]:
        """Encode what leads from `base` to `newest`; edges that lack the same share the bytes."""
        parts = self._encoded.get((base, newest.version))
        if parts is None:
            whole = Change(put=tuple(newest.all())) if change is None else change
            parts = tuple(_encode(part) for part in cut(whole, base, newest.version))
            while len(self._encoded) >= 4:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[base, newest.version] = parts
        return parts


def cut(change: Change, base: str, version: str) -> Iterator[Publish]:
    """Cut a change into messages of moderate size; the last one carries the removals and completes it."""
    members: list[Resource] = []
    size = 0
    for resource in change.put:
        if members and size + len(resource.body) > _PART:
            yield Publish(version=version, base=base, put=tuple(members), more=True)
            members, size = [], 0
        members.append(resource)
        size += len(resource.body) + 200
    yield Publish(version=version, base=base, put=tuple(members), remove=change.remove)


@contextlib.asynccontextmanager
async def serve_edges(
    service: EdgeService, address: str, identity: ReloadingIdentity | None = None, *, is_insecure: bool = False
) -> AsyncIterator[str]:
    """Listen on `host:port` (port 0: any) or `unix:/path`; yield the address that agents can call.

    Raises ConfigError for an address that cannot be had, and for one that would be open to strangers: without TLS only
    unix sockets are served, and loopback if `is_insecure` says so.
    """
    is_unix = address.startswith("unix:")
    if identity is None and not is_unix:
        require_loopback(address, is_insecure=is_insecure)
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    server.add_generic_rpc_handlers((service.handler(),))
    try:
        if identity is None or is_unix:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, server_credentials(identity))
    except RuntimeError as exc:
        raise ConfigError(
            f"cannot listen for edges on {address}: it is in use, or no address of this host.",
            hint="Choose another address, or stop who uses it.",
        ) from exc
    await server.start()
    if is_unix:
        _make_private(address)
    bound = address if is_unix else f"{address.rpartition(':')[0]}:{port}"
    log.info("edges_served", address=bound, tls=identity is not None)
    try:
        yield bound
    finally:
        await server.stop(grace=0.2)
        if is_unix:
            _remove(address)


def _make_private(address: str) -> None:
    Path(address.removeprefix("unix:")).chmod(0o600)


def _remove(address: str) -> None:
    Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def require_loopback(address: str, *, is_insecure: bool) -> None:
    """Refuse to speak in the clear to anything but this host. Raises ConfigError."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not (is_insecure and is_loopback):
        raise ConfigError(
            f"{address} would be spoken to without TLS.",
            hint="Give certificates (seawall pki init, seawall pki issue); in the clear only unix sockets are used, "
            "and loopback addresses with --insecure.",
        )


async def _until(replaced: asyncio.Event) -> None:
    await replaced.wait()
    raise _LeftError("it has connected anew")


class _LeftError(Exception):
    """The edge is gone, or has to go; says why."""
