"""An edge under test: the real agent and the real Envoy, snapshots by hand, a control plane in the same process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import httpx

from seawall.agent.agent import Agent
from seawall.agent.settings import AgentSettings
from seawall.envoy.proto import encode, pack
from seawall.fleet.wire import Rejection
from seawall.kit.digest import digest
from seawall.kit.units import Seconds
from seawall.xds.resource import LISTENER, Resource, ResourceName
from tests.support.control import Control, serving

_NETWORK = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_T = TypeVar("_T")
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listener(port: int, answer: str) -> Resource:
    """A listener that answers everything with the same words."""
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": answer}},
    }
    manager = {
        "stat_prefix": "edge",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": pack(_ROUTER)}],
    }
    body = encode(
        "envoy.config.listener.v3.Listener",
        {
            "name": f"tcp/127.0.0.1/{port}",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": pack(_NETWORK, manager)}]}],
        },
    )
    return resource(f"tcp/127.0.0.1/{port}", body)


def resource(name: str, body: bytes) -> Resource:
    return Resource(type_url=LISTENER, name=ResourceName(name), version=digest(body), body=body)


async def until(claim: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for another process's or task's doing, which has no event for us."""
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def within(story: Coroutine[None, None, _T], seconds: float = 40.0) -> _T:
    """Let no story hang."""
    async with asyncio.timeout(seconds):
        return await story


async def answer(port: int) -> str:
    """Ask the edge once; empty if it does not answer."""
    async with httpx.AsyncClient() as http:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/", timeout=2.0)).text
        except httpx.HTTPError:
            return ""


async def answers(port: int, text: str, seconds: float = 10.0) -> None:
    """Wait until the edge answers with this."""
    async with asyncio.timeout(seconds):
        while await answer(port) != text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def settings(folder: Path, **changes: object) -> AgentSettings:
    fields: dict[str, object] = {
        "edge": "e1",
        "state_dir": str(folder / "state"),
        "run_dir": str(folder / "run"),
        "control": (f"unix:{folder}/control.sock",),
        "concurrency": 1,
        "drain": Seconds(1.0),
        "heartbeat": Seconds(0.2),
        "restart_spread": Seconds(0.1),
    }
    return AgentSettings(**{**fields, **changes})  # type: ignore[arg-type]  # tests change what they please


class Edge:
    """A running agent, and the control plane that it is connected to."""

    def __init__(self, agent: Agent, control: Control) -> None:
        self.agent = agent
        self.control = control

    @property
    def envoy(self) -> int:
        return self.agent.envoy_pid

    @property
    def state(self) -> str:
        status = self.control.edges.get("e1")
        return status.heartbeat.envoy if status is not None and status.heartbeat is not None else ""

    @property
    def deaths(self) -> int:
        status = self.control.edges.get("e1")
        return status.heartbeat.deaths if status is not None and status.heartbeat is not None else 0

    @property
    def problem(self) -> str:
        status = self.control.edges.get("e1")
        return status.heartbeat.problem if status is not None and status.heartbeat is not None else ""

    @property
    def is_ready(self) -> bool:
        status = self.control.edges.get("e1")
        return status is not None and status.heartbeat is not None and status.heartbeat.is_ready

    @property
    def applied(self) -> str:
        status = self.control.edges.get("e1")
        return status.applied if status is not None else ""

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        status = self.control.edges.get("e1")
        return status.rejections if status is not None else ()


@contextlib.asynccontextmanager
async def running_agent(configured: AgentSettings) -> AsyncIterator[Agent]:
    """Run an agent while the block runs; it is stopped, drained, at the end."""
    agent = Agent(configured)
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.run(), name="agent")
        try:
            yield agent
        finally:
            agent.stop()


@contextlib.asynccontextmanager
async def running_edge(folder: Path, **changes: object) -> AsyncIterator[Edge]:
    """Run a control plane and an agent while the block runs."""
    control = Control()
    async with serving(control, folder), running_agent(settings(folder, **changes)) as agent:
        yield Edge(agent, control)
