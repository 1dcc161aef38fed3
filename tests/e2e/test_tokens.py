"""Tokens of an AccessPolicy with the real Envoy and a real server of keys: who passes, what backends hear, what rules ask."""

import asyncio
from typing import Any

import pytest

from tests.e2e.test_access import access, guarded
from tests.support.manifests import Json, backend
from tests.support.origins import Answer, Broken, origin
from tests.support.tokens import Issuer
from tests.support.traffic import OWN_GROUP

pytestmark = pytest.mark.e2e

ISSUER = Issuer()


def _provider(issuer: Issuer = ISSUER, name: str = "id", **more: Any) -> Json:
    return {"name": name, "issuer": issuer.name, "keys": {"inline": issuer.keys}, **more}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_only_a_good_token_passes_and_it_goes_no_further() -> None:
    async def run() -> None:
        told = [{"claim": "sub", "header": "X-User"}, {"claim": "org.team", "header": "x-team"}]
        provider = _provider(audiences=["shop", "api"], claimHeaders=told)
        async with guarded(access("p", "HTTPRoute/a/one", jwt={"providers": [provider]})) as found:
            good = ISSUER.token(aud=["api"], org={"team": "blue"})
            sent = {**_bearer(good), "x-user": "forged"}
            assert await found.ask("/one", **sent) == 200
            headers = found.web.asked[-1].headers
            assert (headers["x-user"], headers["x-team"], headers.get("authorization")) == ("ada", "blue", None)

            stranger = Issuer(kid="one")
            for bad in (
                "rubbish",
                "no.token.atall",
                good[:-6] + "AAAAAA",
                ISSUER.token(aud="api", lasts=-120),
                ISSUER.token(aud="api", iss="https://else.example"),
                ISSUER.token(aud="api", algorithm="none"),
                ISSUER.token(aud="api", nbf=4_000_000_000),
                stranger.token(aud="api"),
            ):
                assert await found.ask("/one", **_bearer(bad)) == 401, bad
            assert await found.ask("/one") == 401
            # A sound token, and not for us.
            assert await found.ask("/one", **_bearer(ISSUER.token(aud="other"))) == 403
            # On the same host nobody else may say who he is.
            assert await found.ask("/two", **{"x-user": "forged"}) == 200
            assert "x-user" not in found.web.asked[-1].headers

    asyncio.run(run())


def test_tokens_are_where_they_are_said_to_be_and_of_whom() -> None:
    async def run() -> None:
        other = Issuer("https://other.example", kid="two")
        providers = [
            _provider(sources=[{"cookie": "session"}, {"query": "token"}]),
            _provider(other, "other", sources=[{"header": "X-Token"}], forward=True),
        ]
        policy = access("p", "HTTPRoute/a/one", jwt={"providers": providers, "optional": True})
        async with guarded(policy) as found:
            assert await found.ask("/one", cookie=f"session={ISSUER.token()}") == 200
            assert await found.ask(f"/one?token={ISSUER.token()}") == 200
            assert await found.ask("/one", **{"x-token": other.token()}) == 200
            assert found.web.asked[-1].headers["x-token"]
            assert await found.ask("/one") == 200
            assert await found.ask("/one", **{"x-token": ISSUER.token()}) == 401
            assert await found.ask("/one", cookie="session=rubbish") == 401

    asyncio.run(run())


def test_rules_ask_for_claims() -> None:
    async def run() -> None:
        rules = [
            {"name": "admins", "action": "allow", "claims": [{"name": "realm.roles", "values": ["admin", "root"]}]},
            {
                "name": "readers",
                "action": "allow",
                "methods": ["GET"],
                "claims": [{"name": "scope", "values": ["read"]}],
            },
            {"name": "first", "action": "allow", "claims": [{"name": "level", "values": ["1"]}]},
            {"name": "guests", "action": "deny", "claims": [{"name": "guest", "values": ["true"]}]},
        ]
        spec = {"jwt": {"providers": [_provider()]}, "authorization": {"rules": rules}}
        async with guarded(access("p", "HTTPRoute/a/one", **spec)) as found:

            async def post(**claims: Any) -> int:
                answer = await found.edge.ask("/one", "POST", headers=_bearer(ISSUER.token(**claims)))
                return answer.status_code

            assert await post(realm={"roles": ["user", "admin"]}) == 200
            assert await post(realm={"roles": ["user"]}) == 403
            assert await post(realm={"roles": "root"}) == 200
            assert await post(level=1) == 200
            assert await post(level=2) == 403
            assert await post(realm={"roles": ["admin"]}, guest=True) == 403
            assert await post(scope="write read") == 403
            assert await found.ask("/one", **_bearer(ISSUER.token(scope="write read"))) == 200
            assert await found.ask("/one", **_bearer(ISSUER.token(scope="reader"))) == 403
            assert await found.ask("/one") == 401

    asyncio.run(run())


def test_observed_tokens_are_counted_and_pass() -> None:
    async def run() -> None:
        async with guarded(
            access("p", "HTTPRoute/a/one", jwt={"providers": [_provider()], "mode": "observe"})
        ) as found:
            assert await found.ask("/one") == 200
            assert await found.ask("/one", **_bearer("rubbish")) == 200
            assert await found.ask("/one", **_bearer(ISSUER.token())) == 200
            assert await found.stat(r"access\.test/p\.jwt\.shadow_denied") == 2
            assert await found.stat(r"access\.test/p\.jwt\.shadow_allowed") == 1

    asyncio.run(run())


def test_keys_of_a_server_are_renewed_and_outlive_it() -> None:
    async def run() -> None:
        first, second = Issuer(kid="a"), Issuer(kid="b")
        async with origin(lambda _: Answer(body=first.keys.encode())) as server:
            remote = {
                "backendRef": {"group": OWN_GROUP, "kind": "Backend", "name": "id"},
                "path": "/keys",
                "host": "id.example",
                "refresh": "1s",
            }
            provider = {"name": "id", "issuer": first.name, "keys": {"remote": remote}}
            policy = access("p", "HTTPRoute/a/one", jwt={"providers": [provider]})
            async with guarded(policy, backend("id", server.port)) as found:

                async def until(issuer: Issuer, status: int) -> None:
                    async with asyncio.timeout(15):
                        while await found.ask("/one", **_bearer(issuer.token())) != status:  # noqa: ASYNC110
                            await asyncio.sleep(0.1)

                await until(first, 200)
                assert (server.asked[-1].path, server.asked[-1].headers["host"]) == ("/keys", "id.example")
                assert await found.ask("/one", **_bearer(second.token())) == 401
                server.handler = lambda _: Answer(body=second.keys.encode())
                await until(second, 200)
                assert await found.ask("/one", **_bearer(first.token())) == 401
                server.handler = lambda _: Broken()
                before = len(server.asked)
                async with asyncio.timeout(15):
                    while len(server.asked) < before + 3:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                assert await found.ask("/one", **_bearer(second.token())) == 200

    asyncio.run(run())
