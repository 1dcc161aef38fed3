"""The memory limit that this process lives under, as it is now: control groups v1 and v2, nested, or the host's memory.

Reads /proc and /sys. The limit is never taken from a manifest: what kills Envoy is the live one.
Next room: `seawall.envoy.bootstrap.allowed_heap` makes Envoy's heap from it.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

_UNLIMITED = 1 << 60
"""Version 1 says "no limit" with a number near 2^63, rounded to pages; nobody has an exbibyte."""


class MemoryLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`size` in bytes; `source` names the file that set it. `is_group_root`: the control group's own files stand at
    the root of the mount (a container with a namespace of its own), where Envoy's monitor looks for them."""

    size: int
    source: str
    is_group_root: bool = False


def memory_limit(root: Path = Path("/")) -> MemoryLimit:
    """Read the lowest limit on the way from our control group to the root, and never more than the host has."""
    host = MemoryLimit(size=_host_memory(root), source=str(root / "proc/meminfo"))
    limits = [limit for limit in _group_limits(root) if limit.size < host.size]
    return min(limits, key=lambda limit: limit.size, default=host)


def _host_memory(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return _UNLIMITED


def _group_limits(root: Path) -> Iterator[MemoryLimit]:
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _walk(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _walk(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _walk(mount: Path, path: str, name: str) -> Iterator[MemoryLimit]:
    """Look at our group and at every group above it: the kernel enforces all of them."""
    group = mount / path.strip("/")
    if not group.is_dir():
        # Without a namespace of its own a container sees the host's path but mounts its own group as the root.
        group = mount
    while True:
        size = _read_limit(group / name)
        if size is not None:
            yield MemoryLimit(size=size, source=str(group / name), is_group_root=group == mount)
        if group == mount:
            return
        group = group.parent


def _read_limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    if not text.isdecimal():
        return None  # "max"
    size = int(text)
    return size if size < _UNLIMITED else None
