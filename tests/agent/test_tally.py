"""What an edge counts, against the traffic that was really made."""

import asyncio
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.control import Control
from tests.support.edge import Edge, answers, free_port, listener, running_edge, until, within

from seawall.envoy.proto import encode, pack
from seawall.fleet.wire import COUNTS, GAUGES, Journey, Tally, Watch
from seawall.kit.digest import digest
from seawall.kit.units import Seconds
from seawall.xds.resource import CLUSTER, LISTENER, Resource, ResourceName
from seawall.xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e

_HTTP = "envoy.extensions.filters.http"
_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
LUA = "function envoy_on_request(handle)\n  if handle:headers():get('x-break') then local x = nil; x.y() end\nend"


def match(prefix: str, **fields: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, **fields}


GOLDEN = Path(__file__).parents[1] / "golden"


def tls(port: int) -> Resource:
    """A listener that speaks TLS to those who ask for shop.example, and to nobody else."""
    files = {
        "certificate_chain": {"inline_string": (GOLDEN / "certificate.pem").read_text()},
        "private_key": {"inline_string": (GOLDEN / "key.pem").read_text()},
    }
    transport = pack(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        {"common_tls_context": {"tls_certificates": [files]}},
    )
    routes = [match("/", direct_response={"status": 200})]
    chain = {
        "filter_chain_match": {"server_names": ["shop.example"]},
        "transport_socket": {"name": "tls", "typed_config": transport},
        "filters": [{"name": "http", "typed_config": pack(_MANAGER, manager(routes, []))}],
    }
    inspector = pack("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
    body = encode(
        "envoy.config.listener.v3.Listener",
        {
            "name": f"tcp/127.0.0.1/{port}",
            "address": at(port),
            "listener_filters": [{"name": "tls", "typed_config": inspector}],
            "filter_chains": [chain],
        },
    )
    return of(LISTENER, f"tcp/127.0.0.1/{port}", body)


def manager(routes: list[dict[str, Any]], filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "stat_prefix": "edge",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [*filters, {"name": "router", "typed_config": pack(f"{_HTTP}.router.v3.Router")}],
    }


def world(port: int, dead: int) -> Snapshot:
    """A listener that answers, fails, dawdles and misses; a backend that is itself, and one that is not there."""
    routes = [
        match("/500", direct_response={"status": 500}),
        match(
            "/dead",
            route={"cluster": "dead", "retry_policy": {"retry_on": "connect-failure", "num_retries": {"value": 1}}},
        ),
        match("/gone", route={"cluster": "self", "prefix_rewrite": "/404"}),
        match("/secret", route={"cluster": "self", "prefix_rewrite": "/403"}),
        match("/404", direct_response={"status": 404}),
        match("/403", direct_response={"status": 403}),
        match("/ok", direct_response={"status": 200, "body": {"inline_string": "ok"}}),
    ]
    fault = {"delay": {"header_delay": {}, "percentage": {"numerator": 100}}}
    filters = [
        {"name": "lua", "typed_config": pack(f"{_HTTP}.lua.v3.Lua", {"default_source_code": {"inline_string": LUA}})},
        {"name": "fault", "typed_config": pack(f"{_HTTP}.fault.v3.HTTPFault", fault)},
    ]
    socket = {"name": f"tcp/127.0.0.1/{port}", "address": at(port)}
    chains = [{"filters": [{"name": "http", "typed_config": pack(_MANAGER, manager(routes, filters))}]}]
    body = encode("envoy.config.listener.v3.Listener", {**socket, "filter_chains": chains})
    return Snapshot.of([of(LISTENER, f"tcp/127.0.0.1/{port}", body), cluster("self", port), cluster("dead", dead)])


def at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int) -> Resource:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return of(CLUSTER, name, encode("envoy.config.cluster.v3.Cluster", {"name": name, "load_assignment": assignment}))


def of(kind: Any, name: str, body: bytes) -> Resource:
    return Resource(type_url=kind, name=ResourceName(name), version=digest(body), body=body)


async def counted(control: Control, **expected: float) -> Tally:
    """Wait for a tally that says so, and return it."""

    def newest() -> Tally | None:
        return control.last(Tally)

    try:
        await until(lambda: (last := newest()) is not None and expected.items() <= last.counts.items())
    except TimeoutError:
        raise AssertionError(f"{newest()} is not {expected}") from None
    tally = newest()
    assert tally is not None
    return tally


async def make(port: int, *paths: str, **headers: str) -> None:
    async with httpx.AsyncClient() as http:
        for path in paths:
            await http.get(f"http://127.0.0.1:{port}{path}", headers=headers)


async def served(edge: Edge, port: int, snapshot: Snapshot) -> None:
    edge.control.publish(snapshot)
    await until(lambda: edge.applied == snapshot.version)


def test_a_tally_counts_what_clients_got(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            snapshot = world(port, free_port())
            await served(edge, port, snapshot)
            edge.control.send(Watch(tally_interval=0.1, slow=0.2))
            await make(port, "/ok", "/ok", "/ok", "/500", "/500", "/dead", "/gone", "/secret", "/nothing")
            await make(port, "/ok", "/ok", **{"x-break": "yes"})
            await make(port, "/ok", **{"x-envoy-fault-delay-request": "300"})

            tally = await counted(
                edge.control,
                requests=14.0,  # twelve, and two that Envoy made of itself
                errors=3.0,
                not_found=2.0,
                denied=1.0,
                filter_errors=2.0,
                slow=1.0,
                connect_failures=2.0,
                retries=1.0,
                upstream_requests=2.0,
            )
            assert set(tally.counts) == set(COUNTS)
            assert set(tally.gauges) == set(GAUGES)
            assert tally.counts["connections"] >= 3
            assert 10 << 20 < tally.gauges["memory"] < tally.gauges["memory_limit"]
            assert 0 < tally.gauges["cpu_seconds"] < 20
            assert 0 <= tally.gauges["age"] < 40
            bundle = edge.agent.delivery.running()
            assert bundle is not None
            assert tally.bundle == bundle[0].name

    asyncio.run(within(main()))


def test_sums_do_not_fall_when_a_backend_goes(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            await served(edge, port, world(port, free_port()))
            await make(port, "/gone", "/secret", "/ok")
            await counted(edge.control, upstream_requests=2.0)

            await served(edge, port, Snapshot.of([listener(port, "small")]))
            await answers(port, "small")
            tallies = len(edge.control.all(Tally))
            await until(lambda: len(edge.control.all(Tally)) >= tallies + 3)
            tally = await counted(edge.control, upstream_requests=2.0, not_found=1.0)
            assert tally.counts["requests"] >= 6

    asyncio.run(within(main()))


def test_a_new_envoy_and_a_new_agent_begin_a_run_at_nothing(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            await served(edge, port, world(port, free_port()))
            await make(port, "/ok", "/ok")
            first = await counted(edge.control, requests=2.0)
            pid = edge.envoy
            os.kill(pid, signal.SIGKILL)
            await until(lambda: edge.envoy not in {0, pid})
            second = await counted(edge.control, requests=0.0)
            assert second.run != first.run
            await until(lambda: edge.is_ready)
            await make(port, "/ok")
            await counted(edge.control, requests=1.0)
            edge.agent.leave()

        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            third = await counted(edge.control, requests=0.0)
            assert third.run not in {first.run, second.run}
            await make(port, "/ok")
            await counted(edge.control, requests=1.0)

    asyncio.run(within(main()))


def test_journeys_are_made_and_their_failures_told(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            await served(edge, port, world(port, free_port()))
            well = Journey(name="home", url=f"http://shop.example:{port}/ok?a=b")
            edge.control.send(Watch(tally_interval=0.1, journeys=(well,), journey_interval=0.1))
            await until(lambda: (tally := edge.control.last(Tally)) is not None and tally.counts["journeys"] >= 2)
            tally = edge.control.last(Tally)
            assert tally is not None
            assert tally.counts["journey_failures"] == 0
            assert edge.problem == ""

            ill = Journey(name="checkout", url=f"http://shop.example:{port}/500")
            closed = Journey(name="closed", url=f"https://shop.example:{free_port()}/", status=200)
            edge.control.send(Watch(tally_interval=0.1, journeys=(well, ill, closed), journey_interval=0.1))
            await until(lambda: "checkout" in edge.problem)
            assert "the answer is 500, it should be 200" in edge.problem
            await until(
                lambda: (tally := edge.control.last(Tally)) is not None and tally.counts["journey_failures"] >= 2
            )

            edge.control.send(Watch())
            await until(lambda: not edge.problem)

    asyncio.run(within(main()))


def test_a_journey_over_tls_names_its_host(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with running_edge(tmp_path, tally_interval=Seconds(0.1)) as edge:
            await served(edge, port, Snapshot.of([tls(port)]))
            journey = Journey(name="home", url=f"https://shop.example:{port}/")
            edge.control.send(Watch(tally_interval=0.1, journeys=(journey,), journey_interval=0.1))
            await until(lambda: (last := edge.control.last(Tally)) is not None and last.counts["handshakes"] >= 2)
            tally = await counted(edge.control, journey_failures=0.0)
            assert tally.counts["handshake_failures"] == 0

            other = Journey(name="other", url=f"https://other.example:{port}/")
            edge.control.send(Watch(tally_interval=0.1, journeys=(other,), journey_interval=0.1))
            await until(lambda: "other" in edge.problem)
            assert "no answer" in edge.problem

            # Envoy speaks no cipher of this kind.
            old = ssl.create_default_context()
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.set_ciphers("AES256-SHA256")
            with pytest.raises(OSError, match="HANDSHAKE_FAILURE"):
                await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="shop.example")
            await until(
                lambda: (last := edge.control.last(Tally)) is not None and last.counts["handshake_failures"] > 0
            )

    asyncio.run(within(main()))
