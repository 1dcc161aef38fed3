"""The sandbox, with two real Envoys."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest

from seawall.agent.binary import find_binary
from seawall.agent.trial import Costs
from seawall.app.sandbox import Run, Sandbox, SandboxReport, costs
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


class Flapping:
    """A trial whose cost is what a list says, measurement by measurement; the last one stays."""

    def __init__(self, *cpu: float) -> None:
        self.scratch = SimpleNamespace(death="")
        self.measured = 0
        self._cpu = cpu

    def costs(self) -> Costs:
        cpu = self._cpu[min(self.measured, len(self._cpu) - 1)]
        return Costs(cpu=cpu * 200, requests=200)

    def begin(self) -> None:
        self.measured += 1


@pytest.mark.parametrize(
    ("cpu", "measurements", "is_held_against_it"),
    [
        ((0.001,), 0, False),  # never dear: nothing is measured anew
        ((0.05, 0.001), 1, False),  # once, while the host was busy elsewhere
        ((0.05, 0.05, 0.05, 0.001), 3, False),
        ((0.05,), 3, True),  # always
        ((0.05, 0.001, 0.05), 1, False),  # it has proved that it can be cheap: nobody asks again
    ],
)
def test_a_cost_that_flaps_is_measured_again_and_counts_only_if_it_stays(
    cpu: tuple[float, ...], measurements: int, is_held_against_it: bool
) -> None:
    old, new = Flapping(0.001), Flapping(*cpu)
    run = Run(old, new, ())  # type: ignore[arg-type]  # what `confirm` asks of a trial, and no more

    asyncio.run(run.confirm((), Seconds(0.0)))

    assert (old.measured, new.measured) == (measurements, measurements)
    assert bool(costs(old.costs(), new.costs())) is is_held_against_it
