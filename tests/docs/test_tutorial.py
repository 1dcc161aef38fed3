"""The tutorial works: its own YAML, put where it says, does what it says."""

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.cli.running import seawall
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
HEADER, MISTAKE, MINE = re.findall(r"```yaml\n(.*?)```", TUTORIAL, re.DOTALL)


def test_a_newcomer_gets_through_the_tutorial(tmp_path: Path) -> None:
    asyncio.run(follow(tmp_path / "tutorial"))


async def follow(root: Path) -> None:
    port, secure = free_port(), free_port()
    shutil.copytree(ROOT / "examples/shop", root / "manifests")
    edit(root / "manifests/gateway.yaml", "port: 8080", f"port: {port}")
    edit(root / "manifests/gateway.yaml", "port: 8443", f"port: {secure}")
    async with seawall_up({}, root=root) as edge:
        await until(port, "www.shop.example", "/", lambda answer: answer.status_code == 200)

        # 2: change something
        before = re.search(r"^ +set: .*Strict-Transport.*\n", read(edge, "storefront"), re.MULTILINE)
        assert before is not None
        edit(edge.folder / "storefront.yaml", before.group(), HEADER)
        await until(port, "www.shop.example", "/", lambda answer: answer.headers.get("x-hello") == "world")

        for line in re.findall(r"^(  ~ .*|  because .*|.* guards pass\.)$", TUTORIAL, re.MULTILINE):
            expected = line.replace(":8080", f":{port}").replace(":8443", f":{secure}")
            assert squeezed(expected) in squeezed(await said(edge, "diff"))
        assert "immediate" in await said(edge, "rollout", "status")

        # 3: break something, by name and then altogether
        edit(edge.folder / "api.yaml", "    - {name: catalog, port: 80}\n", MISTAKE)
        await until(port, "api.shop.example", "/v1/catalog", lambda answer: answer.status_code == 500)
        assert (await ask(port, "api.shop.example", "/v1/catalog", beta="yes")).status_code == 200
        claimed = re.search(r"examples/shop/(api\.yaml:\d+:\d+: error: HTTPRoute shop/api)", TUTORIAL)
        assert claimed is not None
        await logged(edge, claimed.group(1))
        edit(edge.folder / "storefront.yaml", "[www.shop.example]", "[www.shop.example")
        await logged(edge, "storefront.yaml")
        assert (await ask(port, "www.shop.example", "/")).headers["x-hello"] == "world"

        # 5: a backend of one's own
        server = await asyncio.start_server(mine, "127.0.0.1", 0)
        async with server:
            own = server.sockets[0].getsockname()[1]
            (edge.folder / "mine.yaml").write_text(MINE.replace("9000", str(own)), encoding="utf-8")
            await until(port, "mine.shop.example", "/", lambda answer: answer.text == "mine")

        assert await edge.stop() == 0
        assert not edge.run_dir.exists()


async def mine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmine")
    await writer.drain()
    writer.close()


async def said(edge: Instance, *words: str) -> str:
    ran = await asyncio.to_thread(seawall, *words, "--run-dir", edge.run_dir)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def squeezed(text: str) -> str:
    """Columns are as wide as they need."""
    return " ".join(text.split())


def read(edge: Instance, name: str) -> str:
    return (edge.folder / f"{name}.yaml").read_text(encoding="utf-8")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


async def ask(port: int, host: str, path: str, beta: str = "no") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers={"host": host, "x-beta": beta})


async def until(port: int, host: str, path: str, claim: Callable[[httpx.Response], bool]) -> None:
    async def fits() -> bool:
        return claim(await ask(port, host, path))

    await eventually(fits)


async def logged(edge: Instance, text: str) -> None:
    async def fits() -> bool:
        return text in edge.log

    await eventually(fits)


async def eventually(claim: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await claim():  # noqa: ASYNC110 - what is awaited is another process's doing
            await asyncio.sleep(0.02)
