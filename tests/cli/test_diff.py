"""`seawall diff`: the real command against a real console."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.cli.diff import drains
from seawall.rollout.change import Blast, ChangeReport, Difference, GuardResult
from tests.cli.running import seawall
from tests.rollout.play import Play
from tests.support.desk import PlayedDesk, answering

REORDER = Difference(
    subject="filter",
    action="reordered",
    name="tcp/0.0.0.0/443",
    detail="lua now runs before ext_authz.",
    risk="R2",
    why="order is semantics",
    origins=("HTTPFilterPolicy/edge/chain",),
)
HOST = Difference(
    subject="host", action="removed", name="old.shop.example", detail="it is gone.", risk="R1", why="a route"
)
REPORT = ChangeReport(
    base="0f9e8d7c6b5a4938",
    candidate="a1b2c3d4e5f60718",
    risk="R2",
    why=("filters of tcp/0.0.0.0/443 run in another order",),
    differences=(REORDER, HOST),
    counts={"filter reordered": 1, "host removed": 1},
    blast=Blast(hosts=3, hosts_total=12, tenants=("shop",), share=0.25, drained=(("tcp/0.0.0.0/443", 17),)),
    guards=(
        GuardResult(guard="G1", title="order-aware diff", verdict="pass"),
        GuardResult(
            guard="G18", title="truth by probe", verdict="warn", message="nobody looks at shop.", remedy="Add one."
        ),
    ),
)
TEXT = """\
0f9e8d7c6b5a → a1b2c3d4e5f6, risk R2
  because filters of tcp/0.0.0.0/443 run in another order
  1 × filter reordered, 1 × host removed
  touches 3 of 12 hosts, 25.0% of the last hour's requests
  of shop
  drains 17 connections on tcp/0.0.0.0/443

     RISK  WHAT                    DETAIL
  ↕  R2    filter tcp/0.0.0.0/443  lua now runs before ext_authz.
  -  R1    host old.shop.example   it is gone.

1 of 2 guards pass.
G18 warn: nobody looks at shop.
  → Add one.
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[PlayedDesk]:
    made = PlayedDesk(Play(), REPORT)
    with answering(made, tmp_path):
        yield made


def guarded(verdict: str, override: str = "") -> ChangeReport:
    fields = {
        "guard": "G11",
        "title": "delete budget",
        "verdict": verdict,
        "message": "too many.",
        "override": override,
    }
    guard = GuardResult(**fields)  # type: ignore[arg-type]  # the verdict is a word of the parameters below
    return ChangeReport(base="a", candidate="b", risk="R1", counts={"host removed": 9}, guards=(guard,))


def test_a_diff_reads_from_risk_to_guards(desk: PlayedDesk, tmp_path: Path) -> None:
    ran = seawall("diff", "--run-dir", tmp_path)

    assert ran.stdout == TEXT
    assert ran.returncode == 0


def test_of_single_filter_chains_the_number_is_a_bound() -> None:
    chains = [
        ("tcp/::/443 https/a.example", 3),
        ("tcp/::/443 https/b.example", 3),
        ("udp/::/443", -1),
        ("tcp/::/80", 1),
    ]

    assert drains(chains) == [
        "drains at most 3 connections on tcp/::/443, those of https/a.example, https/b.example",
        "drains its connections on udp/::/443",
        "drains 1 connection on tcp/::/80",
    ]
    assert drains([("tcp/::/443 tcp", -1)]) == ["drains connections on tcp/::/443, those of tcp"]


def test_other_manifests_are_compared_with_what_runs(desk: PlayedDesk, tmp_path: Path) -> None:
    ran = seawall("diff", tmp_path, "--run-dir", tmp_path)
    absent = seawall("diff", "/nowhere/at/all", "--run-dir", tmp_path)

    assert (ran.stdout, ran.returncode) == (TEXT, 0)
    assert absent.returncode == 2
    assert "/nowhere/at/all" in absent.stderr


def test_json_is_the_whole_report(desk: PlayedDesk, tmp_path: Path) -> None:
    found = json.loads(seawall("diff", "-o", "json", "--run-dir", tmp_path).stdout)

    assert found["differences"][0]["action"] == "reordered"
    assert found["blast"]["share"] == 0.25
    assert set(found) == set(ChangeReport.__struct_fields__)


@pytest.mark.parametrize(
    ("verdict", "override", "code"),
    [("pass", "", 0), ("warn", "", 0), ("hold", "", 1), ("refuse", "", 1), ("refuse", "ann: a clean-up", 0)],
)
def test_the_exit_code_is_that_of_the_guards(
    desk: PlayedDesk, tmp_path: Path, verdict: str, override: str, code: int
) -> None:
    desk.report = guarded(verdict, override)

    ran = seawall("diff", "--run-dir", tmp_path)

    assert ran.returncode == code
    assert ("overridden by ann: a clean-up" in ran.stdout) == bool(override)


def test_where_nothing_changes_it_says_so(desk: PlayedDesk, tmp_path: Path) -> None:
    desk.report = ChangeReport(base="a", candidate="a", risk="R0")

    ran = seawall("diff", "--run-dir", tmp_path)

    assert (ran.stdout, ran.returncode) == ("Nothing changes.\n", 0)


def test_a_long_diff_is_cut_and_says_how_to_see_the_rest(desk: PlayedDesk, tmp_path: Path) -> None:
    desk.report = ChangeReport(
        base="a", candidate="b", risk="R1", differences=(HOST,) * 50, counts={"host removed": 50}
    )

    short, whole = seawall("diff", "--run-dir", tmp_path), seawall("diff", "--all", "--run-dir", tmp_path)

    assert "… and 10 more; --all shows them" in short.stdout
    assert whole.stdout.count("old.shop.example") == 50


def test_nothing_to_compare_is_exit_code_2(desk: PlayedDesk, tmp_path: Path) -> None:
    desk.report = None

    compared = seawall("diff", "--run-dir", tmp_path)
    alone = seawall("diff", "--run-dir", tmp_path / "none")
    half = seawall("diff", "--against", tmp_path)

    assert (compared.returncode, alone.returncode, half.returncode) == (2, 2, 2)
    assert "Wait a second" in compared.stderr
    assert "seawall up" in alone.stderr
    assert "--against OLD" in half.stderr
