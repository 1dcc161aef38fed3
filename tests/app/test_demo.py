"""Demo backends: they answer with what they were asked."""

import asyncio

import httpx

from seawall.app.demo import DemoBackend


def _ask(*targets: str, method: str = "GET") -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with DemoBackend("shop", "catalog").serving() as port, httpx.AsyncClient() as client:
            return [await client.request(method, f"http://127.0.0.1:{port}{target}") for target in targets]

    return asyncio.run(run())


def test_the_answer_tells_the_service_and_the_request() -> None:
    answers = _ask("/toys?color=red", "/books")

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["service"] == "shop/catalog"
    assert [answer.json()["path"] for answer in answers] == ["/toys?color=red", "/books"]


def test_a_status_can_be_asked_for() -> None:
    (answer,) = _ask("/api/status/503")

    assert answer.status_code == 503


def test_head_and_nonsense_delays_are_answered() -> None:
    answers = _ask("/?delay=soon", "/status/999", method="HEAD")

    assert [answer.status_code for answer in answers] == [200, 200]
