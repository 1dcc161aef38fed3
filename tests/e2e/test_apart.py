"""Apart, as in production: `seawall serve`, `seawall agent`, mTLS between them, all by the command line."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.manifests import Json, gateway, route
from tests.support.seawall import free_port

pytestmark = pytest.mark.e2e

_SRC = str(Path(__file__).parents[2] / "src")


@contextlib.asynccontextmanager
async def _running(log: Path, *words: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "seawall", *map(str, words)), stdout=out, stderr=out, env=_environment()
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await process.wait()


async def _run(*words: str | Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "seawall", *map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def _environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "PYTHONPATH": _SRC}


async def _served(port: int, host: str, status: int = 200, within: float = 20.0) -> float:
    """Ask until the answer is there; return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(within), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/", headers={"host": host})).status_code == status:
                    return time.monotonic() - began
            await asyncio.sleep(0.02)


def _write(folder: Path, name: str, *documents: Json) -> None:
    folder.mkdir(exist_ok=True)
    fresh = folder.parent / f"{name}.fresh"
    fresh.write_text(yaml.safe_dump_all(documents))
    fresh.rename(folder / f"{name}.yaml")


def _redirecting(name: str) -> Json:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "there.example"}}]}
    return route(name, [f"{name}.example"], [rule])


async def _certificates(folder: Path) -> None:
    for words in (
        ("init", folder),
        ("issue", folder, "control", "c1", "--host", "127.0.0.1"),
        ("issue", folder, "edge", "e1"),
    ):
        code, said = await _run("pki", *words)
        assert code == 0, said


def _tls(folder: Path, name: str) -> tuple[str | Path, ...]:
    return ("--ca", folder / "ca.crt", "--cert", folder / f"{name}.crt", "--key", folder / f"{name}.key")


def _words(folder: Path, port: int) -> tuple[tuple[str | Path, ...], tuple[str | Path, ...]]:
    """The two commands, on one host."""
    serve: tuple[str | Path, ...] = (
        "serve",
        folder / "manifests",
        "--listen",
        f"127.0.0.1:{port}",
        "--bind",
        "127.0.0.1",
    )
    serve = (*serve, *_tls(folder / "pki", "control-c1"), "--run-dir", folder / "run", "--state-dir", folder / "state")
    agent: tuple[str | Path, ...] = (
        "agent",
        "--control",
        f"127.0.0.1:{port}",
        "--edge",
        "e1",
        *_tls(folder / "pki", "edge-e1"),
    )
    agent = (*agent, "--run-dir", folder / "edge", "--state-dir", folder / "kept", "--concurrency", "1")
    return serve, (*agent, "--drain", "0", "--metrics", "127.0.0.1:0")


def test_edges_outlive_their_control_plane(tmp_path: Path) -> None:
    async def run() -> None:
        port, listen = free_port(), free_port()
        pki, manifests, log = tmp_path / "pki", tmp_path / "manifests", tmp_path / "log"
        await _certificates(pki)
        _write(manifests, "gateway", *gateway(port))
        _write(manifests, "a", _redirecting("a"))
        serve, agent = _words(tmp_path, listen)
        async with _running(log, *agent):
            async with _running(log, *serve) as control:
                await _served(port, "a.example", 302)
                _write(manifests, "b", _redirecting("b"))
                await _served(port, "b.example", 302)
                code, said = await _run("status", "--run-dir", tmp_path / "run", "-o", "json")
                assert [one["edge"] for one in json.loads(said)["edges"]] == ["e1"], (code, said)
                control.kill()
                await control.wait()
            await _served(port, "b.example", 302)
        async with _running(log, *agent):
            # The edge has been restarted while its control plane is gone: it serves what lies on its disk.
            await _served(port, "b.example", 302)
            async with _running(log, *serve):
                _write(manifests, "c", _redirecting("c"))
                await _served(port, "c.example", 302)
        # It has trusted nobody on first use: the key to obey lies beside its certificate.
        assert not (tmp_path / "kept/trusted.keys").exists()
        assert "Traceback" not in log.read_text()

    asyncio.run(run())


def test_the_signing_key_is_replaced_while_edges_serve(tmp_path: Path) -> None:
    async def run() -> None:
        port = free_port()
        pki, manifests, log = tmp_path / "pki", tmp_path / "manifests", tmp_path / "log"
        await _certificates(pki)
        _write(manifests, "gateway", *gateway(port))
        _write(manifests, "a", _redirecting("a"))
        serve, agent = _words(tmp_path, free_port())
        async with _running(log, *agent):
            async with _running(log, *serve, "--vault-key", _random(tmp_path / "vault.key")):
                await _served(port, "a.example", 302)
            code, said = await _run("pki", "signing-key", pki)
            assert code == 0, said
            (pki / "bundle-next.key").replace(pki / "bundle.key")
            async with _running(log, *serve, "--vault-key", tmp_path / "vault.key"):
                _write(manifests, "b", _redirecting("b"))
                await _served(port, "b.example", 302)
                await _served(port, "a.example", 302)
        _, public = await _run("pki", "show-key", pki / "bundle.key")
        assert f'"key": "{public.strip()}"' in log.read_text()
        assert "Traceback" not in log.read_text()

    asyncio.run(run())


def _random(file: Path) -> Path:
    file.touch(mode=0o600)
    file.write_bytes(os.urandom(32))
    return file
