"""Connections live through what is said to drain nobody, and what drains others is predicted to the connection.

The table is that of what drains connections in Envoy: routes, clusters, endpoints, secrets, switches and new filter chains
drain nobody; a filter chain that changes drains itself; anything else of a listener drains its socket.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.held import (
    CALLS,
    HOST,
    THROUGH,
    Change,
    Held,
    certificate,
    gateway_of,
    holding,
    listeners,
    manners,
    streamed,
)
from tests.support.manifests import Json, backend, route, set_header, to
from tests.support.refusals import native, own

pytestmark = pytest.mark.e2e


def switched() -> Json:
    switch = {
        "name": "tea",
        "key": "fault.http.abort.abort_percent",
        "value": 1,
        "on": True,
        "until": "2999-01-01T00:00:00Z",
    }
    spec = {"switches": [switch]}
    return {"apiVersion": "seawall.dev/v1alpha1", "kind": "Perimeter", "metadata": {"name": "default"}, "spec": spec}


FAULT: Json = {"httpStatus": 418, "percentage": {"numerator": 0}}
"""What a filter does that does nothing."""


def safe(held: Held) -> list[Change]:
    """Changes that end nothing."""
    ports, ca = held.ports, held.authority
    more = {"name": "more", "protocol": "HTTP", "port": ports.spare}
    host: Json = {"name": "host", "protocol": "HTTPS", "port": ports.tls, "hostname": "host.example"}
    host["tls"] = {"certificateRefs": [{"name": "secure"}]}
    moved = streamed("GRPCRoute", "calls", "calls", "calls")
    moved["spec"]["rules"][0]["filters"] = [set_header("x-step", "1")]
    limit = {"name": "all", "requests": 100, "window": "1m", "keys": [{"type": "client"}]}
    deny = {"deny": ["203.0.113.0/24"]}
    table: dict[str, dict[str, list[Json] | None]] = {
        "rules of a route": {"a": [route("a", [HOST], [to("web", set_header("x-step", "1"))])]},
        "a host comes": {"b": [route("b", ["b.example"], [to("web")])]},
        "a host goes": {"b": None},
        "a backend comes, and a route goes to it": {
            "backend-other": [backend("other", ports.sockets)],
            "a": [route("a", [HOST], [to("other")])],
        },
        "the route goes back, and the backend goes": {"a": [route("a", [HOST], [to("web")])], "backend-other": None},
        "a rule of a GRPCRoute": {"calls": [moved]},
        "endpoints come": {"backend-web": [backend("web", ports.sockets, ports.lines)]},
        "endpoints go": {"backend-web": [backend("web", ports.sockets)]},
        "a certificate is renewed": {"secret-secure": [certificate(ca, "secure", HOST)]},
        "that of the calls is renewed": {"secret-calls": [certificate(ca, "calls", CALLS)]},
        "a certificate is revoked": {"crl": [{**held.files["crl"][0], "data": {"ca.crl": ca.revoked(7).decode()}}]},
        "RateLimitPolicy comes": {"limit": [own("RateLimitPolicy", "limit", "HTTPRoute/a", limits=[limit])]},
        "RateLimitPolicy goes": {"limit": None},
        "AccessPolicy comes": {"access": [own("AccessPolicy", "access", "Gateway/edge", addresses=deny)]},
        "AccessPolicy goes": {"access": None},
        "TrafficPolicy of a route comes": {
            "traffic": [own("TrafficPolicy", "t", "HTTPRoute/a", timeouts={"request": "9m"})]
        },
        "TrafficPolicy of a route goes": {"traffic": None},
        "a switch is thrown": {"perimeter": [switched()]},
        "a port comes": {"gateway": gateway_of([*listeners(ports), more])},
        "a hostname comes to a port": {"gateway": gateway_of([*listeners(ports), more, host])},
        "TrafficPolicy of a backend comes": {
            "traffic": [own("TrafficPolicy", "t", "Backend/web", loadBalancing={"type": "random"})]
        },
        "TrafficPolicy of a backend of streams": {
            "traffic": [own("TrafficPolicy", "t", "Backend/calls", loadBalancing={"type": "random"})]
        },
    }
    return [Change(name=name, files=files) for name, files in table.items()]


def draining(held: Held) -> list[Change]:
    """Changes that end something: what, and nothing else."""
    ports = held.ports
    web, secure, calls, *_ = "websocket", "secure websocket", "grpc"
    http = (web, secure, calls)
    others = listeners(ports)
    others[1]["hostname"] = "*.example"
    more = {"name": "more", "protocol": "HTTP", "port": ports.spare}
    log = {"sinks": [{"type": "File", "path": str(held.instance.root / "requests.log")}], "fields": ["path"]}
    table: tuple[tuple[str, dict[str, list[Json] | None], tuple[str, ...]], ...] = (
        ("a port comes", {"gateway": gateway_of([*listeners(ports), more])}, ()),
        ("a port without connections goes", {"gateway": gateway_of(listeners(ports))}, ()),
        ("TLS of one hostname", {"m1": [manners("m1", "secure", tls={"minVersion": "1.3"})]}, (secure,)),
        ("limits of plain HTTP", {"m2": [manners("m2", "web", limits={"maxHeaders": 50})]}, (web,)),
        ("requests are logged", {"m1": [manners("m1", "secure", accessLog=log)]}, (secure,)),
        ("HTTP/3", {"m1": [manners("m1", "secure", http3={})]}, (secure,)),
        ("PROXY headers on a port", {"m3": [manners("m3", "tcp", proxyProtocol={"optional": True})]}, ("tcp",)),
        ("the Gateway's policy goes", {"manners": [manners("manners", path={"mergeSlashes": False})]}, (calls,)),
        (
            "a native filter everywhere",
            {"native": [native("fault.v3.HTTPFault", abort=FAULT)]},
            http,
        ),
        ("no native filter any more", {"native": None}, http),
        (
            "TLSRoute to another backend",
            {"through": [streamed("TLSRoute", "through", "through", "inside-2", hostnames=[THROUGH])]},
            ("through",),
        ),
        ("TCPRoute to another backend", {"tcp": [streamed("TCPRoute", "tcp", "tcp", "lines-2")]}, ("tcp",)),
        ("another hostname", {"gateway": gateway_of(others)}, (secure,)),
        (
            "PROXY headers on the TLS port",
            {"m1": [manners("m1", "secure", proxyProtocol={"optional": True})]},
            (secure, calls, "through"),
        ),
        ("a port goes", {"gateway": gateway_of(others[1:])}, (web,)),
    )
    return [Change(name=name, files=files, ends=frozenset(ends)) for name, files, ends in table]


async def foretold(held: Held, change: Change) -> Json:
    """Ask what a change would end, until the numbers of what is open have arrived."""
    for _ in range(100):
        report = await held.predicted(change)
        assert report["counts"], change.name
        if held.counted(report):
            return report
        await asyncio.sleep(0.05)
    raise AssertionError(f"{change.name}: {report['blast']} never counts what is open")


async def until(claim: Callable[[], Any], what: str) -> None:
    for _ in range(200):
        if await claim():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what)


def test_sessions_live_through_every_change_that_is_called_safe(tmp_path: Path) -> None:
    async def run() -> None:
        async with holding(tmp_path) as held:
            everybody = set(held.sessions)
            for change in safe(held):
                assert (await held.predicted(change))["blast"]["drained"] == [], change.name
                await held.make(change)
                assert await held.alive() == everybody, change.name
                assert await held.draining() == 0, change.name
            assert await held.alive() == everybody

    asyncio.run(run())


def test_what_a_change_ends_is_predicted_and_nothing_else_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with holding(tmp_path) as held:
            for change in draining(held):
                await held.reopen()
                everybody = set(held.sessions)
                assert held.named(await foretold(held, change)) == change.ends, change.name

                await held.make(change)

                async def is_over(change: Change = change, everybody: set[str] = everybody) -> bool:
                    left = await held.alive()
                    assert left >= everybody - change.ends, (change.name, everybody - left)
                    return left == everybody - change.ends and not await held.draining()

                await until(is_over, f"{change.name} did not end {set(change.ends)}")

    asyncio.run(run())
