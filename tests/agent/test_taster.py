"""The taster, with the real Envoy: good candidates pass, bad ones are named with their reason."""

import asyncio
from pathlib import Path

import pytest
from tests.envoy.graphs import host, route
from tests.gateway.test_grpc import grpc
from tests.gateway.test_streams import TCP, stream
from tests.gateway.world import HTTP, edge, pair, resolved, service
from tests.support import candidates
from tests.support.candidates import DEADLY, built, candidate, lua, native

from seawall.agent.binary import Binary, find_binary
from seawall.agent.settings import AgentSettings
from seawall.agent.taster import Taster, TasteReport
from seawall.fleet.bundle import Limits
from seawall.gateway.graph import Redirect
from seawall.kit.units import Seconds
from seawall.xds.snapshot import EMPTY, Snapshot

SETTINGS = AgentSettings(edge="edge", state_dir="", run_dir="")
ERRING = lua("function envoy_on_request(handle) local nothing = nil; nothing.field = 1 end")


def taste(folder: Path, snapshot: Snapshot, seconds: float = 0.5, base: Snapshot | None = None) -> TasteReport:
    async def main() -> TasteReport:
        taster = Taster(SETTINGS, folder, await find_binary())
        return await taster.taste(snapshot, Limits(), Seconds(seconds), base=base)

    return asyncio.run(main())


def test_a_good_candidate_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    wild = (host("*.wild.example", route(Redirect(status=301, scheme="https"))), host("*", route()))

    report = taste(tmp_path, candidate(hosts=(*candidates.HOSTS, *wild)))

    assert report.is_good, report.reason
    assert report.figures["requests"] > 0
    assert report.figures["routes"] >= 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("snapshot", [EMPTY, candidate(hosts=())], ids=["no listener", "no route"])
def test_an_edge_without_routes_can_be_tasted(tmp_path: Path, snapshot: Snapshot) -> None:
    report = taste(tmp_path, snapshot)

    assert report.is_good, report.reason


def test_listeners_that_pass_connections_on_can_be_tasted(tmp_path: Path) -> None:
    tls = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    open_ = {"name": "open", "port": 444, "protocol": "TLS", "tls": {"certificateRefs": [{"name": "pair"}]}}
    udp = {"name": "udp", "port": 53, "protocol": "UDP"}
    udp_port = {"name": "udp", "port": 80, "protocol": "UDP"}
    routes = [
        stream("TLSRoute", hostnames=["a.example"]),
        stream("TCPRoute", "home", "web", "none"),
        stream("UDPRoute", "home", "dns", "dns"),
    ]
    calls = grpc("calls", {"matches": [{"method": {"service": "a.B"}}], "backendRefs": [{"name": "web", "port": 80}]})
    objects = [*edge(tls, open_, udp, TCP, HTTP), pair(), service(), service("dns", udp_port), *routes, calls]

    report = taste(tmp_path, built(resolved(*objects).graph))

    assert report.is_good, report.reason
    assert report.figures["routes"] == 2, "that of the call, and the 404 after it"


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (candidate(DEADLY), "Envoy died: signal 11 (SIGSEGV)"),
        (candidate(lua("function envoy_on_request(handle")), "Envoy does not take Listener tcp/127.0.0.1/8080"),
        (candidate(ERRING), "lua.errors is"),
        (
            candidate(native("fault.v3.HTTPFault", abort={"http_status": 503, "percentage": {"numerator": 50}})),
            "503, where the configuration says forward",
        ),
        (
            candidate(native("fault.v3.HTTPFault", delay={"fixed_delay": "0.4s", "percentage": {"numerator": 100}})),
            "took longer than 0.25 s",
        ),
        (candidate(lua("function envoy_on_request(handle) while true do end end")), "no answer within 2 s"),
    ],
    ids=["dies", "is refused", "fails in silence", "aborts", "is slow", "hangs"],
)
def test_a_bad_candidate_is_named_with_its_reason(tmp_path: Path, snapshot: Snapshot, reason: str) -> None:
    report = taste(tmp_path, snapshot)

    assert not report.is_good
    assert reason in report.reason


def test_a_leak_is_seen(tmp_path: Path) -> None:
    leak = "held = {} function envoy_on_request(handle) held[#held + 1] = string.rep('x', 100000) .. #held end"

    report = taste(tmp_path, candidate(lua(leak)), 2.0)

    assert not report.is_good
    assert report.reason.startswith("memory grew by")


def test_the_death_names_the_request_that_caused_it(tmp_path: Path) -> None:
    report = taste(tmp_path, candidate(DEADLY))

    assert "x-envoy-kill-request" in report.reason


def test_what_fails_in_the_base_as_well_is_no_fault_of_the_candidate(tmp_path: Path) -> None:
    report = taste(tmp_path, candidate(ERRING, hosts=candidates.HOSTS[:2]), base=candidate(ERRING))

    assert report.is_good, report.reason


def test_an_envoy_that_never_starts_is_not_good(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)

    async def main() -> TasteReport:
        taster = Taster(SETTINGS, tmp_path / "taster", Binary(path=str(program), version="", build=""))
        return await taster.taste(candidate(), Limits(), Seconds(0.5))

    report = asyncio.run(main())

    assert not report.is_good
    assert "exit status 3" in report.reason
