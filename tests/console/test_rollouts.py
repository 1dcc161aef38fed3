"""The console's API of rollouts, over its unix socket, with the real rollout machine behind it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.rollout.play import Play, places, report
from tests.support.desk import PlayedDesk, answering

from seawall.console.rollouts import Command
from seawall.kit.errors import UnavailableError
from seawall.rollout.view import View


@pytest.fixture
def desk() -> PlayedDesk:
    play = Play(places())
    play.propose("v1")
    play.until("canary")
    return PlayedDesk(play, report("v2", "v0"))


@pytest.fixture
def client(desk: PlayedDesk, tmp_path: Path) -> Iterator[httpx.Client]:
    with answering(desk, tmp_path):
        transport = httpx.HTTPTransport(uds=str(tmp_path / "control.sock"))
        with httpx.Client(transport=transport, base_url="http://seawall") as made:
            yield made


def test_the_view_is_the_machines_own(client: httpx.Client, desk: PlayedDesk) -> None:
    found = client.get("/v1/rollouts").json()

    assert msgspec.convert(found["view"], View) == desk.play.conductor.view(desk.play.at)
    assert found["leader"]
    assert found["report"]["candidate"] == "v1"


def test_one_rollout_is_told_with_its_decisions_and_orders(client: httpx.Client) -> None:
    found = client.get("/v1/rollouts/to-v1").json()

    assert [one["decision"] for one in found["decisions"]][:2] == ["begin", "advance"]
    assert [one["stage"] for one in found["orders"]] == ["canary"]
    assert found["outcome"] == ""


def test_a_replay_comes_to_the_same_decisions(client: httpx.Client) -> None:
    found = client.get("/v1/rollouts/to-v1/replay").json()

    assert found["isSame"]
    assert found["decisions"]


@pytest.mark.parametrize("path", ["/v1/rollouts/r-9", "/v1/rollouts/r-9/replay"])
def test_an_unknown_rollout_is_a_404_that_names_it(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert "r-9" in answer.json()["error"]


def test_a_command_is_obeyed_and_answered(client: httpx.Client, desk: PlayedDesk) -> None:
    answer = client.post("/v1/rollouts", json={"verb": "pause", "who": "ann", "reason": "lunch"})

    assert answer.json() == {
        "isAccepted": True,
        "answers": ["ann has paused to-v1: lunch."],
        "request": "",
        "rollout": "",
    }
    assert "paused" in desk.play.held


def test_a_command_that_cannot_be_obeyed_is_answered_too(client: httpx.Client) -> None:
    answer = client.post("/v1/rollouts", json={"verb": "unpin", "who": "ann"})

    assert answer.status_code == 200
    assert not answer.json()["isAccepted"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"verb": "pause"}',
        b'{"verb": "explode", "who": "ann"}',
        b'{"verb": "pause", "who": "ann", "colour": "red"}',
        b'{"verb": "freeze", "who": "ann", "seconds": -1}',
        b'{"verb": "freeze", "who": "ann", "seconds": 1e300}',
    ],
)
def test_a_command_that_makes_no_sense_is_a_400_with_a_sentence(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/rollouts", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/diff"])
def test_an_endless_body_is_refused(client: httpx.Client, path: str) -> None:
    assert client.post(path, content=b"x" * 100_000).status_code == 413


def test_the_kept_versions_are_listed(client: httpx.Client, desk: PlayedDesk) -> None:
    desk.play.until("")

    assert [one["name"] for one in client.get("/v1/bundles").json()] == ["v1"]


def test_a_diff_is_a_change_report(client: httpx.Client, tmp_path: Path) -> None:
    now, other = client.get("/v1/diff"), client.post("/v1/diff", json={"path": str(tmp_path)})

    assert now.json()["candidate"] == "v2"
    assert other.json() == now.json()


def test_a_diff_of_nothing_has_a_sentence_and_a_hint(client: httpx.Client, desk: PlayedDesk) -> None:
    desk.report = None

    answer = client.get("/v1/diff")

    assert answer.status_code == 400
    assert answer.json() == {"error": "nothing has been compiled yet.", "hint": "Wait a second and ask again."}


def test_a_diff_with_a_path_that_is_not_there_names_it(client: httpx.Client) -> None:
    answer = client.post("/v1/diff", json={"path": "/nowhere/at/all"})

    assert answer.status_code == 400
    assert "/nowhere/at/all" in answer.json()["error"]


class Away(PlayedDesk):
    """A desk whose history is away."""

    async def command(self, command: Command) -> dict[str, object]:
        raise UnavailableError("the history is away: connection refused.")


def test_what_nobody_can_say_now_is_a_503(desk: PlayedDesk, tmp_path: Path) -> None:
    with (
        answering(Away(desk.play), tmp_path),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "control.sock"))) as client,
    ):
        answer = client.post("http://seawall/v1/rollouts", json={"verb": "pause", "who": "ann"})

    assert answer.status_code == 503
    assert "away" in answer.json()["error"]
