"""ADS: speaks delta xDS over gRPC, to the Envoy of an agent (unix socket) or to any fleet of clients (TCP, mTLS).

The machine is `xds.stream`, the snapshot comes from a `Hub`; here are only sockets, clocks and limits. One task reads a
stream, one decides and writes; a snapshot that comes while a write waits is merged with the next.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec
import structlog

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.server.admission import Admission
from seawall.server.hub import Hub, Mailbox
from seawall.server.proto import events, parse, response
from seawall.server.tls import peer_names
from seawall.xds.client import StreamSettings
from seawall.xds.events import Applied, Event, Recovered, Rejected, Send, SnapshotChanged, Ticked
from seawall.xds.state import StreamState
from seawall.xds.stream import DeltaStream

log = structlog.get_logger(__name__)

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class AdsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the service, and how patient its streams are.

    `connection_age` closes TCP connections after about that time (gRPC spreads it by 10 %), so that clients spread over
    the replicas again; 0 never. `admission_rate` is new streams per second: the first answer is the dear one.
    """

    max_streams: int = 5_000
    admission_rate: float = 400.0
    admission_wait: Seconds = Seconds(10.0)
    request_bytes: int = 32 << 20
    max_types: int = 32
    max_names: int = 200_000
    greeting_timeout: Seconds = Seconds(10.0)
    send_timeout: Seconds = Seconds(10.0)
    connection_age: Seconds = Seconds(0.0)
    stream: StreamSettings = StreamSettings()


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """A client has opened a stream and said who it is."""

    peer: str


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """A stream has ended."""

    reason: str


Report = Connected | Disconnected | Applied | Rejected | Recovered
Reports = Callable[[str, Report], None]
"""Called with the node id and what is to be known about it; must not block."""
HubFor = Callable[[str, str], Hub | None]
"""Node id and cluster → the hub of its group; None for a node that is not served."""


class _Refused(Exception):
    """Ends a stream with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class AdsService:
    """The streams of one gRPC service; several servers may share it."""

    def __init__(self, hub_for: HubFor, reports: Reports, settings: AdsSettings | None = None) -> None:
        self._hub_for = hub_for
        self._reports = reports
        self._settings = settings or AdsSettings()
        self._admission = Admission(
            most=self._settings.max_streams,
            rate=self._settings.admission_rate,
            longest_wait=self._settings.admission_wait,
        )
        self._sessions: set[_Session] = set()
        self._is_draining = False

    @property
    def settings(self) -> AdsSettings:
        return self._settings

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """Return what a gRPC server must be given to serve ADS."""
        method = grpc.stream_stream_rpc_method_handler(self._serve)
        service, name = METHOD.lstrip("/").split("/")
        return grpc.method_handlers_generic_handler(service, {name: method})

    def states(self) -> list[tuple[str, StreamState]]:
        """Describe every stream, by node id."""
        return [(session.node, session.stream.state()) for session in self._sessions]

    async def drain(self, window: Seconds) -> None:
        """Take no new streams and end the open ones spread over a time, so that they do not all come back at once."""
        self._is_draining = True
        sessions = list(self._sessions)
        for left, session in zip(range(len(sessions), 0, -1), sessions, strict=True):
            # Paces the ends: equal steps, a little unlike those of other replicas.
            await asyncio.sleep(window / len(sessions) * random.uniform(0.5, 1.0))  # noqa: S311
            session.end(f"the control plane is stopping ({left} streams left)")

    async def _serve(self, _requests: object, context: Any) -> None:
        """Carry one stream; the end of it is a gRPC status, never an exception."""
        try:
            with self._admission.stream() as turn:
                await asyncio.sleep(turn)
                await self._carry(context)
        except (_Refused, UnavailableError) as exc:
            code = exc.code if isinstance(exc, _Refused) else grpc.StatusCode.RESOURCE_EXHAUSTED
            if not self._is_draining:
                log.warning("ads_stream_refused", peer=context.peer(), code=code.name, reason=str(exc))
            await context.abort(code, str(exc))

    async def _carry(self, context: Any) -> None:
        if self._is_draining:
            raise _Refused(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")
        request = await self._first_request(context)
        if request is None:
            return
        node = self._identify(request, context)
        hub = self._hub_for(node, request.node.cluster)
        if hub is None:
            raise _Refused(grpc.StatusCode.PERMISSION_DENIED, f"node {node} is not served here")
        await hub.first()
        session = _Session(node, hub, self._settings, self._reports)
        self._sessions.add(session)
        self._reports(node, Connected(peer=context.peer()))
        reason = "cancelled by the client"
        try:
            reason = await session.run(request, context)
        except _Refused as exc:
            reason = exc.message
            raise
        finally:
            self._sessions.discard(session)
            self._reports(node, Disconnected(reason=reason))

    async def _first_request(self, context: Any) -> Any:
        try:
            async with asyncio.timeout(self._settings.greeting_timeout):
                return await _read(context)
        except TimeoutError:
            raise _Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "a stream must begin with a request") from None

    def _identify(self, request: Any, context: Any) -> str:
        """Return the node id of a first request; under TLS the certificate must speak for it."""
        node: str = request.node.id
        if not node:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT, "the first request of a stream must say who asks: set node.id"
            )
        auth = context.auth_context()
        if auth.get("transport_security_type") == [b"ssl"]:
            names = peer_names(auth)
            if node not in names:
                speaks_for = ", ".join(sorted(names)) or "nobody"
                raise _Refused(
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"the certificate speaks for {speaks_for}, not for node {node}: use the certificate of that node",
                )
        return node


class _Session:
    """One stream: its machine, its inbox, its writer."""

    def __init__(self, node: str, hub: Hub, settings: AdsSettings, reports: Reports) -> None:
        self.node = node
        self.stream = DeltaStream(hub.snapshot, settings.stream, hub.recall)
        self._hub = hub
        self._settings = settings
        self._reports = reports
        self._inbox: asyncio.Queue[Any] = asyncio.Queue(maxsize=64)
        self._wake = asyncio.Event()
        self._types: set[str] = set()
        self._names = 0
        self._end = ""

    def end(self, reason: str) -> None:
        """End the stream from our side."""
        self._end = reason
        self._wake.set()

    async def run(self, first: Any, context: Any) -> str:
        """Carry the stream until somebody ends it; return why it ended."""
        reason = ""
        self._inbox.put_nowait(first)
        self._wake.set()
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read_all(context), name=f"ads-read-{self.node}")
                with self._hub.mailbox(self._wake.set) as mailbox:
                    reason = await self._write_all(mailbox, context)
                reader.cancel()
        except* _Refused as many:
            raise _first(many) from None
        return reason

    async def _read_all(self, context: Any) -> None:
        while (request := await _read(context)) is not None:
            await self._inbox.put(request)
            self._wake.set()
        self.end("closed by the client")

    async def _write_all(self, mailbox: Mailbox, context: Any) -> str:
        while True:
            await self._sleep()
            if self._end:
                if self._end.startswith("closed"):
                    return self._end
                raise _Refused(grpc.StatusCode.UNAVAILABLE, self._end)
            while not self._inbox.empty():
                for event in self._events(self._inbox.get_nowait()):
                    await self._do(event, context)
            change = mailbox.take()
            if change.is_empty:
                await self._do(Ticked(at=_now()), context)
            else:
                await self._do(SnapshotChanged(at=_now(), snapshot=mailbox.snapshot, change=change), context)

    async def _sleep(self) -> None:
        """Wait until something comes in or is due."""
        wake_at = self.stream.wake_at()
        if wake_at is None:
            await self._wake.wait()
        else:
            try:
                async with asyncio.timeout(max(wake_at - _now(), 0)):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()

    def _events(self, request: Any) -> list[Event]:
        is_first = request.type_url not in self._types
        self._types.add(request.type_url)
        self._names += len(request.resource_names_subscribe) - len(request.resource_names_unsubscribe)
        if len(self._types) > self._settings.max_types or self._names > self._settings.max_names:
            raise _Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"a stream may ask for {self._settings.max_types} types and {self._settings.max_names} names",
            )
        return list(events(request, _now(), is_first=is_first))

    async def _do(self, event: Event, context: Any) -> None:
        for action in self.stream.handle(event):
            if not isinstance(action, Send):
                self._reports(self.node, action)
                continue
            try:
                # Who reads this slowly is dropped: it says what it holds when it comes back.
                async with asyncio.timeout(self._settings.send_timeout):
                    await context.write(response(action))
            except TimeoutError:
                message = f"node {self.node} did not take a response within {self._settings.send_timeout:g} s"
                raise _Refused(grpc.StatusCode.DEADLINE_EXCEEDED, message) from None


async def _read(context: Any) -> Any:
    """Read a request; None at the end of the stream."""
    body = await context.read()
    if body is _EOF:
        return None
    try:
        return parse(body)
    except ValueError as exc:
        raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, str(exc)) from exc


def _first(group: BaseExceptionGroup[_Refused]) -> _Refused:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _now() -> Instant:
    return Instant(time.monotonic())


@asynccontextmanager
async def serving(
    service: AdsService, address: str, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    """Serve at `unix:/path` or `host:port`; yields the port (port 0 binds any). Stops when left."""
    server = grpc.aio.server(options=server_options(service.settings))
    server.add_generic_rpc_handlers((service.handler(),))
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as exc:
        raise ConfigError(
            f"xDS cannot be served at {address}: {exc}.", hint="Is another one running there? Choose another address."
        ) from exc
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=None)


def server_options(settings: AdsSettings) -> list[tuple[str, int]]:
    """Return gRPC's options. Pings both ways find the dead; clients may ping every five seconds, idle or not."""
    options = [
        ("grpc.max_receive_message_length", settings.request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
    if settings.connection_age:
        options.append(("grpc.max_connection_age_ms", int(settings.connection_age * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", 60_000))
    return options
