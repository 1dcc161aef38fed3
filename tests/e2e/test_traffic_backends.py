"""TrafficPolicy through `seawall up`: how backends are treated, and streams to them, with the real Envoy and real origins."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tests.support.manifests import GATEWAY_API, Json, backend
from tests.support.origins import Answer, Asked, Broken, Origin, origin
from tests.support.seawall import free_port
from tests.support.traffic import OWN_GROUP, Edge, edge, policy, rules, saying

pytestmark = pytest.mark.e2e


def test_the_same_client_comes_to_the_same_endpoint_by_header_cookie_and_address() -> None:
    async def run() -> None:
        names = [f"127.0.0.{last}" for last in range(1, 5)]
        origins: list[Origin] = []
        async with origin() as one, origin() as two, origin() as three, origin() as four:
            origins = [one, two, three, four]
            for index, each in enumerate(origins):
                each.handler = saying(names[index])
            ports = [each.port for each in origins]
            objects = (
                *(backend(name, *ports) for name in ("header", "cookie", "source", "ring")),
                policy(
                    "h", "Backend/header", loadBalancing={"type": "maglev", "hash": [{"type": "header", "name": "X-U"}]}
                ),
                policy(
                    "c",
                    "Backend/cookie",
                    loadBalancing={"type": "maglev", "hash": [{"type": "cookie", "name": "u", "ttl": "1h"}]},
                ),
                policy("s", "Backend/source", loadBalancing={"type": "ringHash", "hash": [{"type": "source"}]}),
            )
            by_rule = [*rules("header", to="header"), *rules("cookie", to="cookie"), *rules("source", to="source")]
            async with edge(by_rule, *objects) as running:
                by_user = {
                    user: {(await running.ask("/header", headers={"x-u": str(user)})).text for _ in range(5)}
                    for user in range(20)
                }
                first = await running.ask("/cookie")
                by_cookie = {(await running.ask("/cookie")).text for _ in range(10)}
                by_source = {(await running.ask("/source")).text for _ in range(10)}

        assert {len(found) for found in by_user.values()} == {1}
        assert len(set.union(*by_user.values())) > 1
        assert "u=" in first.headers["set-cookie"]
        assert by_cookie == {first.text}
        assert len(by_source) == 1

    asyncio.run(run())


def test_an_endpoint_that_fails_its_checks_gets_no_requests_until_it_is_well() -> None:
    async def run() -> None:
        sick = Answer(status=500, body=b"sick")

        def handle(asked: Asked) -> Answer:
            return sick if asked.path == "/health" else Answer(body=b"one")

        async with origin(handle) as one, origin(lambda _: Answer(body=b"two")) as two:
            check = {
                "http": {"path": "/health"},
                "interval": "100ms",
                "timeout": "100ms",
                "unhealthy": 1,
                "panicPercent": 0,
            }
            objects = (backend("web", one.port, two.port), policy("p", "Backend/web", healthCheck=check))
            async with edge(rules("x"), *objects) as running:
                assert await _answers(running, {"two"}) == {"two"}
                one.handler = lambda _: Answer(body=b"one")
                assert await _answers(running, {"one", "two"}) == {"one", "two"}
            assert one.asked[0].headers["host"] == "web"

    asyncio.run(run())


async def _answers(running: Edge, wanted: set[str]) -> set[str]:
    """Ask again and again until the answers of twenty requests are these; return the last ones."""
    found = set[str]()
    async with asyncio.timeout(20):
        while (found := {(await running.ask("/x")).text for _ in range(20)}) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


def test_an_endpoint_that_fails_requests_is_left_out_and_comes_back() -> None:
    async def run() -> None:
        async with origin(lambda _: Broken()) as bad, origin(lambda _: Answer(body=b"well")) as well:
            ejection = {"gatewayErrors": 2, "errors": 0, "interval": "100ms", "duration": "500ms"}
            objects = (
                backend("web", bad.port, well.port),
                policy("p", "Backend/web", outlierEjection=ejection),
                policy("r", "HTTPRoute/a", retry={"attempts": 0}),
            )
            async with edge(rules("x"), *objects) as running:
                found = Counter([(await running.ask("/x")).status_code for _ in range(40)])
                assert 1 <= found[503] <= 4, found
                bad.handler = lambda _: Answer(body=b"healed")
                assert await _answers(running, {"well", "healed"}) == {"well", "healed"}

    asyncio.run(run())


async def _burst(running: Edge, count: int) -> list[int]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(running.ask("/x")) for _ in range(count)]
    return [task.result().status_code for task in tasks]


def test_a_dead_endpoint_costs_nobody_a_request_without_any_policy() -> None:
    async def run() -> None:
        dead = free_port()
        async with origin(saying("well")) as one, origin(saying("well")) as two, origin(saying("well")) as three:
            objects = (backend("web", dead, one.port, two.port, three.port), backend("alone", free_port()))
            async with edge([*rules("x"), *rules("y", to="alone")], *objects) as running:
                found = Counter([status for _ in range(12) for status in await _burst(running, 16)])
                assert found == {200: 12 * 16}
                async with origin(saying("back"), port=dead):
                    assert await _answers(running, {"well", "back"}) == {"well", "back"}
                # Who is the only one is asked all the same.
                assert {(await running.ask("/y")).status_code for _ in range(5)} == {503}
                async with origin(saying("alone"), port=objects[1]["spec"]["endpoints"][0]["port"]):
                    assert (await running.ask("/y")).text == "alone"

    asyncio.run(run())


def test_another_priority_steps_in_and_zones_have_their_shares() -> None:
    async def run() -> None:
        async with origin(saying("first")) as first, origin(saying("second")) as second:
            ranked = backend("ranked", first.port, second.port)
            ranked["spec"]["endpoints"][1]["priority"] = 1
            zoned = backend("zoned", first.port, second.port)
            for endpoint, zone in zip(zoned["spec"]["endpoints"], ("a", "b"), strict=True):
                endpoint["zone"] = zone
            check = {"http": {}, "interval": "100ms", "timeout": "100ms", "unhealthy": 1}
            shares = {"zones": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]}
            objects = (
                ranked,
                zoned,
                policy("p", "Backend/ranked", healthCheck=check),
                policy("z", "Backend/zoned", loadBalancing=shares),
            )
            async with edge([*rules("x", to="ranked"), *rules("zoned", to="zoned")], *objects) as running:
                assert await _answers(running, {"first"}) == {"first"}
                drawn = Counter([(await running.ask("/zoned")).text for _ in range(100)])
                first.handler = lambda _: Answer(status=503)
                assert await _answers(running, {"second"}) == {"second"}

            assert 70 <= drawn["first"] <= 99, drawn

    asyncio.run(run())


def test_what_is_above_the_circuit_breaker_is_refused_at_once() -> None:
    async def run() -> None:
        async with origin(lambda _: Answer(after=0.5)) as web:
            breaker = {"connections": 1, "pendingRequests": 1}
            objects = (backend("web", web.port), policy("p", "Backend/web", circuitBreaker=breaker))
            async with edge(rules("x"), *objects) as running, asyncio.TaskGroup() as group:
                sent = [group.create_task(running.ask("/x"), name=str(index)) for index in range(10)]
            found = Counter(task.result().status_code for task in sent)

            # One is on its way, one waits; which of the two comes first is the event loop's.
            assert 1 <= found[200] <= 2, found
            assert found[200] + found[503] == 10

    asyncio.run(run())


class _Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its types only
    """Says something, is silent, says something again; and says whether it is well, by the protocol of gRPC."""

    def __init__(self) -> None:
        self.is_well = True

    def service(self, details: Any) -> Any:
        async def slowly(request: bytes, context: Any) -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.sleep(1.5)
            yield b"second"

        async def check(request: bytes, context: Any) -> bytes:
            return b"\x08\x01" if self.is_well else b"\x08\x02"

        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(check)
        return grpc.unary_stream_rpc_method_handler(slowly)


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[_Service, int]]:
    server, service = grpc.aio.server(), _Service()
    server.add_generic_rpc_handlers((service,))
    port: int = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service, port
    finally:
        await server.stop(None)


def grpc_route(*names: str) -> Json:
    """A rule for each service."""
    named = [
        {
            "name": name,
            "matches": [{"method": {"service": name}}],
            "backendRefs": [{"group": OWN_GROUP, "kind": "Backend", "name": "talk"}],
        }
        for name in names
    ]
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": ["talk.example"], "rules": named}
    return {
        "apiVersion": GATEWAY_API,
        "kind": "GRPCRoute",
        "metadata": {"name": "talk", "namespace": "test"},
        "spec": spec,
    }


def speaking(name: str, protocol: str, *ports: int) -> Json:
    made = backend(name, *ports)
    made["spec"]["protocol"] = protocol
    return made


async def _said(port: int, service: str) -> list[bytes | str]:
    """Return what a stream said, and how it ended if that was not well."""
    options = (("grpc.default_authority", "talk.example"),)
    found: list[bytes | str] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            async for message in channel.unary_stream(f"/{service}/Slowly", None, None)(b""):
                found.append(message)
        except grpc.aio.AioRpcError as error:
            found.append(error.code().name)
    return found


def test_a_grpc_stream_may_be_silent_for_longer_than_the_gateway_says_where_a_rule_lifts_it() -> None:
    async def run() -> None:
        async with talking() as (_, port):
            objects = (
                grpc_route("quiet", "bounded"),
                speaking("talk", "HTTP2", port),
                policy("all", "Gateway/edge", timeouts={"streamIdle": "500ms"}),
                policy("quiet", "GRPCRoute/talk/quiet", timeouts={"streamIdle": "0s"}),
            )
            async with edge(rules("x", to="talk"), *objects) as running:
                quiet = await _said(running.port, "quiet")
                bounded = await _said(running.port, "bounded")

        assert quiet == [b"first", b"second"]
        assert bounded[0] == b"first"
        assert b"second" not in bounded

    asyncio.run(run())


def test_endpoints_are_asked_over_grpc_and_over_tcp() -> None:
    async def run() -> None:
        often = {"interval": "100ms", "timeout": "100ms", "unhealthy": 1, "panicPercent": 0}
        async with talking() as (service, port), origin() as web:
            objects = (
                grpc_route("any"),
                speaking("talk", "HTTP2", port),
                backend("web", free_port(), web.port),
                policy("g", "Backend/talk", healthCheck={"grpc": {}, **often}),
                policy("t", "Backend/web", healthCheck={"tcp": {}, **often}),
            )
            async with edge(rules("x"), *objects) as running:
                async with asyncio.timeout(20):
                    while await _said(running.port, "any") != [b"first", b"second"]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                service.is_well = False
                async with asyncio.timeout(20):
                    while await _said(running.port, "any") != ["UNAVAILABLE"]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert await _answers(running, {"ok"}) == {"ok"}

    asyncio.run(run())
