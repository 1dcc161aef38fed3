"""What an Envoy is started with: accepted by the real one, and safe on every host."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.envoy.bootstrap import (
    HEAP_RESERVE,
    HEAP_SHARE,
    MIB,
    SMALLEST_HEAP,
    BootstrapSettings,
    allowed_heap,
    bootstrap,
)
from seawall.envoy.proto import from_json
from seawall.kit.errors import ConfigError


def settings(folder: str = "/run/seawall", *, watches_cgroup: bool = False) -> BootstrapSettings:
    return BootstrapSettings(
        edge="e1",
        admin=f"{folder}/admin.sock",
        ads=f"{folder}/ads.sock",
        max_heap=allowed_heap(2048 * MIB),
        watches_cgroup=watches_cgroup,
    )


@pytest.mark.parametrize("watches_cgroup", [False, True])
def test_the_real_envoy_accepts_it(tmp_path: Path, watches_cgroup: bool) -> None:
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(bootstrap(settings(str(tmp_path), watches_cgroup=watches_cgroup))))
    binary = shutil.which("envoy")
    assert binary is not None

    verdict = subprocess.run(
        [binary, "--mode", "validate", "-c", str(file)], capture_output=True, text=True, check=False
    )

    assert verdict.returncode == 0, verdict.stderr[-800:]
    assert "deprecated" not in verdict.stderr


def test_it_is_a_bootstrap_of_the_pinned_schema() -> None:
    message = from_json("envoy.config.bootstrap.v3.Bootstrap", bootstrap(settings()))

    assert message.ByteSize() > 1000
    assert bootstrap(settings()) == bootstrap(settings())


def test_the_admin_endpoint_is_a_private_socket() -> None:
    assert bootstrap(settings())["admin"]["address"] == {"pipe": {"path": "/run/seawall/admin.sock", "mode": 0o600}}


def test_load_is_shed_in_steps() -> None:
    actions = bootstrap(settings())["overload_manager"]["actions"]
    steps = {
        action["name"].removeprefix("envoy.overload_actions."): next(
            iter(action["triggers"][0].get("threshold", action["triggers"][0].get("scaled")).values())
        )
        for action in actions
    }

    assert steps == {
        "shrink_heap": 0.85,
        "disable_http_keepalive": 0.90,
        "reset_high_memory_stream": 0.92,
        "stop_accepting_requests": 0.95,
        "stop_accepting_connections": 0.98,
    }


def test_the_page_cache_turns_no_request_away() -> None:
    manager = bootstrap(settings(watches_cgroup=True))["overload_manager"]
    cgroup = "envoy.resource_monitors.cgroup_memory"

    using = [a["name"] for a in manager["actions"] if any(t["name"] == cgroup for t in a["triggers"])]
    assert using == ["envoy.overload_actions.shrink_heap"]


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45))
def test_the_heap_rule_is_kept_or_refused(limit: int, wanted: int) -> None:
    try:
        heap = allowed_heap(limit, wanted)
    except ConfigError:
        most = min(limit * HEAP_SHARE, limit - HEAP_RESERVE)
        assert most < SMALLEST_HEAP + 1 or wanted > most - 1 or wanted < SMALLEST_HEAP
        return
    assert heap <= limit * HEAP_SHARE
    assert heap <= limit - HEAP_RESERVE
    assert heap >= SMALLEST_HEAP
    assert wanted in (0, heap)


@pytest.mark.parametrize(
    ("limit", "wanted", "words"),
    [
        (300, 0, "the memory limit of this edge is 300 MiB, which leaves no heap"),
        (
            512,
            300,
            "max_heap is 300 MiB but the memory limit of this edge is 512 MiB: the heap may take at most 256 MiB",
        ),
        (1024, 10, "max_heap is 10 MiB, but Envoy alone needs 64 MiB"),
    ],
)
def test_a_refusal_names_numbers_and_remedy(limit: int, wanted: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        allowed_heap(limit * MIB, wanted * MIB)
    assert caught.value.hint
