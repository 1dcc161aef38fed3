"""The sandbox, with two real Envoys."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from seawall.agent.binary import find_binary
from seawall.app.sandbox import Sandbox, SandboxReport
from seawall.fleet.bundle import Limits
from seawall.gateway.graph import Redirect, Respond
from seawall.kit.units import Seconds
from seawall.xds.snapshot import Snapshot
from tests.envoy.graphs import host, route
from tests.support.candidates import DEADLY, HOSTS, candidate, lua, native, with_tls
from tests.support.certificates import self_signed

BASE = candidate()


def compare(
    folder: Path, base: Snapshot, other: Snapshot, *, seconds: float = 0.5, touched: Collection[str] = ()
) -> SandboxReport:
    async def main() -> SandboxReport:
        sandbox = Sandbox(folder, await find_binary())
        return await sandbox.compare(base, other, limits=Limits(), seconds=Seconds(seconds), touched=touched)

    return asyncio.run(main())


def test_equal_snapshots_answer_equally(tmp_path: Path) -> None:
    chain, key = self_signed("tls.example")
    snapshot = with_tls(
        chain,
        key,
        *HOSTS,
        host("*.wild.example", route()),
        host("old.example", route(Redirect(status=308, host="new.example"))),
    )

    report = compare(tmp_path, snapshot, snapshot)

    assert report.is_passed, report.findings
    assert report.findings == ()
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_nobody_meant_to_change_must_not_change(tmp_path: Path) -> None:
    changed = candidate(hosts=(*HOSTS[:2], host("h2.example", route(Respond(status=404)))))

    report = compare(tmp_path, BASE, changed)

    assert not report.is_passed
    assert "GET http://h2.example/: 200 → 404" in report.findings


def test_what_the_change_names_may_change(tmp_path: Path) -> None:
    changed = candidate(hosts=(*HOSTS[:2], host("h2.example", route(Redirect(status=301, scheme="https")))))

    report = compare(tmp_path, BASE, changed, touched=("h2.example",))

    assert report.is_passed, report.reason
    assert "GET http://h2.example/: 200 → 301" in report.findings


def test_what_the_change_names_must_not_break(tmp_path: Path) -> None:
    changed = candidate(hosts=(*HOSTS[:2], host("h2.example", route(Respond(status=500)))))

    report = compare(tmp_path, BASE, changed, touched=("h2.example",))

    assert not report.is_passed
    assert "200 → 500" in report.reason


def test_headers_to_the_backend_are_compared(tmp_path: Path) -> None:
    adding = lua("function envoy_on_request(handle) handle:headers():add('x-tenant', 'other') end")

    report = compare(tmp_path, BASE, candidate(adding))

    assert not report.is_passed
    assert any("the backend gets x-tenant: other, which is new" in finding for finding in report.findings)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (candidate(DEADLY), "Envoy died: signal 11 (SIGSEGV)"),
        (candidate(lua("function (")), "Envoy does not take Listener"),
        (candidate(lua("function envoy_on_request(handle) local none = nil; none.field = 1 end")), "lua.errors"),
        (
            candidate(native("fault.v3.HTTPFault", delay={"fixed_delay": "0.02s", "percentage": {"numerator": 100}})),
            "half of the requests take at least",
        ),
        (
            candidate(
                lua("function envoy_on_request(handle) local n = 0; for i = 1, 1000000 do n = n + i % 7 end end")
            ),
            "in the base.",
        ),
    ],
    ids=["dies", "is refused", "fails in silence", "is slow", "burns CPU"],
)
def test_a_bad_candidate_is_named_with_its_reason(tmp_path: Path, other: Snapshot, reason: str) -> None:
    report = compare(tmp_path, BASE, other, seconds=2.0)

    assert not report.is_passed
    assert reason in report.reason
