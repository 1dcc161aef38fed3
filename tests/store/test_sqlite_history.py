"""The history's file: who may read it, what is damaged, full or of a later release, and what it costs."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store.test_history import AT, keep, leader, resource, signed, snapshot
from tests.support.history_process import lines

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.store.history import DamagedError
from seawall.store.sqlite_history import SqliteHistory
from seawall.store.vault import Vault
from seawall.xds.resource import SCOPE, SECRET
from seawall.xds.snapshot import Change, Snapshot


def filled(file: Path) -> str:
    history = SqliteHistory(file)
    name = keep(history, Snapshot.of(resource(f"c{i}", os.urandom(2000)) for i in range(20)))
    history.append(leader(history), lines("r", [(AT, "event", b"{}")]))
    history.close()
    return name


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "history.db"
    history = SqliteHistory(file)
    leader(history)

    modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert {"history.db", "history.db-wal", "history.db.leader"} <= set(modes)


def garbage(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1000)


def holes(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)


def short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [garbage, holes, short])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = tmp_path / "history.db"
    filled(file)
    damage(file)

    history = SqliteHistory(file)

    assert (history.bundles(), history.log()) == ((), ())
    assert (tmp_path / "history.db.unreadable").exists()
    history.close()
    filled(file)


def test_a_file_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    filled(file)
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(ConfigError, match="later release"):
        SqliteHistory(file)

    assert not (tmp_path / "history.db.unreadable").exists()


def test_a_lost_file_does_not_turn_epochs_back(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    first = SqliteHistory(file)
    epoch = leader(first, at=1_000.0)
    first.close()
    garbage(file)

    assert leader(SqliteHistory(file), at=1_001.0) > epoch


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB where we may mount one; elsewhere SQLite's own limit answers with the same error."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False).returncode
    ):
        yield folder
        return
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_leaves_what_was_there(tiny_disk: Path) -> None:
    file = tiny_disk / "history.db"
    name = filled(file)
    history = SqliteHistory(file)
    if not tiny_disk.is_mount():
        history._file._db.execute("PRAGMA max_page_count = 256")
    epoch = leader(history)
    big = Snapshot.of([resource("big", os.urandom(2 << 20))])

    with pytest.raises(UnavailableError, match="full"):
        keep(history, big)
    with pytest.raises(UnavailableError, match="full"):
        history.append(epoch, lines("r", [(AT, "event", os.urandom(2 << 20))]))

    assert [one.bundle.name for one in history.bundles()] == [name]
    assert history.bundle(name) is not None
    assert history.append(epoch, lines("r", [(AT, "event", b"{}")])) == 2
    keep(history, snapshot(b"small"))


def test_a_private_key_is_sealed(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    vault = Vault(Secret(b"k" * 32))
    table = b"..envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth..very private"
    content = Snapshot.of(
        [resource("key", b"very private", SECRET), resource("c", b"public"), resource("t", table, SCOPE)]
    )
    name, seal = signed(content)

    history = SqliteHistory(file, vault)
    history.save_bundle(seal, content, AT)
    history.close()

    assert b"very private" not in file.read_bytes()
    again = SqliteHistory(file, vault).bundle(name)
    assert again is not None
    assert list(again[1].all()) == list(content.all())
    for other in (None, Vault(Secret(b"o" * 32))):
        with pytest.raises(DamagedError, match=r"its resource (key|t)"):
            SqliteHistory(file, other).bundle(name)


def test_fifty_bundles_of_twenty_thousand_resources_stay_small(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "history.db")
    content = Snapshot.of(resource(f"c{i}", b"%d" % i * 100) for i in range(20_000))
    name = keep(history, content)
    alone = (tmp_path / "history.db").stat().st_size

    took = []
    for i in range(50):
        content = content.apply(Change(put=(resource(f"c{i * 7}", b"new" + b"%d" % i * 100),)))
        began = time.perf_counter()
        name = keep(history, content, i)
        took.append(time.perf_counter() - began)
    history.close()
    grown = (tmp_path / "history.db").stat().st_size - alone
    began = time.perf_counter()
    found = SqliteHistory(tmp_path / "history.db").bundle(name)
    loaded = time.perf_counter() - began

    assert found is not None
    assert found[1] == content
    assert sorted(took)[25] < 0.04  # the goal is 20 ms; twice that for a busy machine
    assert loaded < 2  # the goal is 1 s
    assert grown < 2_000_000


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "history.db")
    epoch = leader(history)
    content = Snapshot.of(resource(f"c{i}", os.urandom(2_000)) for i in range(200))
    for i in range(150):
        content = content.apply(Change(put=tuple(resource(f"c{j}", os.urandom(20_000)) for j in range(i % 5))))
        keep(history, content, i)
        number = history.append(epoch, lines(f"r{i}", [(Instant(float(i)), "event", os.urandom(20_000))]))
        history.save_state(epoch, number, b"{}")
        history.retain(5, frozenset())
    history.close()

    assert len(SqliteHistory(tmp_path / "history.db").log()) < 10
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 4_000_000
