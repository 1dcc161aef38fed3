"""RateLimitPolicy through `seawall up`: what passes and what does not, with the real Envoy and two workers."""

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.burst import burst, request
from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

HOST = "a.example"
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}


def policy(
    name: str, *limits: Json, kind: str = "HTTPRoute", target: str = "a", section: str = "", **spec: Any
) -> Json:
    ref = {"group": "gateway.networking.k8s.io", "kind": kind, "name": target}
    if section:
        ref["sectionName"] = section
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "RateLimitPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [ref], "limits": list(limits), **spec},
    }


def limit(name: str, requests: int, *keys: Json, window: str = "1h", **more: Any) -> Json:
    return {"name": name, "requests": requests, "window": window, "keys": list(keys), **more}


CLIENT: Json = {"type": "client"}
KEY: Json = {"type": "apiKey"}


def _rules(*names: str) -> list[Json]:
    return [
        {"name": name, "matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}], "filters": [REDIRECT]}
        for name in names
    ]


class Limits:
    """A running instance with one host of three rules."""

    def __init__(self, instance: Instance, port: int) -> None:
        self.instance = instance
        self.port = port

    async def put(self, *policies: Json) -> None:
        """Put these policies in place of all others, and wait until Envoy has them."""
        self.instance.write("policies", *policies)
        wanted = sorted(f"ratelimit.test/{one['metadata']['name']}" for one in policies)
        async with asyncio.timeout(20):
            while await self._in_force() != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _in_force(self) -> list[str]:
        dump = (await self.admin("/config_dump?mask=dynamic_scoped_route_configs")).text
        return sorted(set(re.findall(r'"(ratelimit\.[^"]+)"', dump)))

    async def admin(self, path: str) -> httpx.Response:
        # Sacrificial Envoys come and go beside the one that serves, which alone has a pid file.
        (pid_file,) = self.instance.run_dir.rglob("envoy.pid")
        socket = pid_file.with_name("admin.sock")
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket))) as client:
            return await client.get(f"http://envoy{path}")

    async def stat(self, name: str) -> int:
        text = (await self.admin(f"/stats?filter={name}$")).text
        return sum(int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if line)

    async def memory(self) -> int:
        """Return how many bytes Envoy has allocated."""
        return int((await self.admin("/memory")).json()["allocated"])

    async def send(self, count: int, path: str = "/one", source: str = "127.0.0.1", **headers: str) -> Counter[int]:
        return await burst(self.port, [request(HOST, path, headers)] * count, source=source)

    async def get(self, path: str = "/one", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}", headers={"host": HOST, **headers})


@asynccontextmanager
async def limited(*policies: Json, options: tuple[str, ...] = ()) -> AsyncIterator[Limits]:
    port = free_port()
    files = {"gateway": gateway(port), "routes": [route("a", [HOST], _rules("one", "two", "three"))]}
    async with seawall_up(files, "--concurrency", "2", *options) as instance:
        running = Limits(instance, port)
        await running.put(*policies)
        yield running


def test_a_limit_holds_exactly_on_two_workers_and_over_all_rules_of_a_route() -> None:
    async def run() -> None:
        async with limited(policy("p", limit("each", 50, CLIENT))) as limits:
            async with asyncio.TaskGroup() as group:
                paths = ("/one", "/two", "/three", "/one", "/two", "/three", "/one", "/two")
                sent = [group.create_task(limits.send(40, path), name=path) for path in paths]
            assert sum((task.result() for task in sent), Counter[int]()) == {302: 50, 429: 270}

            # Another client has a bucket of its own.
            assert await limits.send(60, source="127.0.0.2") == {302: 50, 429: 10}

    asyncio.run(run())


def test_a_refused_request_is_told_how_long_to_wait() -> None:
    async def run() -> None:
        async with limited(policy("p", limit("each", 2, CLIENT, window="60s"))) as limits:
            first, _, third = [await limits.get() for _ in range(3)]

            assert (first.status_code, first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == (
                302,
                "2",
                "1",
            )
            assert third.status_code == 429
            assert third.headers["ratelimit-remaining"] == "0"
            assert 1 <= int(third.headers["ratelimit-reset"]) <= 30
            assert 1 <= int(third.headers["retry-after"]) <= 30
            assert not [name for name in third.headers if name.startswith("x-ratelimit")]

            body = {"status": 503, "body": '{"wait": "100 %"}', "contentType": "application/json"}
            await limits.put(policy("q", limit("each", 1, CLIENT, window="60s"), response=body))
            _, refused = [await limits.get() for _ in range(2)]
            assert (refused.status_code, refused.text) == (503, '{"wait": "100 %"}')
            assert refused.headers["content-type"] == "application/json"
            assert (refused.headers["retry-after"], refused.headers["ratelimit-limit"]) == ("60", "1")

    asyncio.run(run())


def test_a_shadow_counts_and_lets_pass() -> None:
    async def run() -> None:
        async with limited(policy("p", limit("each", 5, CLIENT), mode="shadow")) as limits:
            assert await limits.send(20) == {302: 20}
            assert not [name for name in (await limits.get()).headers if "ratelimit" in name]
            prefix = "ratelimit.test/p.http_local_rate_limit"
            assert (await limits.stat(f"{prefix}.shadow_mode"), await limits.stat(f"{prefix}.enforced")) == (16, 0)

    asyncio.run(run())


def test_who_is_exempt_is_neither_counted_nor_refused() -> None:
    async def run() -> None:
        exempt = {"clients": ["127.0.0.8/29"], "headers": [{"name": "X-Probe", "value": "s3cret"}]}
        async with limited(policy("p", limit("all", 5), exempt=exempt)) as limits:
            assert await limits.send(20, source="127.0.0.9") == {302: 20}
            assert await limits.send(20, **{"x-probe": "s3cret"}) == {302: 20}
            assert await limits.send(20, **{"x-probe": "guess"}) == {302: 5, 429: 15}

    asyncio.run(run())


def test_ipv6_clients_are_counted_by_64_and_ipv4_clients_whole() -> None:
    async def run() -> None:
        async with limited(policy("p", limit("each", 5, CLIENT)), options=("--trusted-hops", "1")) as limits:

            async def send(client: str) -> Counter[int]:
                return await limits.send(4, **{"x-forwarded-for": client})

            assert await send("2001:db8::1") == {302: 4}
            assert await send("2001:db8::ffff:ffff:2") == {302: 1, 429: 3}
            assert await send("2001:db8:0:1::1") == {302: 4}
            assert await send("192.0.2.1") == {302: 4}
            assert await send("192.0.2.2") == {302: 4}

    asyncio.run(run())


def test_each_kind_of_key_counts_apart_what_differs_and_together_what_does_not() -> None:
    kinds: list[tuple[Json, dict[str, str], dict[str, str]]] = [
        ({"type": "header", "name": "X-Tenant"}, {"x-tenant": "a"}, {"x-tenant": "b"}),
        ({"type": "cookie", "name": "sid"}, {"cookie": "x=1; sid=a"}, {"cookie": "sid=b; x=1"}),
        ({"type": "apiKey"}, {"x-api-key": "a"}, {"x-api-key": "b"}),
        ({"type": "claim", "name": "sub"}, {"authorization": _token("a")}, {"authorization": _token("b")}),
    ]

    async def run() -> None:
        async with limited(policy("none", limit("all", 1_000_000))) as limits:
            for number, (key, one, other) in enumerate(kinds):
                await limits.put(policy(f"p{number}", limit("each", 5, key)))
                for headers in (one, other, {}):
                    assert await limits.send(8, **headers) == {302: 5, 429: 3}, (key, headers)
                await limits.put(policy(f"s{number}", limit("each", 5, {**key, "absent": "skip"})))
                assert await limits.send(8, **one) == {302: 5, 429: 3}, key
                assert await limits.send(8) == {302: 8}, key

            await limits.put(policy("path", limit("each", 5, {"type": "path"})))
            assert await limits.send(8, "/one?a=1") == {302: 5, 429: 3}
            assert await limits.send(8, "/one?a=2") == {429: 8}
            assert await limits.send(8, "/one/more") == {302: 5, 429: 3}

            await limits.put(policy("two", limit("each", 5, KEY, {"type": "method"}), limit("all", 7)))
            assert await limits.send(6, **{"x-api-key": "a"}) == {302: 5, 429: 1}
            assert await limits.send(6, **{"x-api-key": "b"}) == {302: 2, 429: 4}

    asyncio.run(run())


def test_clients_are_told_apart_by_how_they_speak_tls_and_cannot_make_it_up() -> None:
    async def ask(port: int, version: ssl.TLSVersion) -> list[int]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        async with httpx.AsyncClient(verify=context) as client:
            found = []
            for number in range(8):
                headers = {"host": HOST, "x-seawall-ja4": str(number)}
                url = f"https://127.0.0.1:{port}/one"
                answer = await client.get(url, headers=headers, extensions={"sni_hostname": HOST})
                found.append(answer.status_code)
            return found

    async def run() -> None:
        plain, secure = free_port(), free_port()
        made_up = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "certificate", "namespace": "test", "annotations": {"seawall.dev/self-signed": HOST}},
        }
        files = {
            "gateway": [*gateway(plain, tls_port=secure), made_up],
            "routes": [route("a", [HOST], _rules("one"))],
            "policies": [policy("p", limit("each", 5, {"type": "ja4"}))],
        }
        async with seawall_up(files):
            assert await ask(secure, ssl.TLSVersion.TLSv1_3) == [302] * 5 + [429] * 3
            assert await ask(secure, ssl.TLSVersion.TLSv1_2) == [302] * 5 + [429] * 3
            assert await ask(secure, ssl.TLSVersion.TLSv1_3) == [429] * 8

    asyncio.run(run())


def test_the_most_specific_policy_applies_and_rules_without_one_are_free() -> None:
    async def run() -> None:
        everywhere = policy("everywhere", limit("each", 9, CLIENT), kind="Gateway", target="edge")
        async with limited(everywhere, policy("rule", limit("each", 3, CLIENT), section="two")) as limits:
            assert await limits.send(12, "/one") == {302: 9, 429: 3}
            assert await limits.send(12, "/three") == {429: 12}
            assert await limits.send(12, "/two") == {302: 3, 429: 9}

            await limits.put(policy("rule", limit("each", 4, CLIENT), section="two"))
            assert await limits.send(12, "/one") == {302: 12}
            assert await limits.send(12, "/two") == {302: 4, 429: 8}

    asyncio.run(run())


def test_twenty_thousand_keys_are_counted_exactly_and_forgotten_beyond_max_keys() -> None:
    async def run() -> None:
        once = [request(HOST, "/one", {"x-api-key": f"{number:x}"}) for number in range(20_000)]
        async with limited(policy("p", limit("each", 1, KEY, maxKeys=30_000))) as limits:
            assert await burst(limits.port, once) == {302: 20_000}
            assert await burst(limits.port, once) == {429: 20_000}

            # With less room than keys the eldest are forgotten: memory is bounded and the limit is not, as documented.
            await limits.put(policy("q", limit("each", 1, KEY, maxKeys=1000)))
            before = await limits.memory()
            assert await burst(limits.port, once[:6000], connections=1) == {302: 6000}
            assert await limits.memory() - before < 4 << 20
            assert await burst(limits.port, once[5100:6000], connections=1) == {429: 900}
            assert await burst(limits.port, once[:900], connections=1) == {302: 900}

    asyncio.run(run())


def test_a_policy_that_changes_drains_nothing_and_keeps_connections() -> None:
    async def run() -> None:
        async with limited(policy("p", limit("each", 3, CLIENT))) as limits:
            reader, writer = await asyncio.open_connection("127.0.0.1", limits.port)

            async def ask() -> int:
                writer.write(request(HOST, "/one"))
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                return int(head.split()[1])

            assert [await ask() for _ in range(4)] == [302, 302, 302, 429]
            await limits.put(policy("q", limit("each", 2, CLIENT)))
            assert [await ask() for _ in range(3)] == [302, 302, 429]
            await limits.put()
            assert [await ask() for _ in range(9)] == [302] * 9
            writer.close()
            assert await limits.stat("listener_manager.total_listeners_draining") == 0
            assert await limits.stat("listener_manager.listener_modified") == 0
            assert await limits.stat("listener_manager.listener_in_place_updated") == 0

    asyncio.run(run())


def _token(subject: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": subject})]
    return "Bearer " + ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"signature"))
