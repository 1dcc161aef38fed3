"""TrafficPolicy through `seawall up`: what becomes of requests, with the real Envoy and real origins."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.manifests import Json, backend
from tests.support.origins import Answer, Asked, Broken, Handler, origin
from tests.support.seawall import free_port
from tests.support.traffic import GATEWAY_GROUP, HOST, OWN_GROUP, Edge, edge, policy, rules, saying

pytestmark = pytest.mark.e2e


def failing(times: int, answer: Answer | Broken) -> Handler:
    """Answer so many requests of each path with something else than 200."""
    seen = Counter[str]()

    def handle(asked: Asked) -> Answer | Broken:
        seen[asked.path] += 1
        return answer if seen[asked.path] <= times else Answer(body=str(seen[asked.path]).encode())

    return handle


def test_a_request_is_tried_again_after_what_the_policy_says_and_as_often() -> None:
    async def run() -> None:
        async with origin(failing(2, Answer(status=503))) as web:
            policies = (
                policy("gate", "HTTPRoute/a/gate", retry={"attempts": 2, "reasons": ["gatewayError"]}),
                policy("once", "HTTPRoute/a/once", retry={"attempts": 1, "codes": [503]}),
                policy("off", "HTTPRoute/a/off", retry={"attempts": 0}),
            )
            async with edge(rules("gate", "once", "off", "unset"), backend("web", web.port), *policies) as running:
                found = {name: (await running.ask(f"/{name}")).status_code for name in ("gate", "once", "off", "unset")}

            assert found == {"gate": 200, "once": 503, "off": 503, "unset": 503}
            assert Counter(web.paths) == {"/gate": 3, "/once": 2, "/off": 1, "/unset": 1}

    asyncio.run(run())


def test_a_retry_goes_to_a_host_that_was_not_tried() -> None:
    async def run() -> None:
        async with origin(lambda _: Broken()) as bad, origin() as well:
            retry = policy("r", "HTTPRoute/a", retry={"attempts": 1})
            async with edge(rules("x"), backend("web", bad.port, well.port), retry) as running:
                found = [(await running.ask("/x")).status_code for _ in range(20)]

            assert found == [200] * 20
            assert bad.asked

    asyncio.run(run())


def test_timeouts_hold_for_a_try_and_for_the_whole_and_silence_may_last() -> None:
    async def run() -> None:
        async with origin(lambda asked: Answer(after=1.0 if "quick" not in asked.path else 0.0)) as web:
            policies = (
                policy("all", "Gateway/edge", timeouts={"streamIdle": "300ms"}),
                policy("whole", "HTTPRoute/a/whole", timeouts={"request": "200ms", "streamIdle": "0s"}),
                policy("try", "HTTPRoute/a/try", timeouts={"backendRequest": "100ms", "streamIdle": "0s"}),
                policy("quiet", "HTTPRoute/a/quiet", timeouts={"streamIdle": "5s"}),
            )
            names = ("whole", "try", "quiet", "idle")
            async with edge(rules(*names), backend("web", web.port), *policies) as running:
                began = time.monotonic()
                found = {name: (await running.ask(f"/{name}")).status_code for name in names}

            assert found == {"whole": 504, "try": 504, "quiet": 200, "idle": 504}
            assert time.monotonic() - began < 4

    asyncio.run(run())


def test_faults_are_injected_into_requests_that_ask_for_them() -> None:
    async def run() -> None:
        async with origin() as web:
            fault = {
                "abort": {"status": 418},
                "delay": {"duration": "300ms"},
                "header": "x-drill",
            }
            objects = (backend("web", web.port), policy("p", "HTTPRoute/a/x", fault=fault))
            async with edge(rules("x", "y"), *objects) as running:
                plain = (await running.ask("/x")).status_code
                other = (await running.ask("/y", headers={"x-drill": "1"})).status_code
                began = time.monotonic()
                drilled = (await running.ask("/x", headers={"x-drill": "1"})).status_code
                took = time.monotonic() - began

            assert (plain, other, drilled) == (200, 200, 418)
            # Envoy's timers go by its loop's clock, which is a moment behind.
            assert took > 0.25

    asyncio.run(run())


def test_responses_are_compressed_with_what_the_client_takes() -> None:
    async def run() -> None:
        text = b"the same words again and again " * 200
        kinds = {"/page": "text/html; charset=utf-8", "/picture": "image/png"}

        def handle(asked: Asked) -> Answer:
            path = asked.path.rpartition("/")[0] or asked.path
            body = text[:100] if asked.path.endswith("/short") else text
            return Answer(body=body, headers={"content-type": kinds[path], "etag": '"1"'})

        async with origin(handle) as web:
            objects = (backend("web", web.port), policy("p", "HTTPRoute/a", compression={}))
            async with edge(rules("page", "picture"), *objects) as running:
                found = {}
                for said in ("gzip", "br", "zstd", "gzip, br, zstd", "identity"):
                    answer = await _raw(running, "/page/x", said)
                    found[said] = answer.headers.get("content-encoding", "")
                    assert (len(answer.content) < 500) == bool(found[said])
                gzipped = await running.ask("/page/x", headers={"accept-encoding": "gzip"})
                short = await running.ask("/page/short", headers={"accept-encoding": "gzip"})
                picture = await running.ask("/picture/x", headers={"accept-encoding": "gzip"})

        assert found == {"gzip": "gzip", "br": "br", "zstd": "zstd", "gzip, br, zstd": "zstd", "identity": ""}
        assert gzipped.content == text
        assert gzipped.headers["etag"] == 'W/"1"'
        assert gzipped.headers["vary"].lower() == "accept-encoding"
        assert "content-encoding" not in {**short.headers, **picture.headers}

    asyncio.run(run())


async def _raw(running: Edge, path: str, encodings: str) -> httpx.Response:
    """Ask without decoding what comes."""
    headers = {"host": HOST, "accept-encoding": encodings}
    async with running.client.stream("GET", f"http://127.0.0.1:{running.port}{path}", headers=headers) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
        kept = [(name, value) for name, value in answer.headers.items() if name != "content-encoding"]
        made = httpx.Response(answer.status_code, headers=kept, content=raw)
        made.headers["content-encoding"] = answer.headers.get("content-encoding", "")
        return made


def test_bodies_above_the_limit_are_refused_and_kept_back_where_asked_for() -> None:
    async def run() -> None:
        async with origin() as web:
            objects = (
                backend("web", web.port),
                policy("limit", "HTTPRoute/a/limit", requestBody={"maxBytes": 1000}),
                policy("buffer", "HTTPRoute/a/buffer", requestBody={"maxBytes": 1000, "buffer": True}),
            )

            async def slowly() -> AsyncIterator[bytes]:
                yield b"x" * 10
                await asyncio.sleep(0.3)
                assert not [path for path in web.paths if path == "/buffer/slow"]
                yield b"y" * 10

            async with edge(rules("limit", "buffer", "free"), *objects) as running:
                found = {}
                for name in ("limit", "buffer", "free"):
                    for size in (1000, 1001):
                        found[name, size] = (await running.ask(f"/{name}", "POST", content=b"x" * size)).status_code
                slow = await running.ask("/buffer/slow", "POST", content=slowly())

        assert [found["limit", 1000], found["limit", 1001]] == [200, 413]
        assert [found["buffer", 1000], found["buffer", 1001]] == [200, 413]
        assert [found["free", 1000], found["free", 1001]] == [200, 200]
        assert slow.status_code == 200
        assert web.asked[-1].body == b"x" * 10 + b"y" * 10

    asyncio.run(run())


def test_error_pages_stand_for_what_the_edge_says_and_for_backends_only_where_asked_for() -> None:
    async def run() -> None:
        async with origin(lambda asked: Answer(status=int(asked.path[-3:]), body=b"raw")) as web:
            pages = [
                {"codes": [404], "from": "any", "body": "<p>no %REQ(:PATH)%, 100 %%", "status": 410},
                {"ranges": [{"first": 500, "last": 599}], "body": "sorry", "contentType": "text/plain"},
            ]
            objects = (
                backend("web", web.port),
                backend("gone", free_port()),
                policy("p", "Gateway/edge", errorPages=pages),
                policy("d", "HTTPRoute/a/fixed", directResponse={"status": 200, "body": "you want %REQ(:PATH)%"}),
            )
            async with edge([*rules("x", "fixed"), *rules("gone", to="gone")], *objects) as running:
                missing = await running.ask("/x/404")
                theirs = await running.ask("/x/503")
                ours = await running.ask("/gone")
                fixed = await running.ask("/fixed/1")

        assert (missing.status_code, missing.text) == (410, "<p>no /x/404, 100 %")
        assert missing.headers["content-type"] == "text/html; charset=utf-8"
        assert (theirs.status_code, theirs.text) == (503, "raw")
        assert (ours.status_code, ours.text) == (503, "sorry")
        assert (fixed.status_code, fixed.text) == (200, "you want /fixed/1")

    asyncio.run(run())


def test_bandwidth_is_limited_for_a_route() -> None:
    async def run() -> None:
        async with origin(lambda _: Answer(body=b"x" * 150_000)) as web:
            objects = (backend("web", web.port), policy("p", "HTTPRoute/a/slow", bandwidth={"response": 100}))
            async with edge(rules("slow", "fast"), *objects) as running:
                took = {}
                for name in ("slow", "fast"):
                    began = time.monotonic()
                    assert len((await running.ask(f"/{name}")).content) == 150_000
                    took[name] = time.monotonic() - began

        # 146 KiB at 100 KiB/s, of which the first second's may come at once.
        assert took["slow"] > 0.3 > took["fast"], took

    asyncio.run(run())


def test_what_makes_requests_and_responses_wait_lets_nothing_slip_past() -> None:
    async def run() -> None:
        text = b"the same words again and again " * 200
        kept: Json = {
            "compression": {},
            "sessionPersistence": {"sessionName": "sid"},
            "errorPages": [{"codes": [503], "body": "x"}],
        }
        async with origin(lambda _: Answer(body=text, headers={"content-type": "text/plain"})) as web:
            objects = (
                backend("web", web.port),
                policy(
                    "delay",
                    "HTTPRoute/a/delay",
                    fault={"delay": {"duration": "50ms"}},
                    requestBody={"maxBytes": 50},
                    **kept,
                ),
                policy("buffer", "HTTPRoute/a/buffer", requestBody={"maxBytes": 50, "buffer": True}, **kept),
                policy(
                    "slow",
                    "HTTPRoute/a/slow",
                    bandwidth={"request": 100, "response": 100},
                    requestBody={"maxBytes": 50},
                    **kept,
                ),
            )
            async with edge(rules("delay", "buffer", "slow"), *objects) as running:
                for name in ("delay", "buffer", "slow"):
                    running.client.cookies.clear()
                    well = await running.ask(f"/{name}", "POST", content=b"x" * 50, headers={"accept-encoding": "gzip"})
                    large = await running.ask(f"/{name}", "POST", content=b"x" * 51)

                    assert (well.status_code, well.content, large.status_code) == (200, text, 413), name
                    assert well.headers["content-encoding"] == "gzip"
                    assert "sid=" in well.headers["set-cookie"]

    asyncio.run(run())


def test_a_session_stays_with_its_endpoint_by_cookie_and_by_header() -> None:
    async def run() -> None:
        async with origin() as one, origin() as two, origin() as three:
            origins = (one, two, three)
            for index, each in enumerate(origins):
                each.handler = saying(str(index))
            cookie: Json = {"sessionPersistence": {"sessionName": "sid"}}
            header: Json = {"sessionPersistence": {"sessionName": "X-Session", "type": "Header"}}
            ports = [each.port for each in origins]
            theirs: Json = {
                "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
                "kind": "XBackendTrafficPolicy",
                "metadata": {"name": "x", "namespace": "test"},
                "spec": {
                    "targetRefs": [{"group": OWN_GROUP, "kind": "Backend", "name": "theirs"}],
                    "retryConstraint": {"budget": {"percent": 10, "interval": "5s"}},
                    "sessionPersistence": {"sessionName": "xsid"},
                },
            }
            objects = (
                backend("web", *ports),
                backend("theirs", *ports),
                theirs,
                policy("p", "HTTPRoute/a/policy", sessionPersistence={}),
            )
            made = [*rules("cookie", **cookie), *rules("header", **header), *rules("policy", "free")]
            made += rules("theirs", to="theirs")
            async with edge(made, *objects) as running:
                first = await running.ask("/cookie")
                again = {(await running.ask("/cookie")).text for _ in range(12)}
                running.client.cookies.clear()
                told = await running.ask("/header")
                headers = {"x-session": told.headers["x-session"]}
                kept = {(await running.ask("/header", headers=headers)).text for _ in range(12)}
                named = await running.ask("/policy")
                by_policy = {(await running.ask("/policy")).text for _ in range(12)}
                experimental = await running.ask("/theirs")
                by_experimental = {(await running.ask("/theirs")).text for _ in range(12)}
                free = {(await running.ask("/free")).text for _ in range(30)}

        assert "sid=" in first.headers["set-cookie"]
        assert "HttpOnly" in first.headers["set-cookie"]
        assert again == {first.text}
        assert kept == {told.text}
        assert named.headers["set-cookie"].startswith("seawall-")
        assert by_policy == {named.text}
        assert "xsid=" in experimental.headers["set-cookie"]
        assert by_experimental == {experimental.text}
        assert len(free) > 1

    asyncio.run(run())


def test_limits_and_traffic_hold_together_and_apart_on_one_host() -> None:
    async def run() -> None:
        async with origin(lambda _: Answer(body=b"x" * 2000, headers={"content-type": "text/plain"})) as web:
            ref = {"group": GATEWAY_GROUP, "kind": "HTTPRoute", "name": "a", "sectionName": "both"}
            limit: Json = {
                "apiVersion": "seawall.dev/v1alpha1",
                "kind": "RateLimitPolicy",
                "metadata": {"name": "l", "namespace": "test"},
                "spec": {
                    "targetRefs": [ref, {**ref, "sectionName": "limited"}],
                    "limits": [{"name": "all", "requests": 2, "window": "1h"}],
                    "exempt": {"headers": [{"name": "x-free", "value": "1"}]},
                },
            }
            objects = (
                backend("web", web.port),
                limit,
                policy("p", "HTTPRoute/a/both", compression={}),
                policy("q", "HTTPRoute/a/traffic", compression={}),
            )
            async with edge(rules("both", "limited", "traffic", "none"), *objects) as running:
                found: dict[str, list[tuple[int, bool]]] = {}
                for name in ("both", "limited", "traffic", "none"):
                    answers = [await running.ask(f"/{name}", headers={"accept-encoding": "gzip"}) for _ in range(3)]
                    found[name] = [(one.status_code, "content-encoding" in one.headers) for one in answers]
                exempt = await running.ask("/both", headers={"x-free": "1", "accept-encoding": "gzip"})

        assert found["both"] == [(200, True), (200, True), (429, False)]
        assert found["limited"] == [(200, False), (200, False), (429, False)]
        assert found["traffic"] == [(200, True)] * 3
        assert found["none"] == [(200, False)] * 3
        assert (exempt.status_code, exempt.headers.get("content-encoding")) == (200, "gzip")

    asyncio.run(run())


def test_envoy_takes_every_field() -> None:
    async def run() -> None:
        async with origin() as web:
            keepalive: Json = {"connectTimeout": "1s", "idleTimeout": "10s", "maxRequests": 2, "keepalive": {}}
            objects = (
                backend("web", web.port),
                policy(
                    "w",
                    "Backend/web",
                    protocol="HTTP",
                    loadBalancing={"type": "roundRobin", "slowStart": {"window": "10s"}},
                    healthCheck={"tcp": {"send": "GET / HTTP/1.1\r\n\r\n", "receive": "200"}, "port": web.port},
                    outlierEjection={},
                    circuitBreaker={"connections": 10, "pendingRequests": 10, "requests": 10},
                    retryBudget={},
                    connections=keepalive,
                ),
                policy(
                    "a",
                    "HTTPRoute/a",
                    timeouts={"request": "10s", "backendRequest": "5s", "streamIdle": "1h"},
                    retry={
                        "reasons": [
                            "connectFailure",
                            "reset",
                            "refusedStream",
                            "gatewayError",
                            "serverError",
                            "tooManyRequests",
                        ],
                        "codes": [409],
                        "backoff": {},
                        "hosts": "any",
                    },
                    sessionPersistence={"absoluteTimeout": "1h", "cookieConfig": {"lifetimeType": "Permanent"}},
                    fault={"abort": {"grpcStatus": 1, "percent": 0.0001}},
                    bandwidth={"response": 1000},
                    compression={},
                    requestBody={"maxBytes": 1000, "buffer": True},
                    errorPages=[{"codes": [404], "body": "no"}],
                ),
            )
            async with edge(rules("x"), *objects) as running:
                answers = [await running.ask("/x") for _ in range(5)]
                said = await running.instance.get("/v1/objects")

            assert [one.status_code for one in answers] == [200] * 5
            assert "Max-Age=3600" in answers[0].headers["set-cookie"]
            assert web.connections >= 3
            policies = [one for one in said if one["kind"] == "TrafficPolicy"]
            assert [(one["metadata"]["name"], one["problems"]) for one in policies] == [("a", []), ("w", [])]

    asyncio.run(run())


def test_a_policy_that_envoy_refuses_is_named_and_left_out_and_all_else_is_served() -> None:
    async def run() -> None:
        async with origin() as web:
            bad = {"errorPages": [{"codes": [503], "body": "%REQ(A?B?C)%"}]}
            objects = (
                backend("web", web.port),
                policy("good", "HTTPRoute/a/y", directResponse={"status": 202}),
            )
            async with edge(rules("x", "y"), *objects) as running:
                running.instance.write("more", policy("bad", "HTTPRoute/a/x", **bad))

                def is_named(said: Any) -> bool:
                    return any(one["metadata"]["name"] == "bad" and one["problems"] for one in said)

                said = await running.instance.until(is_named, path="/v1/objects")
                # The table without the policy comes a moment after it is named.
                async with asyncio.timeout(20):
                    while [(await running.ask(path)).status_code for path in ("/x", "/y")] != [200, 202]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)

            guilty = [f"{one['kind']}/{one['metadata']['name']}" for one in said if one["problems"]]
            assert guilty == ["TrafficPolicy/bad"]

    asyncio.run(run())


def test_a_backend_cannot_say_what_only_the_edge_says() -> None:
    async def run() -> None:
        said = {"x-seawall-ref": "forged", "x-own": "kept"}
        async with origin(lambda _: Answer(headers=said)) as web, edge(rules("x"), backend("web", web.port)) as running:
            answer = await running.ask("/x")
        assert "x-seawall-ref" not in answer.headers
        assert answer.headers["x-own"] == "kept"

    asyncio.run(run())


def test_an_expression_may_be_as_long_as_an_identifier_needs() -> None:
    pattern = "/users/[^/]{1,64}/orders/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    rule = {**rules("x")[0], "matches": [{"path": {"type": "RegularExpression", "value": pattern}}]}

    async def run() -> None:
        async with origin() as web, edge([rule], backend("web", web.port)) as running:
            found = await running.ask("/users/ada/orders/01234567-89ab-cdef-0123-456789abcdef")
            assert (found.status_code, (await running.ask("/users/ada/orders/7")).status_code) == (200, 404)

    asyncio.run(run())
