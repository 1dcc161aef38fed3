"""Rollouting: where the history lies, and that private keys in it are nobody's to read."""

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from seawall.app.config import ServeSettings
from seawall.app.rollouting import load_vault, open_history
from seawall.fleet.bundle import Bundle
from seawall.kit.errors import ConfigError
from seawall.kit.units import Instant
from seawall.store.history import DamagedError
from seawall.xds.resource import SECRET, Resource, ResourceName
from seawall.xds.snapshot import Snapshot
from tests.support.control import KEY

SNAPSHOT = Snapshot.of([Resource(type_url=SECRET, name=ResourceName("s"), version="1", body=b"a private key")])
BUNDLE = Bundle(content=SNAPSHOT.digest, version=SNAPSHOT.version)


def settings(folder: Path, history: str = "", vault_key: Path | None = None) -> ServeSettings:
    return ServeSettings(path=folder, run_dir=folder / "run", history=history, vault_key=vault_key)


def secret(folder: Path, body: bytes = b"k" * 32) -> Path:
    file = folder / "vault.key"
    file.write_bytes(body)
    file.chmod(0o600)
    return file


def test_with_a_vault_key_no_private_key_lies_readable_in_the_file(tmp_path: Path) -> None:
    with_key = settings(tmp_path, vault_key=secret(tmp_path))

    history = open_history(with_key, tmp_path)
    history.save_bundle(KEY.sign(BUNDLE), SNAPSHOT, Instant(1.0))
    history.close()

    assert stat.S_IMODE((tmp_path / "history.db").stat().st_mode) == 0o600
    assert b"a private key" not in (tmp_path / "history.db").read_bytes()
    again = open_history(with_key, tmp_path).bundle(BUNDLE.name)
    assert again is not None
    assert list(again[1].all()) == list(SNAPSHOT.all())
    with pytest.raises(DamagedError, match="no key for it"):
        open_history(settings(tmp_path), tmp_path).bundle(BUNDLE.name)


def test_a_shared_history_without_a_vault_key_is_warned_of_once(tmp_path: Path) -> None:
    with capture_logs() as without:
        open_history(settings(tmp_path, "postgresql://seawall@db.example/seawall"), tmp_path)
    with capture_logs() as sealed:
        open_history(settings(tmp_path, "postgresql://seawall@db.example/seawall", secret(tmp_path)), tmp_path)

    assert [(one["event"], one["log_level"]) for one in without] == [("private_keys_stored_readable", "warning")]
    assert sealed == []


def test_what_is_no_address_of_a_history_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no address") as refused:
        open_history(settings(tmp_path, "hunter2"), tmp_path)

    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_a_vault_key_that_is_none_or_open_to_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_vault(tmp_path / "none")
    with pytest.raises(ConfigError, match="fewer than 32"):
        load_vault(secret(tmp_path, b"short"))
    secret(tmp_path).chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        load_vault(tmp_path / "vault.key")
