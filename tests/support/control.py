"""A control plane in a hundred lines: signs, publishes, and remembers what edges say. For tests of the agent alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import msgspec

from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, Limits, SigningKey
from seawall.fleet.edges import Edges
from seawall.fleet.wire import METHOD, SERVICE, Down, Hello, Order, Publish, Up
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.xds.snapshot import Change, Snapshot

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it
_T = TypeVar("_T", bound=Up)
KEY = SigningKey(Secret(b"the key of the control plane...!"))
STRANGER = SigningKey(Secret(b"a key that nobody has heard of.!"))


def bundle_of(snapshot: Snapshot, **fields: Any) -> Bundle:
    return Bundle(content=snapshot.digest, version=snapshot.version, **fields)


class Control:
    """Tells every edge the same. `heard` holds all that was said, oldest first."""

    def __init__(self) -> None:
        self.edges = Edges()
        self.heard: list[Up] = []
        self.fence = 1
        self._newest: Down | None = None
        self._queues: dict[str, asyncio.Queue[Down]] = {}

    def publish(self, snapshot: Snapshot, change: Change | None = None, **order: Any) -> Bundle:
        """Publish whole, or as a `change` of what was published before, with an order to run it."""
        limits = order.pop("limits", Limits())
        bundle = bundle_of(snapshot, limits=limits)
        base = ""
        if change is not None:
            assert isinstance(self._newest, Publish)
            base = self._newest.version
        put, remove = (tuple(snapshot.all()), ()) if change is None else (change.put, change.remove)
        self.send(
            self.signed(bundle, base=base, put=put, remove=remove, **order),
            whole=self.signed(bundle, put=tuple(snapshot.all()), **order),
        )
        return bundle

    def flip(self, bundle: Bundle, **order: Any) -> None:
        """Tell edges to go to a bundle that they keep."""
        self.send(self.signed(bundle, base=bundle.version, **order))

    def signed(self, bundle: Bundle, *, base: str = "", key: SigningKey = KEY, **fields: Any) -> Publish:
        parts = {name: fields.pop(name) for name in ("put", "remove") if name in fields}
        order = Assignment(**{"edge": EVERY_EDGE, "bundle": bundle.name, "fence": self.fence, **fields})
        return Publish(version=bundle.version, base=base, bundle=key.sign(bundle), assignment=key.sign(order), **parts)

    def send(self, message: Down, *, whole: Down | None = None) -> None:
        """Send anything to all edges, and to those that come later (as `whole`)."""
        if isinstance(message, Publish):
            self._newest = whole or message
        for queue in self._queues.values():
            queue.put_nowait(message)

    def order(self, edge: str, order: Order) -> None:
        self._queues[edge].put_nowait(order)

    def all(self, kind: type[_T]) -> list[_T]:
        return [message for message in self.heard if isinstance(message, kind)]

    def last(self, kind: type[_T]) -> _T | None:
        return next(iter(reversed(self.all(kind))), None)

    async def connect(self, _: object, context: Any) -> None:
        hello = msgspec.msgpack.decode(await context.read(), type=Hello)
        queue = self._queues[hello.edge] = asyncio.Queue()
        if self._newest is not None:
            queue.put_nowait(self._newest)
        self.edges.connected(hello, Instant(0.0))
        self.heard.append(hello)
        telling = asyncio.get_running_loop().create_task(self._tell(queue, context), name="control-tell")
        try:
            while (raw := await context.read()) is not _EOF:
                message = msgspec.msgpack.decode(raw, type=Up)
                self.edges.heard(hello.edge, message, Instant(0.0))
                self.heard.append(message)
        finally:
            telling.cancel()
            if self._queues.get(hello.edge) is queue:
                del self._queues[hello.edge]

    async def _tell(self, queue: asyncio.Queue[Down], context: Any) -> None:
        while True:
            await context.write(msgspec.msgpack.encode(await queue.get()))


@contextlib.asynccontextmanager
async def serving(control: Control, folder: Path) -> AsyncIterator[Control]:
    """Serve on `control.sock` in a folder while the block runs."""
    server = grpc.aio.server()
    method = grpc.stream_stream_rpc_method_handler(control.connect)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    server.add_insecure_port(f"unix:{folder}/control.sock")
    await server.start()
    try:
        yield control
    finally:
        await server.stop(grace=0.2)
        (folder / "control.sock").unlink(missing_ok=True)
