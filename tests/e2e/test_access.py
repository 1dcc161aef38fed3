"""AccessPolicy through `seawall up`: who passes and who does not, with the real Envoy and a real origin."""

import asyncio
import base64
import hashlib
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.authority import Authority
from tests.support.burst import burst, request
from tests.support.door import Door, door
from tests.support.manifests import Json, backend
from tests.support.origins import Answer, Asked, Origin, origin
from tests.support.traffic import GATEWAY_GROUP, HOST, Edge, edge, rules

pytestmark = pytest.mark.e2e

Status = dict[str, Any]


def access(name: str, target: str, **spec: Any) -> Json:
    kind, target_name, *section = target.split("/")
    ref = {
        "group": GATEWAY_GROUP,
        "kind": kind,
        "name": target_name,
        **({"sectionName": section[0]} if section else {}),
    }
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [ref], **spec},
    }


def opaque(name: str, **entries: str) -> Json:
    metadata = {"name": name, "namespace": "test"}
    data = {key.replace("_", "."): value for key, value in entries.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def hashed(user: str, password: str) -> str:
    return f"{user}:{{SHA}}{base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()}"


def echo(asked: Asked) -> Answer:
    """Say who the backend thinks it is, and that no credentials came through."""
    seen = ("x-client", "x-user", "x-api-key")
    return Answer(body=" ".join(f"{name}={asked.headers.get(name, '-')}" for name in seen).encode())


class Guarded:
    """A running instance with one host of several rules, and its origin."""

    def __init__(self, running: Edge, web: Origin) -> None:
        self.edge = running
        self.web = web

    async def ask(self, path: str, **headers: str) -> int:
        return (await self.edge.ask(path, headers=headers)).status_code

    async def put(self, *objects: Json) -> None:
        """Put these in place of all others, and wait until Envoy has taken them."""
        mark = f"mark-{time.monotonic_ns()}.example"
        redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}
        rule = {"filters": [redirect]}
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "mark", "namespace": "test"},
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": [mark], "rules": [rule]},
        }
        self.edge.instance.write("rest", backend("web", self.web.port), route, *objects)
        async with asyncio.timeout(20):
            while await self.ask("/", host=mark) == 404:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def send(self, path: str, source: str) -> Counter[int]:
        return await burst(self.edge.port, [request(HOST, path)], source=source)

    async def stat(self, pattern: str) -> int:
        (pid_file,) = self.edge.instance.run_dir.rglob("envoy.pid")
        transport = httpx.AsyncHTTPTransport(uds=str(pid_file.with_name("admin.sock")))
        async with httpx.AsyncClient(transport=transport) as client:
            text = (await client.get("http://envoy/stats")).text
        return sum(int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if re.search(pattern, line))


@asynccontextmanager
async def guarded(*objects: Json) -> AsyncIterator[Guarded]:
    async with origin(echo) as web, edge(rules("one", "two", "three"), backend("web", web.port)) as running:
        found = Guarded(running, web)
        await found.put(*objects)
        yield found


def test_addresses_decide_by_the_most_specific_network() -> None:
    async def run() -> None:
        lists = {"allow": ["127.0.0.0/8", "127.1.1.1"], "deny": ["127.1.0.0/16"]}
        async with guarded(access("p", "HTTPRoute/a/one", addresses=lists)) as found:
            assert await found.send("/one", "127.0.0.1") == {200: 1}
            assert await found.send("/one", "127.1.0.1") == {403: 1}
            assert await found.send("/one", "127.1.1.1") == {200: 1}
            # Another rule of the route has no policy.
            assert await found.send("/two", "127.1.0.1") == {200: 1}

            await found.put(access("p", "HTTPRoute/a", addresses={"allow": ["192.0.2.0/24"]}))
            assert [await found.ask(path) for path in ("/one", "/two")] == [403, 403]

    asyncio.run(run())


def test_a_list_of_fifty_thousand_networks_is_kept() -> None:
    async def run() -> None:
        deny = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(50_000)] + ["127.0.0.7"]
        policy = access("p", "HTTPRoute/a", addresses={"deny": deny})
        # There from the start: a change that makes a configuration grow so much waits for somebody's yes.
        async with origin(echo) as web, edge(rules("one"), backend("web", web.port), policy) as running:
            found = Guarded(running, web)
            assert await found.send("/one", "127.0.0.7") == {403: 1}
            assert await found.send("/one", "127.0.0.8") == {200: 1}

    asyncio.run(run())


def test_observed_addresses_are_counted_and_pass() -> None:
    async def run() -> None:
        observed = {"deny": ["127.0.0.0/8"], "mode": "observe"}
        async with guarded(access("p", "HTTPRoute/a", addresses=observed)) as found:
            assert [await found.ask("/one") for _ in range(3)] == [200, 200, 200]
            assert await found.stat(r"access\.test/p\.addresses\.shadow_denied") == 3
            assert await found.stat(r"access\.test/p\.addresses\.denied") == 0

    asyncio.run(run())


def test_a_key_opens_names_the_client_and_goes_no_further() -> None:
    async def run() -> None:
        keys = {"secrets": [{"name": "keys"}], "clientHeader": "X-Client"}
        sources = [{"header": "x-api-key"}, {"query": "key"}, {"cookie": "key"}]
        async with guarded(
            opaque("keys", mobile="s3cret-one\n", web="s3cret-two"),
            access("p", "HTTPRoute/a/one", apiKeys={**keys, "sources": sources}),
        ) as found:
            assert [await found.ask("/one"), await found.ask("/one", **{"x-api-key": "guess"})] == [401, 401]
            told = await found.edge.ask("/one", headers={"x-api-key": "s3cret-one", "x-client": "forged"})
            assert (told.status_code, told.text) == (200, "x-client=mobile x-user=- x-api-key=-")
            assert (await found.edge.ask("/one?key=s3cret-two")).text.startswith("x-client=web ")
            assert await found.ask("/one", cookie="key=s3cret-two") == 200
            assert all("s3cret" not in path for path in found.web.paths)

            # What the policy says is said by nobody else, on the routes beside it as well.
            forged = await found.edge.ask("/two", headers={"x-client": "mobile"})
            assert (forged.status_code, forged.text) == (200, "x-client=- x-user=- x-api-key=-")

            # A new key, and the old one is over.
            await found.put(
                opaque("keys", mobile="s3cret-three"),
                access("p", "HTTPRoute/a/one", apiKeys={**keys, "sources": sources}),
            )
            assert [await found.ask("/one", **{"x-api-key": f"s3cret-{n}"}) for n in ("one", "three")] == [401, 200]
            shown = str(await found.edge.instance.get("/v1/status")) + found.edge.instance.log
            assert "s3cret" not in shown

    asyncio.run(run())


def test_users_have_passwords() -> None:
    async def run() -> None:
        async with guarded(
            opaque("users", _htpasswd=hashed("ada", "love:lace") + "\n" + hashed("bob", "b") + "\n"),
            access("p", "HTTPRoute/a", basicAuth={"secret": {"name": "users"}, "userHeader": "x-user"}),
        ) as found:
            first = await found.edge.ask("/one", headers={"x-user": "ada"})
            assert (first.status_code, first.headers["www-authenticate"].split()[0]) == (401, "Basic")
            told = await found.edge.ask("/one", auth=("ada", "love:lace"), headers={"x-user": "root"})
            assert (told.status_code, told.text) == (200, "x-client=- x-user=ada x-api-key=-")
            assert (await found.edge.ask("/one", auth=("ada", "b"))).status_code == 401

    asyncio.run(run())


def test_deny_goes_before_allow_and_what_is_not_allowed_is_refused() -> None:
    async def run() -> None:
        wanted = [
            {"name": "read", "action": "allow", "methods": ["GET"], "paths": [{"value": "/one"}]},
            {"name": "tagged", "action": "allow", "headers": [{"name": "X-Tag", "values": ["a", "b"]}]},
            {"name": "secret", "action": "deny", "paths": [{"value": "/one/secret"}]},
            {"name": "traced", "action": "deny", "headers": [{"name": "x-trace"}]},
        ]
        async with guarded(access("p", "HTTPRoute/a", authorization={"rules": wanted})) as found:
            assert [await found.ask(path) for path in ("/one", "/one/x?y", "/one/secretary")] == [200, 200, 200]
            assert [await found.ask(path) for path in ("/one/secret", "/one/x/../secret", "/one//secret/x")] == [
                403
            ] * 3
            assert (await found.edge.ask("/one", "POST")).status_code == 403
            assert [await found.ask("/two", **{"x-tag": tag}) for tag in ("a", "b", "c")] == [200, 200, 403]
            assert await found.ask("/one", **{"x-trace": "1"}) == 403

    asyncio.run(run())


def test_an_observed_rule_counts_what_it_would_refuse() -> None:
    async def run() -> None:
        observed = [
            {"name": "read", "action": "allow", "methods": ["GET"], "mode": "observe"},
            {"name": "secret", "action": "deny", "paths": [{"value": "/one/secret"}], "mode": "observe"},
        ]
        async with guarded(access("p", "HTTPRoute/a", authorization={"rules": observed})) as found:
            assert [await found.ask("/one"), await found.ask("/one/secret")] == [200, 200]
            assert (await found.edge.ask("/one", "POST")).status_code == 200
            assert await found.stat(r"access\.test/p\.deny\.shadow_denied") == 1
            assert await found.stat(r"access\.test/p\.allow\.shadow_denied") == 1
            assert await found.stat(r"access\.test/p\.(deny|allow)\.denied") == 0

    asyncio.run(run())


def test_a_foreign_site_changes_nothing() -> None:
    async def run() -> None:
        async with guarded(access("p", "HTTPRoute/a", csrf={"origins": ["app.example"]})) as found:

            async def post(**headers: str) -> int:
                return (await found.edge.ask("/one", "POST", headers=headers)).status_code

            assert await found.ask("/one", origin="https://evil.example") == 200
            assert [await post(origin=f"https://{name}") for name in ("evil.example", "app.example", HOST)] == [
                403,
                200,
                200,
            ]
            assert await post() == 403

    asyncio.run(run())


def test_what_cannot_be_followed_is_closed_and_nothing_else() -> None:
    async def run() -> None:
        async with guarded(
            access("p", "HTTPRoute/a/one", apiKeys={"secrets": [{"name": "gone"}]}),
            access("q", "HTTPRoute/a/two", basicAuth={"secret": {"name": "plain"}}),
            opaque("plain", _htpasswd="ada:s3cret"),
        ) as found:
            assert [await found.ask(path) for path in ("/one", "/two", "/three")] == [500, 500, 200]
            body = (await found.edge.ask("/one")).text
            assert "gone" not in body
            assert "s3cret" not in str(await found.edge.instance.get("/v1/status"))

            await found.put(
                opaque("gone", web="s3cret"), access("p", "HTTPRoute/a/one", apiKeys={"secrets": [{"name": "gone"}]})
            )
            assert [await found.ask("/one"), await found.ask("/one", **{"x-api-key": "s3cret"})] == [401, 200]

    asyncio.run(run())


def test_rules_ask_for_a_certificate_that_was_verified(tmp_path: Path) -> None:
    trust = {"kind": "ConfigMap", "group": "", "name": "trust"}
    rule = {"name": "partners", "action": "allow", "certificates": [{"type": "DNS", "value": "partner.example"}]}

    def context(running: Door, signer: Authority, name: str) -> ssl.SSLContext:
        chain, key, _ = signer.issue(name)
        file = tmp_path / f"{name}-{id(signer)}.pem"
        file.write_bytes(chain + key)
        found = running.context()
        found.load_cert_chain(file)
        return found

    async def run() -> None:
        validation = {"caCertificateRefs": [trust], "mode": "AllowInsecureFallback"}
        frontend = {"default": {"validation": validation}}
        policy = access("p", "HTTPRoute/a", authorization={"rules": [rule]})
        async with door(policy, frontend=frontend) as running:

            async def status(shown: ssl.SSLContext | None) -> int:
                url = f"https://127.0.0.1:{running.tls_port}/"
                async with httpx.AsyncClient(verify=shown or running.context()) as client:
                    answer = await client.get(url, headers={"host": HOST}, extensions={"sni_hostname": HOST})
                return answer.status_code

            assert await status(context(running, running.authority, "partner.example")) == 200
            assert await status(context(running, running.authority, "other.example")) == 403
            assert await status(None) == 403
            # Nobody has verified it, and the listener lets it in all the same.
            assert await status(context(running, Authority("stranger"), "partner.example")) == 403
            assert (await running.get()).status_code == 403

    asyncio.run(run())


def test_rules_ask_what_an_expression_says() -> None:
    async def run() -> None:
        rules = [
            {
                "name": "tagged",
                "action": "allow",
                "cel": "request.headers['x-tag'] in ['a', \"b\"] || request.method == 'PUT'",
            },
            {
                "name": "one",
                "action": "allow",
                "cel": "has(request.headers.x) ? false : request.path.matches('^/two/[0-9]+$')",
            },
            {
                "name": "small",
                "action": "deny",
                "paths": [{"value": "/two"}],
                "cel": "request.url_path.size() > 2 * 10",
            },
            {"name": "nobody", "action": "deny", "cel": "request.method == 'PUT' && !('x-tenant' in request.headers)"},
        ]
        async with guarded(access("p", "HTTPRoute/a", authorization={"rules": rules})) as found:
            assert [await found.ask("/one", **{"x-tag": tag}) for tag in ("a", "b", "c")] == [200, 200, 403]
            assert (await found.edge.ask("/one", "PUT", headers={"x-tenant": "a"})).status_code == 200
            assert await found.ask("/one") == 403
            assert (await found.edge.ask("/one", "PUT")).status_code == 403
            assert await found.ask("/two/12") == 200
            assert await found.ask("/two/12", x="1") == 403
            assert await found.ask("/two/" + "1" * 20) == 403

    asyncio.run(run())


def test_a_policy_answers_other_origins_unless_the_rule_does() -> None:
    async def run() -> None:
        said = {"allowOrigins": ["https://app.example"], "allowMethods": ["GET"]}
        async with guarded(access("p", "HTTPRoute/a", cors=said)) as found:
            asking = {"origin": "https://app.example", "access-control-request-method": "GET"}
            answer = await found.edge.ask("/one", "OPTIONS", headers=asking)
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            answer = await found.edge.ask("/one", headers={"origin": "https://else.example"})
            assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (200, None)

    asyncio.run(run())


def test_the_policy_nearest_to_the_rule_applies_alone() -> None:
    async def run() -> None:
        async with guarded(
            access("wide", "Gateway/edge", addresses={"allow": ["192.0.2.0/24"]}),
            access("near", "HTTPRoute/a/one", addresses={"allow": ["127.0.0.0/8"]}),
        ) as found:
            assert [await found.ask(path) for path in ("/one", "/two")] == [200, 403]

    asyncio.run(run())
