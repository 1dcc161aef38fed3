"""The benchmarks still run, small and without a look at the clock: what they measure is `make bench`'s business."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.report import Result, Table, as_markdown, as_text, goal, write
from bench.support.load import parse
from bench.support.numbers import percentile, short, spread
from bench.support.programs import Failure

ROOT = Path(__file__).parent.parent.parent
WRK = """Running 5s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Latency Distribution
     50%    1.82ms
     75%    2.01ms
     90%    2.20ms
     99%  840.00us
  172425 requests in 5.00s, 30.92MB read
  Non-2xx or 3xx responses: 7
Requests/sec:  34485.12
"""


def result() -> Result:
    table = Table(title="Speed", heads=("who", "how fast"), rows=(("us", "1"), ("them|others", "2")), note="Read it.")
    return Result(bench="speed", question="how fast?", tables=(table,), verdicts=(goal("speed", 1, 2, "s"),))


def run(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", *words, "--quick", "--output", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_parts_of_a_change_can_be_measured() -> None:
    found = run("parts")

    (parts,) = found["results"]
    assert [table["heads"][0] for table in parts["tables"]] == ["part", "part"]
    assert parts["figures"]


def test_detection_can_be_measured() -> None:
    found = run("detect")

    (detect,) = found["results"]
    assert [table["heads"][0] for table in detect["tables"]] == ["scenario", "what"]
    assert detect["figures"]["mining, events a second"] > 0


def test_a_soak_says_of_each_process_whether_it_grows() -> None:
    found = run("soak")

    (soak,) = found["results"]
    assert [row[0] for row in soak["tables"][0]["rows"]] == ["control plane", "agent", "Envoy", "disk"]


def test_peers_play_the_same_or_it_is_said_what_is_missing() -> None:
    found = run("protection", "--peers", "--only", "A1")

    (peers,) = found["results"]
    who = {row[1] for row in peers["tables"][0]["rows"]}
    assert peers["bench"] == "protection-peers"
    assert len(who) + len(peers["verdicts"]) == 4
    assert all("apt-get install" in one for one in peers["verdicts"])


def test_protection_can_be_measured_at_a_real_edge() -> None:
    found = run("protection")

    (protection,) = found["results"]
    ((row,),) = [table["rows"] for table in protection["tables"]]
    assert int(row[7]) > 0, "good requests"
    assert row[8] == "100.0%", "goodput"


@pytest.mark.e2e
def test_isolation_of_what_envoy_refuses_can_be_measured() -> None:
    found = run("nack")

    (nack,) = found["results"]
    ((*_, together),) = [table["rows"] for table in nack["tables"]]
    assert together[0] == "all"
    assert nack["figures"]["named_worst"] > 0


def test_gates_can_be_measured() -> None:
    found = run("gates")

    (gates,) = found["results"]
    assert [len(table["rows"]) for table in gates["tables"]] == [3, 16, 4]
    assert gates["figures"]["false"] == 0


@pytest.mark.e2e
def test_propagation_can_be_measured_and_has_no_errors() -> None:
    found = run("propagation")

    (propagation,) = found["results"]
    rows = propagation["tables"][0]["rows"]
    assert {row[0] for row in rows} >= {"seawall up", "seawall up, under churn"}
    assert all(row[-1] == "0" for row in rows)


@pytest.mark.e2e
def test_verdicts_can_be_measured() -> None:
    found = run("verdicts")

    (verdicts,) = found["results"]
    times, price = verdicts["tables"]
    assert [row[0] for row in times["rows"]] == [
        "1 at once",
        "1,000 at once",
        "10,000 at once",
        "one more, beside 10,000",
    ]
    assert len(price["rows"]) == 6


def test_what_wrk_says_is_read_in_milliseconds() -> None:
    found = parse(WRK)

    assert (found.requests, found.rate, found.errors) == (172425, 34485.12, 7)
    assert (found.p50, found.p99) == (1.82, 0.84)


def test_output_that_is_not_of_wrk_is_a_failure() -> None:
    with pytest.raises(Failure, match="unable to connect"):
        parse("unable to connect")


def test_a_goal_that_is_missed_says_so() -> None:
    assert goal("mean", 12, 10, "ms").startswith("MISSED")
    assert goal("ratio", 0.98, 0.97, "", at_least=True).startswith("met")


def test_a_section_of_the_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench:speed -->\nold\n<!-- /bench:speed -->\nafter\n")

    assert write(page, "speed", as_markdown(result(), "a machine", "python -m bench speed"))

    text = page.read_text()
    assert text.startswith("before\n<!-- bench:speed -->\n`python -m bench speed` on ")
    assert text.endswith("<!-- /bench:speed -->\nafter\n")
    assert "| them\\|others | 2 |" in text
    assert "old" not in text


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")

    assert not write(page, "speed", "section\n")
    assert page.read_text() == "nothing here\n"


def test_text_lines_up() -> None:
    lines = as_text(result()).splitlines()

    assert "  who          how fast" in lines
    assert any("met: speed" in line for line in lines)


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]

    assert percentile(values, 99) == 99.0
    assert spread([3.0, 1.0, 2.0]).median == 2.0
    assert [short(value) for value in (0.0073, 16.62, 15374.2)] == ["0.0073", "16.6", "15,374"]
