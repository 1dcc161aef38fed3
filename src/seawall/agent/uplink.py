"""Uplink: the stream to the control plane: snapshots and orders come down, acknowledgements and heartbeats go up.

Speaks gRPC to `seawall.server.edges`. Losing it changes nothing for Envoy; it is tried again for ever, the addresses in
turn, with a random pause that grows to 15 s: a thousand edges that lost the same control plane do not come back as one.
"""

import asyncio
import datetime
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
import msgspec
import structlog

from seawall.agent.settings import AgentSettings
from seawall.fleet.wire import METHOD, SERVICE, Down, Hello, Publish, Up
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Seconds
from seawall.server.edges import EOF, OPTIONS, require_loopback
from seawall.server.tls import ReloadingIdentity, client_credentials

log = structlog.get_logger(__name__)

MOST_WAITING = 128
_CONNECT_TIMEOUT = Seconds(5.0)
_FIRST_PAUSE = Seconds(0.2)
_LONGEST_PAUSE = Seconds(15.0)
_LOOK_AT_FILES = Seconds(30.0)
_OPTIONS = (
    *OPTIONS,
    # gRPC's own pauses would be added to ours, and are shared by all channels of a process.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Down).decode


class Uplink:
    """Keeps the stream. `problem` says why there is none, or what is wrong with it. `greeting` makes each Hello;
    `on_message` gets whole Publishes (never parts) and the other messages, and may raise OutOfStepError."""

    def __init__(
        self, settings: AgentSettings, greeting: Callable[[], Hello], on_message: Callable[[Down], None]
    ) -> None:
        """Raises ConfigError for addresses that would be spoken to in the clear, and for unusable certificates."""
        self.is_connected = False
        self.problem = ""
        self._addresses = settings.control
        self._greeting = greeting
        self._on_message = on_message
        self._identity = ReloadingIdentity(settings.tls) if settings.tls is not None else None
        if self._identity is None:
            for address in self._addresses:
                if not address.startswith("unix:"):
                    require_loopback(address, is_insecure=settings.is_insecure)
        self._latest: dict[type[Up], Up] = {}
        self._unsent: list[type[Up]] = []
        self._queue: deque[Up] = deque(maxlen=MOST_WAITING)
        self.lost = 0
        """Messages of `tell` that had to go because nobody took them."""
        self._wake = asyncio.Event()
        self._holds_nothing = False

    def say(self, message: Up) -> None:
        """Send a message as soon as there is a stream; a newer one of its kind replaces it. Never waits."""
        self._latest[type(message)] = message
        if type(message) not in self._unsent:
            self._unsent.append(type(message))
        self._wake.set()

    def tell(self, message: Up) -> None:
        """Send a message of which each counts, in their order; the oldest go when too many wait. Never waits."""
        self.lost += len(self._queue) == MOST_WAITING
        self._queue.append(message)
        self._wake.set()

    def unsay(self, *kinds: type[Up]) -> None:
        """Do not repeat to the next stream what does not hold any more."""
        for kind in kinds:
            self._latest.pop(kind, None)
        self._unsent = [kind for kind in self._unsent if kind not in kinds]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        turn = random.randrange(len(self._addresses)) if self._addresses else 0  # noqa: S311 - spreads load
        while self._addresses:
            address = self._addresses[turn % len(self._addresses)]
            began = time.monotonic()
            try:
                await self._hold(address)
                reason = ""
            except (UnavailableError, ConfigError, OutOfStepError) as exc:
                reason = str(exc)
            turn += 1
            failures = 0 if time.monotonic() - began > _LONGEST_PAUSE else failures + 1
            if reason and reason != self.problem:
                log.warning("control_plane_lost", address=address, reason=reason)
            self.problem = reason
            await asyncio.sleep(_pause(failures))

    async def _hold(self, address: str) -> None:
        """Keep one stream until it ends; returns if we ended it to use renewed certificates."""
        async with self._channel(address) as channel:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    await channel.channel_ready()
            except TimeoutError as exc:
                raise UnavailableError(f"the control plane at {address} did not answer in 5 s.") from exc
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            hello = self._greeting()
            held = "" if self._holds_nothing else hello.held
            self._holds_nothing = False
            try:
                await call.write(_encode(msgspec.structs.replace(hello, held=held)))
                await self._talk(call, address)
            except grpc.aio.AioRpcError as exc:
                raise UnavailableError(f"the control plane at {address} says: {exc.details()}") from exc
            except asyncio.InvalidStateError as exc:
                raise UnavailableError(f"the stream to {address} broke.") from exc
            finally:
                self.is_connected = False
                call.cancel()

    async def _talk(self, call: Any, address: str) -> None:
        self.problem = ""
        self._unsent = list(self._latest)
        self._wake.set()
        end: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        flows = {"listen": self._listen(call, address), "tell": self._tell(call), "certificates": self._watch_files()}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_ending(flow, end), name=f"uplink-{name}") for name, flow in flows.items()]
            reason = await end
            for task in tasks:
                task.cancel()
        if not isinstance(reason, _RenewedError):
            raise reason
        log.info("control_plane_reconnected_with_renewed_certificate", address=address)

    async def _listen(self, call: Any, address: str) -> None:
        parts: list[Publish] = []
        while True:
            raw = await call.read()
            if raw is EOF:
                code, details = await call.code(), await call.details()
                raise UnavailableError(details or f"the control plane at {address} ended the stream ({code}).")
            try:
                message = _decode(raw)
            except (msgspec.DecodeError, msgspec.ValidationError) as exc:
                raise UnavailableError(f"the control plane at {address} sent what is no message: {exc}") from exc
            if not self.is_connected:
                self.is_connected = True
                log.info("control_plane_connected", address=address)
            if isinstance(message, Publish):
                parts.append(message)
                if message.more:
                    continue
                message, parts = _joined(parts), []
            try:
                self._on_message(message)
            except OutOfStepError:
                self._holds_nothing = True
                raise

    async def _tell(self, call: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent:
                await call.write(_encode(self._latest[self._unsent.pop(0)]))
            while self._queue and not self._unsent:
                await call.write(_encode(self._queue.popleft()))
            if self._unsent:
                self._wake.set()

    async def _watch_files(self) -> None:
        """End the stream when the certificate has been renewed; complain when it should be."""
        if self._identity is None:
            return
        used = self._identity.current()
        while True:
            complaint = used.complaint(datetime.datetime.now(datetime.UTC))
            if complaint and complaint != self.problem:
                log.warning("certificate_expires", reason=complaint)
                self.problem = complaint
            await asyncio.sleep(_LOOK_AT_FILES)
            if self._identity.current() is not used:
                raise _RenewedError

    def _channel(self, address: str) -> Any:
        if self._identity is None or address.startswith("unix:"):
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        return grpc.aio.secure_channel(address, client_credentials(self._identity.current()), options=_OPTIONS)


class OutOfStepError(Exception):
    """What was published does not fit what we hold: the whole is asked for."""


class _RenewedError(Exception):
    """The certificate files have changed."""


def _joined(parts: list[Publish]) -> Publish:
    if len(parts) == 1:
        return parts[0]
    put = tuple(resource for part in parts for resource in part.put)
    remove = tuple(ref for part in parts for ref in part.remove)
    return msgspec.structs.replace(parts[-1], put=put, remove=remove)


async def _ending(flow: Coroutine[None, None, None], end: "asyncio.Future[Exception]") -> None:
    """Run a flow; what it fails with ends the stream.

    A TaskGroup whose child fails in the moment of its own cancellation tells of the failure only (Python 3.11): the
    cancellation would be lost, and the uplink would try again for ever. So no child fails.
    """
    try:
        await flow
    except Exception as exc:
        if not end.done():
            end.set_result(exc)


def _pause(failures: int) -> float:
    """Full jitter: anything from nothing to a bound that doubles."""
    bound = min(_FIRST_PAUSE * 2.0 ** min(failures, 10), _LONGEST_PAUSE)
    return random.uniform(0, bound)  # noqa: S311 - spreads load
