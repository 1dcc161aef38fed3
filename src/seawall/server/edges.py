"""Edges: the service that agents call: one stream each, snapshots down, acknowledgements and heartbeats up.

Speaks gRPC (generic, MessagePack bodies: `seawall.fleet.wire`). What is known of the edges lives in `fleet.edges`,
what each is to run in `server.orders`. Nothing goes out that is not signed.
Next room: `seawall.agent.uplink` is the other end.

At most one order is on its way to an edge; of those that come meanwhile only the newest is sent. No edge, and no host,
gets more of us than its share (`server.limits`).
"""

import asyncio
import contextlib
import ipaddress
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import structlog

from seawall.fleet.bundle import EVERY_EDGE, Signed
from seawall.fleet.edges import Edges
from seawall.fleet.wire import METHOD, SERVICE, Heartbeat, Hello, Order, Shares, Up, Verdicts, Watch
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant
from seawall.server.limits import Callers, EdgeLimits
from seawall.server.orders import Orders, Target
from seawall.server.tls import ReloadingIdentity, peer_names, server_credentials
from seawall.xds.snapshot import EMPTY, Snapshot

log = structlog.get_logger(__name__)

MAX_MESSAGE = 64 << 20
"""One resource may be large (a list of 250,000 networks is 20 MB); parts are cut far below that."""
_SEND_TIMEOUT = 60.0
_PART_TIMEOUT = 15.0
"""For a part of a whole snapshot: 2 MiB, 140 kB/s. Others wait for the place."""
_GREETING_TIMEOUT = 10.0
_WHOLE_AT_A_TIME = 8
"""So many edges are sent a part of a whole snapshot at a time: after a restart they all want one. They take turns from
part to part, so nobody waits until a slow one has everything."""
_MOST_LABELS = 64
_MOST_VERDICTS = 64
"""Changes of verdicts that wait for an edge to read."""
_LONGEST_LABEL = 256
_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it
"""What a read returns at the end of a stream."""

_encode = msgspec.msgpack.Encoder().encode
_decode_up = msgspec.msgpack.Decoder(Up).decode
_PATHS = (
    # Both sides notice a dead path within 20 s, though nothing is said on it.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    *_PATHS,
)
_SERVER_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    *_PATHS,
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
        self.sent: Snapshot = EMPTY
        """What the edge has been sent, run or not."""
        self.fence = -1
        self.watch: Watch | None = None
        self.shares: Shares | None = None
        self.verdicts: deque[Verdicts] = deque()
        self.kept: tuple[str, ...] = ()
        self.is_told = False
        """A bundle is on its way, so what the edge says that it keeps is newer than its greeting."""


class EdgeService:
    """What all edges are told, and what they say. One loop, no lock."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        on_report: Callable[[str, Up], None] = lambda edge, message: None,
        limits: EdgeLimits | None = None,
    ) -> None:
        """`on_report` is called with every message of every edge, after the registry has taken it in."""
        self.edges = Edges()
        self.callers = Callers(limits or EdgeLimits())
        self._clock = clock
        self._on_report = on_report
        self._orders = Orders()
        self._watch: Watch | None = None
        self._sessions: dict[str, _Session] = {}
        self._whole = asyncio.Semaphore(_WHOLE_AT_A_TIME)

    def offer(self, bundle: Signed, snapshot: Snapshot) -> str:
        """Have a bundle ready that edges may be told to run, or have been told already; return its name."""
        name = self._orders.offer(bundle, snapshot)
        self._wake(EVERY_EDGE)
        return name

    def retire(self, names: Collection[str]) -> None:
        """Let go of bundles that nobody will be told to run any more."""
        self._orders.retire(names)

    def assign(self, assignment: Signed) -> None:
        """Tell the edge that the order names, or all, to run the bundle that it names; connected or not.

        The order with the newest fence counts. An edge that nobody has told anything keeps what it has.
        """
        order = self._orders.assign(assignment)
        if order is None:
            return
        if order.bundle not in self._orders.names:
            log.warning("bundle_awaited", bundle=order.bundle, edge=order.edge)
        self._wake(order.edge)

    def publish(self, snapshot: Snapshot, bundle: Signed, assignment: Signed) -> None:
        """Tell all edges to run a bundle. It is kept for as long as an order names it, or longer if it is offered too."""
        self._orders.put(bundle, snapshot)
        self.assign(assignment)

    def watch(self, watch: Watch) -> None:
        """Tell every edge how to look at itself, now and when it connects."""
        self._watch = watch
        self._wake(EVERY_EDGE)

    @property
    def connected(self) -> frozenset[str]:
        """The edges that have a stream."""
        return frozenset(self._sessions)

    def share(self, edge: str, shares: Shares) -> None:
        """Tell an edge its shares; of those that it has not read only the newest."""
        session = self._sessions.get(edge)
        if session is not None:
            session.shares = shares
            session.changed.set()

    def judge(self, edge: str, verdicts: Verdicts) -> None:
        """Tell an edge what to do with whom. One that does not read misses some, sees that in the numbers, and asks for all."""
        session = self._sessions.get(edge)
        if session is not None:
            if verdicts.whole or len(session.verdicts) >= _MOST_VERDICTS:
                session.verdicts.clear()
            session.verdicts.append(verdicts)
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

    def _wake(self, edge: str) -> None:
        sessions = self._sessions.values() if edge == EVERY_EDGE else (self._sessions.get(edge),)
        for session in sessions:
            if session is not None:
                session.changed.set()

    async def _connect(self, _: object, context: Any) -> None:
        """Serve one edge until it leaves; who is too much is refused with a sentence."""
        try:
            with self.callers.stream(context.peer()) as turn:
                await asyncio.sleep(turn)
                hello = await self._greet(context)
                self.callers.greeted(hello.edge)
                await self._carry(hello, context)
        except UnavailableError as exc:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(exc))

    async def _carry(self, hello: Hello, context: Any) -> None:
        """Carry a stream. Bodies are decoded here: what is no message ends the stream, not the server."""
        with self._session(hello) as session:
            # A version that we do not know is nothing to build on: the edge is sent the whole.
            session.sent = self._orders.find(hello.held) or EMPTY
            # Who holds nothing has said so because what it keeps did not fit: no use to build on that again.
            session.kept = hello.kept if hello.held else ()
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
        if not _are_moderate(hello.labels):
            reason = f"An edge may have {_MOST_LABELS} labels of {_LONGEST_LABEL} letters."
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
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
        pace = self.callers.messages()
        while True:
            raw = await context.read()
            if raw is EOF:
                raise _LeftError("it said goodbye")
            try:
                message = _decode_up(raw)
            except (msgspec.DecodeError, msgspec.ValidationError) as exc:
                raise _LeftError(f"it sent what is no message: {exc}") from exc
            if wait := pace.take():
                # Not read is not answered for: gRPC's flow control makes who floods us wait, and nobody else.
                self.callers.counts["slowed_messages"] += 1
                await asyncio.sleep(wait)
            if isinstance(message, Heartbeat) and session.is_told:
                session.kept = message.kept
            self.edges.heard(session.edge, message, Instant(self._clock()))
            self._on_report(session.edge, message)

    async def _tell(self, session: _Session, context: Any) -> None:
        while True:
            session.changed.clear()
            while not session.orders.empty():
                await self._send(context, _encode(session.orders.get_nowait()))
            if session.shares is not None:
                shares, session.shares = session.shares, None
                await self._send(context, _encode(shares))
            while session.verdicts:
                await self._send(context, _encode(session.verdicts.popleft()))
            if self._watch is not None and session.watch != self._watch:
                session.watch = self._watch
                await self._send(context, _encode(session.watch))
            target = self._orders.target(session.edge)
            if target is not None and target.fence > session.fence:
                await self._publish(session, context, target)
                continue
            await session.changed.wait()

    async def _publish(self, session: _Session, context: Any, target: Target) -> None:
        base = self._orders.base(session.sent, session.kept, target)
        # Before it is sent: the edge may have taken it, and said so, before we come to the next line.
        session.is_told = True
        for message in self._orders.messages(base, target):
            if len(base):
                await self._send(context, message)
                continue
            async with self._whole:
                await self._send(context, message, _PART_TIMEOUT)
        session.sent, session.fence = target.snapshot, target.fence
        self.edges.sent(session.edge, target.snapshot.version, target.bundle)

    async def _send(self, context: Any, body: bytes, patience: float = _SEND_TIMEOUT) -> None:
        try:
            async with asyncio.timeout(patience):
                await context.write(body)
        except TimeoutError as exc:
            raise _LeftError(f"it did not read for {patience:g} s") from exc


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
    limit = ("grpc.max_receive_message_length", service.callers.limits.message_bytes)
    server = grpc.aio.server(options=(*_SERVER_OPTIONS, limit))
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


def _are_moderate(labels: dict[str, str]) -> bool:
    longest = max((len(text) for pair in labels.items() for text in pair), default=0)
    return len(labels) <= _MOST_LABELS and longest <= _LONGEST_LABEL


async def _until(replaced: asyncio.Event) -> None:
    await replaced.wait()
    raise _LeftError("it has connected anew")


class _LeftError(Exception):
    """The edge is gone, or has to go; says why."""
