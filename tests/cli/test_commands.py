"""The other commands that need nothing running."""

import json
import os
from pathlib import Path

import pytest
import yaml

from seawall.cli.options import beside
from tests.cli.running import SHOP, seawall


def test_help_names_every_command_and_the_exit_codes() -> None:
    ran = seawall("--help")

    assert ran.returncode == 0
    for word in ("up", "serve", "agent", "check", "render", "explain", "status", "pki", "completion", "version"):
        assert f" {word} " in ran.stdout
    assert "Exit codes" in ran.stdout


@pytest.mark.parametrize("words", [("nonsense",), ("check",), ("explain", "GET"), ("render", SHOP, "-o", "xml")])
def test_a_wrong_usage_is_exit_code_2(words: tuple[str | Path, ...]) -> None:
    ran = seawall(*words)

    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


# ── render ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_render_prints_every_resource_and_no_private_key() -> None:
    as_yaml, as_json = seawall("render", SHOP), seawall("render", SHOP, "-o", "json")

    resources = yaml.safe_load(as_yaml.stdout)
    assert (as_yaml.returncode, as_json.returncode) == (0, 0)
    assert [one["@type"] for one in resources] == [one["@type"] for one in json.loads(as_json.stdout)]
    assert "tcp/127.0.0.1/8443" in [one.get("name") for one in resources]
    assert "PRIVATE KEY" not in as_yaml.stdout + as_json.stdout


def test_render_can_be_narrowed_to_a_type() -> None:
    resources = json.loads(seawall("render", SHOP, "-o", "json", "--type", "Listener").stdout)

    assert {one["@type"].rsplit(".", 1)[1] for one in resources} == {"Listener"}


def test_render_prints_what_is_valid_and_says_that_there_are_errors(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text((SHOP / "gateway.yaml").read_text())
    (tmp_path / "no.yaml").write_text("a: [")

    ran = seawall("render", tmp_path, "-o", "json")

    assert ran.returncode == 1
    assert json.loads(ran.stdout)
    assert "seawall check" in ran.stderr


# ── explain ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_explain_tells_route_place_and_backend() -> None:
    ran = seawall("explain", SHOP, "GET", "http://api.shop.example:8080/v1/catalog/toys", "-H", "X-Beta: yes")

    assert ran.returncode == 0
    assert "Service/shop/catalog-beta/80" in ran.stdout
    assert "api.yaml:14:" in ran.stdout
    assert "shadowed" in ran.stdout


def test_explain_ends_with_1_where_the_edge_would_answer_with_an_error() -> None:
    ran = seawall("explain", SHOP, "GET", "http://api.shop.example:8080/v2", "--output", "json")

    found = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert found["outcome"]["status"] == 404
    assert found["considered"][0]["why"]


def test_explain_refuses_what_is_no_request() -> None:
    ran = seawall("explain", SHOP, "GET", "ftp://shop.example")

    assert ran.returncode == 2
    assert "URL" in ran.stderr


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_status_without_an_instance_says_how_to_start_one(tmp_path: Path) -> None:
    ran = seawall("status", "--run-dir", tmp_path)

    assert ran.returncode == 2
    assert "seawall up" in ran.stderr


def test_version_knows_seawall_python_and_envoy() -> None:
    shown = json.loads(seawall("version", "-o", "json").stdout)

    assert set(shown) == {"seawall", "python", "envoy"}
    assert shown["envoy"].startswith("1.")
    assert "does not say" in seawall("version", "--envoy", "/bin/true").stdout


def test_pki_makes_an_authority_and_certificates(tmp_path: Path) -> None:
    made = seawall("pki", "init", tmp_path)
    issued = seawall("pki", "issue", tmp_path, "control", "c1", "--host", "127.0.0.1", "-o", "json")
    again = seawall("pki", "issue", tmp_path, "control", "c1", "--host", "127.0.0.1")
    renewed = seawall("pki", "issue", tmp_path, "control", "c1", "--host", "127.0.0.1", "--renew")

    assert (made.returncode, issued.returncode, again.returncode, renewed.returncode) == (0, 0, 2, 0)
    assert Path(json.loads(issued.stdout)["key"]).exists()


def test_pki_prints_the_public_key_that_edges_are_given(tmp_path: Path) -> None:
    seawall("pki", "init", tmp_path)

    shown = seawall("pki", "show-key", tmp_path / "bundle.key")

    keys = [line for line in (tmp_path / "bundle.pub").read_text().splitlines() if not line.startswith("#")]
    assert keys == shown.stdout.split()
    assert seawall("pki", "show-key", tmp_path / "ca.key").returncode == 2


def test_what_lies_beside_a_certificate_is_found(tmp_path: Path) -> None:
    (tmp_path / "bundle.pub").touch()

    assert beside(str(tmp_path / "edge-e1.crt"), "bundle.pub") == tmp_path / "bundle.pub"
    assert beside(str(tmp_path / "edge-e1.crt"), "bundle.key") is None
    assert beside("", "bundle.pub") is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    ran = seawall("completion", shell)

    assert ran.returncode == 0
    assert "_SEAWALL_COMPLETE" in ran.stdout


def test_serving_edges_in_the_clear_is_refused(tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}

    ran = seawall("serve", SHOP, "--run-dir", tmp_path / "run", **state)

    assert ran.returncode == 2
    assert "pki" in ran.stderr
    assert not (tmp_path / "run").exists()


def test_half_of_the_certificates_are_refused(tmp_path: Path) -> None:
    ran = seawall("agent", "--control", "127.0.0.1:1", "--ca", "ca.crt", "--run-dir", tmp_path / "run")

    assert ran.returncode == 2
    assert "belong together" in ran.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        import subprocess  # noqa: PLC0415
        import sys  # noqa: PLC0415

        ran = subprocess.run(
            [sys.executable, "-m", "seawall", "render", str(SHOP)],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )

    assert b"Traceback" not in ran.stderr
