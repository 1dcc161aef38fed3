"""Filters of one of several backends with the real Envoy: each share gets its own, and the shares are what was asked for."""

import asyncio
from collections import Counter

import pytest

from tests.support.manifests import Json, backend
from tests.support.origins import Answer, Asked, origin
from tests.support.traffic import OWN_GROUP, edge

pytestmark = pytest.mark.e2e


def _share(name: str, weight: int, *filters: Json) -> Json:
    return {"group": OWN_GROUP, "kind": "Backend", "name": name, "weight": weight, "filters": list(filters)}


def _rewrite(**fields: Json | str) -> Json:
    return {"type": "URLRewrite", "urlRewrite": fields}


def _echo(asked: Asked) -> Answer:
    return Answer(body=f"{asked.headers['host']}{asked.path} {asked.headers.get('x-share', '-')}".encode())


def test_each_share_has_its_own_rewrite_redirect_and_copy() -> None:
    async def run() -> None:
        prefix: Json = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/uno"}
        redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "c.example", "statusCode": 301}}
        copy: Json = {"group": OWN_GROUP, "kind": "Backend", "name": "copies"}
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": "/one"}}],
            "filters": [_rewrite(hostname="all.example")],
            "backendRefs": [
                _share("web", 50, _rewrite(hostname="first.example", path=prefix)),
                _share("web", 0, _rewrite(hostname="never.example")),
                _share("web", 30, redirect),
                _share("web", 20, {"type": "RequestMirror", "requestMirror": {"backendRef": copy}}),
            ],
        }
        async with origin(_echo) as web, origin() as copies:
            objects = (backend("web", web.port), backend("copies", copies.port))
            async with edge([rule], *objects) as running:
                found: Counter[str] = Counter()
                for _ in range(600):
                    answer = await running.ask("/one/x?q=1")
                    found[answer.headers.get("location") or answer.text] += 1
                assert set(found) == {
                    "first.example/uno/x?q=1 -",
                    f"http://c.example:{running.port}/one/x?q=1",
                    "all.example/one/x?q=1 -",
                }
                shares = [found[one] / 600 for one in sorted(found)]
                for share, wanted in zip(shares, (0.2, 0.5, 0.3), strict=True):
                    assert abs(share - wanted) < 0.08, found
                async with asyncio.timeout(10):
                    while len(copies.asked) < found["all.example/one/x?q=1 -"]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert len(copies.asked) == found["all.example/one/x?q=1 -"]

    asyncio.run(run())
