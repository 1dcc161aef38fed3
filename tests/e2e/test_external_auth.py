"""External auth with real services over HTTP and gRPC: who passes, what they see, what they may change, and when they are away."""

import asyncio
from typing import Any

import pytest

from tests.support.auth_service import grpc_auth
from tests.support.manifests import Json, backend
from tests.support.origins import Answer, Asked, origin
from tests.support.traffic import OWN_GROUP, Edge, edge, rules

pytestmark = pytest.mark.e2e

_SHOWN = ("x-user", "x-team", "x-more", "x-seawall-ref", "content-length", "host")


def _asking(protocol: str, *, body: int = 0, **config: Any) -> list[Json]:
    auth: Json = {
        "protocol": protocol,
        "backendRef": {"group": OWN_GROUP, "kind": "Backend", "name": "auth"},
        protocol.lower(): config,
        **({"forwardBody": {"maxSize": body}} if body else {}),
    }
    return [{"type": "ExternalAuth", "externalAuth": auth}]


def _echo(asked: Asked) -> Answer:
    return Answer(body=" ".join(f"{name}={asked.headers.get(name, '-')}" for name in _SHOWN).encode())


def _doorman(asked: Asked) -> Answer:
    """Let pass who has a ticket."""
    if asked.headers.get("authorization") != "ticket":
        return Answer(status=401, body=b"a ticket, please", headers={"www-authenticate": "Ticket"})
    told = {"x-user": "ada", "x-team": "one", "x-seawall-ref": "forged", "host": "evil.example"}
    return Answer(body=b"welcome", headers=told)


async def _until(running: Edge, path: str, status: int, **headers: str) -> None:
    async with asyncio.timeout(20):
        while (await running.ask(path, headers=headers)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def test_a_service_over_http_lets_pass_and_tells_the_backend() -> None:
    async def run() -> None:
        async with origin(_echo) as web, origin(_doorman) as auth:
            objects = (backend("web", web.port), backend("auth", auth.port))
            asking = _asking("HTTP", path="/check/", allowedHeaders=["X-Tenant"], allowedResponseHeaders=["X-User"])
            routes = rules("x", filters=asking) + rules("all", filters=_asking("HTTP")) + rules("open")
            async with edge(routes, *objects) as running:
                sent = {"authorization": "ticket", "x-tenant": "t1", "x-other": "no", "x-user": "forged"}
                passed = await running.ask("/x/y?z=1", "POST", headers=sent, content=b"payload")
                asked = auth.asked[-1]
                assert (asked.method, asked.path) == ("POST", "/check/x/y?z=1")
                assert asked.headers["host"] == "a.example"
                assert asked.headers.get("x-tenant") == "t1" and "x-other" not in asked.headers
                assert (asked.body, asked.headers.get("content-length", "0")) == (b"", "0")
                assert "x-user=ada x-team=- " in passed.text and "content-length=7" in passed.text

                silent = await running.ask("/open", headers={"x-user": "forged"})
                assert silent.text.startswith("x-user=- ")

                everything = (await running.ask("/all", "POST", headers=sent, content=b"payload")).text
                assert everything == "x-user=ada x-team=one x-more=- x-seawall-ref=- content-length=7 host=a.example"
                assert "x-tenant" not in auth.asked[-1].headers

                refused = await running.ask("/x")
                assert (refused.status_code, refused.text) == (401, "a ticket, please")
                assert refused.headers["www-authenticate"] == "Ticket"
                before = len(auth.asked)
                assert (await running.ask("/open")).status_code == 200
                assert len(auth.asked) == before

    asyncio.run(run())


def test_a_body_is_shown_up_to_its_limit_and_refused_above() -> None:
    async def run() -> None:
        async with origin(_echo) as web, origin(_doorman) as auth:
            objects = (backend("web", web.port), backend("auth", auth.port))
            async with edge(rules("x", filters=_asking("HTTP", body=10)), *objects) as running:
                ticket = {"authorization": "ticket"}
                small = await running.ask("/x", "POST", headers=ticket, content=b"payload")
                assert (small.status_code, auth.asked[-1].body) == (200, b"payload")
                large = await running.ask("/x", "POST", headers=ticket, content=b"a larger payload")
                assert large.status_code == 413

    asyncio.run(run())


def test_a_service_over_grpc_is_asked_in_envoys_words() -> None:
    async def run() -> None:
        async with origin(_echo) as web, grpc_auth() as auth:
            objects = (backend("web", web.port), backend("auth", auth.port))
            routes = rules("x", filters=_asking("GRPC")) + rules(
                "y", filters=_asking("GRPC", allowedHeaders=["x-pass"])
            )
            async with edge(routes, *objects) as running:
                auth.tells = {"x-user": "ada", "x-seawall-ref": "forged", ":authority": "evil.example"}
                passed = await running.ask("/x?q=1", headers={"x-pass": "yes", "x-secret": "s"})
                assert passed.text == "x-user=ada x-team=- x-more=- x-seawall-ref=- content-length=- host=a.example"
                seen = auth.asked[-1]
                assert (seen.method, seen.path, seen.host) == ("GET", "/x?q=1", "a.example")
                assert seen.headers["x-secret"] == "s"
                refused = await running.ask("/x")
                assert (refused.status_code, refused.text) == (403, "not you")
                assert (await running.ask("/y", headers={"x-pass": "yes", "x-secret": "s"})).status_code == 200
                assert "x-secret" not in auth.asked[-1].headers

    asyncio.run(run())


def test_nothing_passes_while_nobody_can_be_asked() -> None:
    async def run() -> None:
        async with origin(_echo) as web:
            async with origin(_doorman) as auth:
                port = auth.port
            gone = _asking("HTTP")
            nowhere = _asking("HTTP")
            nowhere[0]["externalAuth"]["backendRef"]["name"] = "nobody"
            routes = rules("gone", filters=gone) + rules("nowhere", filters=nowhere) + rules("open")
            async with edge(routes, backend("web", web.port), backend("auth", port)) as running:
                await _until(running, "/open", 200)
                assert (await running.ask("/gone", headers={"authorization": "ticket"})).status_code == 503
                assert (await running.ask("/nowhere", headers={"authorization": "ticket"})).status_code == 500
                assert web.paths.count("/gone") == web.paths.count("/nowhere") == 0
                report = await running.instance.get("/v1/objects/HTTPRoute/test/a")
                text = str(report["status"])
                assert "There is no Backend test/nobody." in text

    asyncio.run(run())


def test_a_policy_asks_too_and_not_about_those_who_are_refused_anyhow() -> None:
    async def run() -> None:
        async with origin(_echo) as web, origin(_doorman) as auth:
            rule = {"name": "reads", "action": "allow", "methods": ["GET"]}
            (asking,) = _asking("HTTP")
            policy: Json = {
                "apiVersion": "seawall.dev/v1alpha1",
                "kind": "AccessPolicy",
                "metadata": {"name": "p", "namespace": "test"},
                "spec": {
                    "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "a"}],
                    "authorization": {"rules": [rule]},
                    "externalAuth": asking["externalAuth"],
                },
            }
            objects = (backend("web", web.port), backend("auth", auth.port), policy)
            async with edge(rules("x"), *objects) as running:
                ticket = {"authorization": "ticket"}
                assert (await running.ask("/x", headers=ticket)).status_code == 200
                assert (await running.ask("/x")).status_code == 401
                before = len(auth.asked)
                assert (await running.ask("/x", "DELETE", headers=ticket)).status_code == 403
                assert len(auth.asked) == before

    asyncio.run(run())
