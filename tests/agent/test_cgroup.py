"""The live memory limit, read from made-up /proc and /sys trees."""

from pathlib import Path

import pytest

from seawall.agent.cgroup import MemoryLimit, memory_limit

MIB = 1 << 20
HOST = 8192 * MIB


def tree(root: Path, groups: str | None, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemFree: 1 kB\nMemTotal:    {HOST // 1024} kB\n")
    if groups is not None:
        (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize("groups", [None, "", "0::/\n", "4:memory:/\n0::/\n", "0::/gone/away\n"])
def test_without_a_limit_the_host_counts(tmp_path: Path, groups: str | None) -> None:
    root = tree(tmp_path, groups)

    assert memory_limit(root) == MemoryLimit(size=HOST, source=str(tmp_path / "proc/meminfo"))


def test_max_means_no_limit_of_this_group(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/a/b\n", **{"a/b/memory.max": "max\n"})

    assert memory_limit(root).size == HOST


def test_the_lowest_limit_above_us_counts(tmp_path: Path) -> None:
    files = {"a/memory.max": f"{512 * MIB}\n", "a/b/memory.max": f"{1024 * MIB}\n", "a/b/c/memory.max": "max\n"}
    root = tree(tmp_path, "0::/a/b/c\n", **files)

    limit = memory_limit(root)

    assert limit == MemoryLimit(size=512 * MIB, source=str(tmp_path / "sys/fs/cgroup/a/memory.max"))


def test_a_container_reads_its_group_at_the_root(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/\n", **{"memory.max": f"{512 * MIB}\n"})

    assert memory_limit(root).is_group_root


def test_a_container_without_a_namespace_reads_the_root_too(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/docker/4711\n", **{"memory.max": f"{512 * MIB}\n"})

    assert memory_limit(root).size == 512 * MIB


def test_version_1_is_read_and_its_no_limit_is_known(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/job/memory.limit_in_bytes": f"{700 * MIB}\n",
    }
    root = tree(tmp_path, "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n", **files)

    assert memory_limit(root).size == 700 * MIB


def test_more_than_the_host_has_is_no_limit(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/\n", **{"memory.max": f"{2 * HOST}\n"})

    assert memory_limit(root).size == HOST


def test_this_machine_has_a_limit() -> None:
    assert memory_limit().size > 64 * MIB
