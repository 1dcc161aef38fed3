"""`seawall check`: all mistakes at once, with place and remedy."""

import json
import time
from pathlib import Path

from tests.cli.running import SHOP, seawall

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: shop}
spec:
  parentRefs: [{name: shop, namespace: edge}]
  hostnames: [api.shop.example]
  rules:
  - backendRefs: [{name: catalogue, port: 80}]
"""


def _broken(folder: Path) -> Path:
    (folder / "route.yaml").write_text(ROUTE)
    (folder / "typo.yaml").write_text(ROUTE.replace("rules:", "rulez:"))
    (folder / "no.yaml").write_text("a: [")
    return folder


def test_the_example_is_good() -> None:
    ran = seawall("check", SHOP)

    assert ran.returncode == 0, ran.stdout
    assert "no problems" in ran.stdout


def test_every_mistake_has_a_place_and_a_remedy_and_they_are_counted(tmp_path: Path) -> None:
    ran = seawall("check", _broken(tmp_path))

    assert ran.returncode == 1
    assert f"{tmp_path}/no.yaml:2:1: error:" in ran.stdout
    assert f"{tmp_path}/typo.yaml:7:3: error:" in ran.stdout
    assert f"{tmp_path}/route.yaml:5:17: error:" in ran.stdout
    assert ran.stdout.count("    → ") >= 3
    assert "errors" in ran.stdout.splitlines()[-1]
    assert "\x1b" not in ran.stdout


def test_json_says_the_same(tmp_path: Path) -> None:
    ran = seawall("check", _broken(tmp_path), "--output", "json")

    report = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert report["errors"] == sum(one["severity"] == "error" for one in report["problems"])
    assert {"object", "path", "message", "hint", "severity", "place", "file", "line", "column"} == {
        *report["problems"][0]
    }


def test_a_path_that_does_not_exist_is_an_error_of_usage(tmp_path: Path) -> None:
    ran = seawall("check", tmp_path / "nowhere")

    assert ran.returncode == 2
    assert "nowhere" in ran.stderr
    assert "→" in ran.stderr


def test_a_check_is_quick() -> None:
    began = time.perf_counter()
    seawall("check", SHOP)

    # 0.3 s on a machine with nothing else to do; this one may be busy with other tests.
    assert time.perf_counter() - began < 5
