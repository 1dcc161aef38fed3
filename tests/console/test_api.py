"""The console's API, over its unix socket and over TCP."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from seawall.console.answers import Json
from seawall.console.api import Question, api
from seawall.console.server import serving
from seawall.kit.errors import ConfigError


class Shop:
    """An instance with one object."""

    def objects(self) -> list[Json]:
        return [{"kind": "GatewayClass", "metadata": {"name": "edge"}, "status": {}, "problems": []}]

    def object(self, kind: str, namespace: str, name: str) -> Json | None:
        return self.objects()[0] if (kind, namespace, name) == ("GatewayClass", "", "edge") else None

    def edges(self) -> list[Json]:
        return []

    def status(self) -> Json:
        return {"version": "1"}

    def explain(self, question: Question) -> Json:
        if question.url == "?":
            raise ConfigError("'?' is not a URL.")
        return {"request": question.url, "from": question.client}

    def metrics(self) -> str:
        return "seawall_objects 1\n"


def _with_client(path: Path, use: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    async def run() -> httpx.Response:
        async with serving(api(Shop()), path):
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://seawall") as client:
                return await use(client)

    return asyncio.run(run())


def test_objects_are_listed(tmp_path: Path) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.get("/v1/objects"))

    assert answer.json()[0]["kind"] == "GatewayClass"


def test_one_object_is_found_by_kind_namespace_and_name(tmp_path: Path) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.get("/v1/objects/GatewayClass/_/edge"))

    assert answer.json()["metadata"] == {"name": "edge"}


def test_an_absent_object_is_a_404_that_names_it(tmp_path: Path) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.get("/v1/objects/Gateway/shop/edge"))

    assert (answer.status_code, answer.json()) == (404, {"error": "there is no Gateway shop/edge."})


@pytest.mark.parametrize("path", ["/v1/edges", "/v1/status", "/metrics"])
def test_the_rest_answers(tmp_path: Path, path: str) -> None:
    assert _with_client(tmp_path / "s", lambda client: client.get(path)).status_code == 200


def test_a_question_is_explained(tmp_path: Path) -> None:
    question = {"url": "http://shop.example", "from": "192.0.2.1"}

    answer = _with_client(tmp_path / "s", lambda client: client.post("/v1/explain", json=question))

    assert answer.json() == {"request": "http://shop.example", "from": "192.0.2.1"}


@pytest.mark.parametrize("body", [b"{", b'{"url": "?"}', b'{"url": "x", "colour": "red"}'])
def test_a_bad_question_is_a_400(tmp_path: Path, body: bytes) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.post("/v1/explain", content=body))

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_endless_question_is_refused(tmp_path: Path) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.post("/v1/explain", content=b"x" * 100_000))

    assert answer.status_code == 413


def test_a_rebound_name_is_refused(tmp_path: Path) -> None:
    answer = _with_client(tmp_path / "s", lambda client: client.get("/v1/status", headers={"host": "evil.example"}))

    assert answer.status_code == 400


def test_only_the_owner_may_connect_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def run() -> int:
        async with serving(api(Shop()), path, "127.0.0.1:0") as (_, tcp), httpx.AsyncClient() as client:
            assert (await client.get(f"http://{tcp}/v1/status")).status_code == 200
            return stat.S_IMODE(path.stat().st_mode)

    assert asyncio.run(run()) == 0o600
    assert not path.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "nonsense", "127.0.0.1:http"])
def test_a_console_that_others_can_reach_is_refused(tmp_path: Path, address: str) -> None:
    async def run() -> None:
        async with serving(api(Shop()), tmp_path / "s", address):
            pass

    with pytest.raises(ConfigError):
        asyncio.run(run())
