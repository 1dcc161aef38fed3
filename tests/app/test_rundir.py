"""The run dir: one instance at a time, and nothing left."""

import os
from pathlib import Path

import pytest

from seawall.app.rundir import hold, read_holder
from seawall.kit.errors import ConfigError


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "seawall" / "default"

    with hold(path, "default", "shop") as held:
        held.folder("edge").joinpath("bootstrap.json").write_text("{}")
        held.control_socket.touch()

    assert not path.parent.exists()


def test_a_second_instance_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "default"

    with hold(path, "default", "shop") as held:
        held.announce(("127.0.0.1:8080",))
        with pytest.raises(ConfigError) as raised, hold(path, "default", "shop"):
            pass

    message = str(raised.value)
    assert str(os.getpid()) in message
    assert "127.0.0.1:8080" in message
    assert "--name" in message


def test_what_a_killed_instance_left_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "default"
    path.mkdir(mode=0o700)
    (path / "lock").write_text('{"pid": 1, "name": "default", "path": "shop"}')
    (path / "control.sock").touch()
    (path / "state").mkdir()
    (path / "state" / "snapshot.db").touch()

    with hold(path, "default", "shop"):
        left = sorted(entry.name for entry in path.iterdir())
        holder = read_holder(path)

    assert left == ["lock"]
    assert holder is not None and holder.pid == os.getpid()


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match=r"thesis\.txt"), hold(tmp_path, "default", "shop"):
        pass

    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "default"
    path.mkdir()
    path.chmod(0o777)

    with pytest.raises(ConfigError, match="others may write"), hold(path, "default", "shop"):
        pass


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"), hold(tmp_path / ("x" * 90), "default", "shop"):
        pass
