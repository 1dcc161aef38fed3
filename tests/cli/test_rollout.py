"""`seawall rollout`: the real command against a real console, with the real rollout machine behind it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import ROOT, seawall
from tests.rollout.play import Play, places, spec
from tests.support.desk import PlayedDesk, answering

PERIMETER = spec(
    '{"rollout": {"strategy": "staged"}, "approvals": {"verbs": ["promote", "emergency", "override"], "required": 2}}'
)


@pytest.fixture
def play() -> Play:
    return Play(places(), perimeter=PERIMETER)


@pytest.fixture
def desk(play: Play, tmp_path: Path) -> Iterator[PlayedDesk]:
    made = PlayedDesk(play)
    with answering(made, tmp_path):
        yield made


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────

CANARY = """\
to-v1: v1 instead of v0, risk R1, staged, by source, for 35 s
     STAGE    EDGES  TIME
  ✓  guards
  ✓  sandbox
  ▶  canary   1/1    25 s left of 60 s  r0-c0-e0, compared with r0-c0-e1
  ·  cell     0/1    60 s
  ·  region   0/1    2 min
  ·  quarter  0/1    2 min
  ·  half     0/2    2 min
  ·  all      0/6
  ·  bake            30 min
  Gates: 7,000 requests in this stage, evidence against it 1 of 1,000.
  Waits: canary takes 25 s more.

Fleet: 12 edges, none away
  11 on v0
  1 on v1
  back leads to: v0, which ran before; it is not proven
"""


def test_status_is_a_line_a_stage_and_the_sentence_that_matters(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("canary")
    play.wait(35)

    ran = seawall("rollout", "status", "--run-dir", tmp_path)

    assert ran.stdout == CANARY
    assert ran.returncode == 0


def test_status_of_a_quiet_fleet_says_so(desk: PlayedDesk, tmp_path: Path) -> None:
    ran = seawall("rollout", "status", "--run-dir", tmp_path)

    assert ran.stdout.startswith("No rollout is under way (strategy: staged).")
    assert "  back leads to: nothing, there is no version before\n" in ran.stdout
    assert ran.returncode == 0


def test_status_says_all_that_stands_in_the_way(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("canary")
    play.say("promote", "ann", reason="hurry")
    play.say("freeze", "ben", reason="incident 7", until=play.now + 7200)
    play.propose("v2", "v1")
    play.wait(200)
    desk.problem, desk.is_leader = "PostgreSQL is away.", False

    ran = seawall("rollout", "status", "--run-dir", tmp_path)

    assert ran.returncode == 1
    for line in (
        "  Held: ben has frozen the perimeter for 117 min more: incident 7.",
        "  ▶  canary   1/1    60 s are over  r0-c0-e0, compared with r0-c0-e1",
        "to-v2 (v2) waits its turn.",
        "  request-1  ann       promote  57 min      hurry",
        "  → Somebody else says: seawall rollout approve request-1",
        "History: PostgreSQL is away.",
        "This control plane follows; another one leads and decides.",
    ):
        assert line in ran.stdout.splitlines()


def test_status_ends_with_1_after_a_rollback_and_says_why(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("cell")
    play.errors = 0.2
    play.wait(30)

    ran = seawall("rollout", "status", "--run-dir", tmp_path)

    assert ran.returncode == 1
    assert "rolled back" in ran.stdout
    assert "requests got a 5xx" in ran.stdout
    assert "1 version failed, or was given up, and will not be tried again by itself." in ran.stdout
    assert "seawall rollout promote to-v1" in ran.stdout


def test_status_of_a_pinned_fleet_shows_the_way_out(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.bake("v1", "v0")
    play.bake("v2", "v1")
    before = seawall("rollout", "status", "--run-dir", tmp_path)
    ran = seawall("rollout", "back", "-m", "shop is down", "--as", "ann", "--run-dir", tmp_path)
    shown = seawall("rollout", "status", "--run-dir", tmp_path)
    play.propose("v3", "v1")
    waiting = seawall("rollout", "status", "--run-dir", tmp_path)

    assert ran.stdout == "all 12 edges go back to v1 and stay there. Afterwards: seawall rollout unpin.\n"
    assert "  back leads to: v1\n" in before.stdout
    assert "Pinned to v1 by ann at " in shown.stdout
    assert shown.returncode == 0
    assert waiting.returncode == 1


def test_status_json_is_what_the_console_says(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")

    found = json.loads(seawall("rollout", "status", "-o", "json", "--run-dir", tmp_path).stdout)

    assert found == json.loads(json.dumps(desk.rollouts()))


def test_status_of_one_that_is_over_is_its_story(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.bake("v1", "v0")

    ran = seawall("rollout", "status", "to-v1", "--run-dir", tmp_path)
    absent = seawall("rollout", "status", "to-v9", "--run-dir", tmp_path)

    assert (ran.returncode, absent.returncode) == (0, 2)
    assert ran.stdout.splitlines()[-1].startswith("completed: ")
    assert "to-v9" in absent.stderr


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("is_good", "code"), [(True, 0), (False, 1)])
def test_until_done_waits_for_the_end(play: Play, desk: PlayedDesk, tmp_path: Path, is_good: bool, code: int) -> None:
    play.propose("v1")
    play.until("cell")
    play.errors = 0.0 if is_good else 0.5
    command = [sys.executable, "-m", "seawall", "rollout", "status", "--until-done", "--run-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT) as watcher:
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(1.5)

        play.until("")
        output, _ = watcher.communicate(timeout=30)

    assert watcher.returncode == code
    assert b"No rollout is under way" in output
    assert (b"completed" if is_good else b"rolled back") in output


def test_until_done_without_a_rollout_is_over_at_once(desk: PlayedDesk, tmp_path: Path) -> None:
    assert seawall("rollout", "status", "--until-done", "--run-dir", tmp_path).returncode == 0


def test_a_watch_ends_with_ctrl_c(desk: PlayedDesk, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seawall", "rollout", "status", "--watch", "--run-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT) as watcher:
        assert watcher.stdout is not None
        assert b"No rollout" in watcher.stdout.readline()

        watcher.send_signal(2)

        assert watcher.wait(10) == 0


ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}


# ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_show_tells_every_decision_and_the_numbers_behind_it(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("cell")
    play.errors = 0.2
    play.wait(30)

    ran = seawall("rollout", "show", "to-v1", "--run-dir", tmp_path)
    replayed = seawall("rollout", "replay", "to-v1", "--run-dir", tmp_path)

    assert (ran.returncode, replayed.returncode) == (0, 0)
    assert ran.stdout.startswith("to-v1: v1 instead of v0, risk R1\n")
    assert "cell    roll back  gate errors: " in ran.stdout
    assert "evidence against it over 1,000,000 of 1,000, errors over 1,000,000 (" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("rolled back: gate errors: ")
    assert "errors.e=" in replayed.stdout
    assert replayed.stdout.splitlines()[-1].endswith("events lead to the same decisions.")


def test_an_unknown_rollout_has_no_story(desk: PlayedDesk, tmp_path: Path) -> None:
    shown = seawall("rollout", "show", "r 9/..", "--run-dir", tmp_path)
    replayed = seawall("rollout", "replay", "r-9", "--run-dir", tmp_path)

    assert (shown.returncode, replayed.returncode) == (2, 2)
    assert "is no name of a rollout" in shown.stderr
    assert "nothing to replay" in replayed.stderr


def test_versions_are_listed_with_what_is_proven(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    none = seawall("rollout", "versions", "--run-dir", tmp_path)
    play.bake("v1", "v0")
    one = seawall("rollout", "versions", "--run-dir", tmp_path)

    assert "No version is kept yet." in none.stdout
    assert one.stdout.splitlines()[1].split()[0] == "v1"
    assert "last-known-good  12 edges" in one.stdout


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_person_is_asked_for_and_another_one_may_approve(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("quarter")

    asked = seawall("rollout", "promote", "--as", "ann", "--run-dir", tmp_path)
    same = seawall("rollout", "approve", "request-1", "--as", "ann", "--run-dir", tmp_path)
    other = seawall("rollout", "approve", "request-1", "--as", "ben", "--run-dir", tmp_path)

    assert "seawall rollout approve request-1" in asked.stdout
    assert (asked.returncode, same.returncode, other.returncode) == (0, 1, 0)
    assert "another person" in same.stdout
    assert other.stdout.startswith("approved: ann and ben skips")


def test_every_verb_reaches_the_machine(play: Play, desk: PlayedDesk, tmp_path: Path) -> None:
    play.propose("v1")
    play.until("canary")

    codes = [
        seawall("rollout", *words, "--as", "ann", "--run-dir", tmp_path).returncode
        for words in (
            ("pause", "-m", "lunch"),
            ("resume",),
            ("freeze", "-m", "incident", "--for", "1h30m"),
            ("thaw",),
            ("override", "G11", "-m", "a clean-up", "--for", "30m", "--version", "v1"),
            ("emergency", "to-v1", "-m", "the shop is down"),
            ("abort", "to-v1", "-m", "wrong file"),
            ("unpin",),
        )
    ]

    assert codes == [0, 0, 0, 0, 0, 0, 0, 1]
    assert play.outcomes() == [("to-v1", "aborted")]


def test_a_commands_json_says_what_came_of_it(desk: PlayedDesk, tmp_path: Path) -> None:
    ran = seawall("rollout", "unpin", "-o", "json", "--run-dir", tmp_path)

    assert json.loads(ran.stdout) == {
        "isAccepted": False,
        "answers": ["nothing is pinned."],
        "request": "",
        "rollout": "",
    }


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("approve",),
        ("override", "G11"),
        ("freeze", "-m", "why", "--for", "soon"),
        ("emergency", "-m", "why", "--for", "1h 30m"),
        ("pause", "--run-dir", "/nowhere/at/all"),
        ("status", "--run-dir", "/nowhere/at/all"),
        ("status", "--watch", "--until-done", "--run-dir", "/nowhere/at/all"),
    ],
)
def test_what_cannot_be_asked_is_exit_code_2(words: tuple[str, ...]) -> None:
    ran = seawall("rollout", *words)

    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stderr


def test_a_fleet_without_an_instance_says_how_to_start_one(tmp_path: Path) -> None:
    assert "seawall up" in seawall("rollout", "status", "--run-dir", tmp_path).stderr
