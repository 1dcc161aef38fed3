"""Nothing is lost while everything changes: 500 changes under constant requests, every answer accounted for."""

import asyncio
import contextlib
import datetime
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import websockets

from seawall.app.standins import self_signed
from tests.support.manifests import Json, backend, gateway, route, secret, set_header, to
from tests.support.seawall import Instance, free_port, seawall_up

CHANGES = 500
HOSTS = 8
BACKENDS = 4
STREAMS = 6
VOLATILE = "volatile.example"
SEED = 20261122

pytestmark = pytest.mark.e2e


class World:
    """What we wrote last, and what each host may answer: every backend that it was ever sent to."""

    def __init__(self, ports: list[int]) -> None:
        self.random = random.Random(SEED)
        self.ports = ports
        self.now = {f"h{n}.example": "b0" for n in range(HOSTS)}
        self.allowed = {host: {"b0"} for host in self.now}
        self.fresh: dict[str, str] = {}

    def rules(self, host: str, target: str) -> list[Json]:
        """Two rules in any order, each with header edits; a request for `/` always meets one that goes to `target`."""
        extra = to(target, set_header("x-step", str(self.random.random())), path="/extra")
        rules = [to(target, set_header("x-host", host)), extra]
        self.random.shuffle(rules)
        return rules


@contextlib.asynccontextmanager
async def backends() -> AsyncIterator[list[int]]:
    """HTTP servers that say who they are and echo WebSockets."""

    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for number in range(BACKENDS):
            name = f"b{number}"

            def answer(
                connection: websockets.ServerConnection, request: websockets.Request, name: str = name
            ) -> object:
                if "upgrade" in request.headers.get("Connection", "").lower():
                    return None
                response = connection.respond(200, name)
                response.headers["x-backend"] = name
                return response

            server = await stack.enter_async_context(
                websockets.serve(echo, "127.0.0.1", 0, process_request=answer)  # type: ignore[arg-type]
            )
            ports.append(next(iter(server.sockets)).getsockname()[1])
        yield ports


def test_every_answer_is_one_that_some_valid_configuration_would_have_given() -> None:
    asyncio.run(everything_changes())


async def everything_changes() -> None:
    async with backends() as ports:
        port, tls_port = free_port(), free_port()
        world = World(ports)
        files = {
            "gateway": gateway(port, tls_port=tls_port),
            "certificate": [fresh_secret()],
            **{f"b{n}": [backend(f"b{n}", p)] for n, p in enumerate(ports)},
            **{host: [route(host.split(".")[0], [host], world.rules(host, "b0"))] for host in world.now},
        }
        async with seawall_up(files) as edge:
            await settled(port, world)
            answers, stop = Counter[str](), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for host in world.now:
                    group.create_task(keep_asking(port, host, world, answers, stop), name=host)
                group.create_task(ask_over_tls(tls_port, "h0.example", world, answers, stop), name="tls")
                group.create_task(ask_volatile(port, answers, stop), name="volatile")
                for number in range(STREAMS):
                    group.create_task(hold_stream(port, "h0.example", answers, stop), name=f"stream-{number}")
                await change_everything(edge, world)
                await edge.well()
                await settled(port, world)
                stop.set()

            wrong = {kind: count for kind, count in answers.items() if not kind.startswith("right")}
            assert wrong == {}
            assert answers["right"] > CHANGES
            assert answers["right stream"] == STREAMS


async def change_everything(edge: Instance, world: World) -> None:
    """Add, change, reorder and remove routes, backends, certificates: `CHANGES` times, as fast as files can be written."""
    for step in range(CHANGES):
        match world.random.randrange(10):
            case 0:
                edge.write("volatile", route("volatile", [VOLATILE], [to("b1")]))
            case 1:
                with contextlib.suppress(FileNotFoundError):
                    edge.remove("volatile")
            case 2:
                edge.write("extra-backend", backend("extra", *world.random.sample(world.ports, 2)))
            case 3:
                with contextlib.suppress(FileNotFoundError):
                    edge.remove("extra-backend")
            case 4:
                edge.write("certificate", fresh_secret())
            case 5:
                edge.write("broken", {"apiVersion": "v1", "kind": "Nonsense", "metadata": {"name": f"n{step}"}})
            case _:
                move(edge, world, world.random.choice(list(world.now)), step)
        await asyncio.sleep(world.random.choice((0, 0.005, 0.02)))


def move(edge: Instance, world: World, host: str, step: int) -> None:
    """Send a host to another backend, half of the time to one that did not exist before; then its old one goes."""
    number = world.random.randrange(BACKENDS)
    world.allowed[host].add(f"b{number}")
    world.now[host] = target = f"b{number}"
    before = world.fresh.pop(host, None)
    if world.random.random() < 0.5:
        world.fresh[host] = target = f"fresh-{step}"
        edge.write(target, backend(target, world.ports[number]))
    edge.write(host, route(host.split(".", maxsplit=1)[0], [host], world.rules(host, target)))
    if before is not None:
        edge.remove(before)


def fresh_secret() -> Json:
    data = self_signed(["h0.example"], datetime.datetime.now(datetime.UTC))
    return secret("certificate", data["tls.crt"].reveal(), data["tls.key"].reveal())


async def settled(port: int, world: World) -> None:
    """Wait until every host answers from the backend that we wrote last, three times in a row."""
    for host, target in world.now.items():
        async with asyncio.timeout(20):
            hits = 0
            while hits < 3:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                _, found = await ask(reader, writer, host)
                writer.close()
                hits = hits + 1 if found == target else 0
                if not hits:
                    await asyncio.sleep(0.02)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> tuple[int, str]:
    """One request on a kept connection: status and who answered."""
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split(" ")[1]), headers.get("x-backend", "")


async def keep_asking(port: int, host: str, world: World, answers: Counter[str], stop: asyncio.Event) -> None:
    """Ask on one connection for as long as it goes. A close between requests is not a loss; one within is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        try:
            status, found = await ask(reader, writer, host)
            answers[judged(status, found, world.allowed[host])] += 1
        except (asyncio.IncompleteReadError, OSError) as error:
            answers[f"lost: {type(error).__name__}"] += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0)
    writer.close()


async def ask_over_tls(port: int, host: str, world: World, answers: Counter[str], stop: asyncio.Event) -> None:
    """A new connection, so a new handshake, for each request: certificates change too."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
            status, found = await ask(reader, writer, host)
            answers[judged(status, found, world.allowed[host])] += 1
            writer.close()
        except (asyncio.IncompleteReadError, OSError) as error:
            answers[f"lost over TLS: {type(error).__name__}"] += 1


async def ask_volatile(port: int, answers: Counter[str], stop: asyncio.Event) -> None:
    """A host that comes and goes: 200 or 404, never anything else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        status, found = await ask(reader, writer, VOLATILE)
        is_right = (status, found) in ((200, "b1"), (404, ""))
        answers["right" if is_right else f"volatile: {status} {found}"] += 1
        await asyncio.sleep(0)
    writer.close()


async def hold_stream(port: int, host: str, answers: Counter[str], stop: asyncio.Event) -> None:
    """A WebSocket that is opened before everything and must still answer after it."""
    async with websockets.connect(f"ws://{host}/", host="127.0.0.1", port=port) as socket:
        count = 0
        while not stop.is_set():
            await socket.send(str(count))
            assert await socket.recv() == str(count)
            count += 1
            await asyncio.sleep(0.01)
        answers["right stream" if count else "silent stream"] += 1


def judged(status: int, found: str, allowed: set[str]) -> str:
    return "right" if status == 200 and found in allowed else f"wrong: {status} from {found or 'nobody'}"
