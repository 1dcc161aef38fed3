"""The Envoy process, with the real Envoy and with programs that play it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from seawall.agent import process
from seawall.agent.binary import Binary
from seawall.agent.process import Launch
from seawall.kit.errors import ConfigError


def script(folder: Path, body: str) -> Binary:
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return Binary(path=str(file), version="1.40.0", build="x")


def launch(folder: Path, body: str, *, is_bound: bool = False) -> Launch:
    return Launch(binary=script(folder, body), folder=str(folder), bootstrap=b"{}", is_bound=is_bound)


SLEEPS = "exec sleep 60"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("echo '[critical] no such thing' >&2; exit 3", "exit status 3: [critical] no such thing"),
        ("exit 0", "exit status 0"),
        ("kill -SEGV $$", "signal 11 (SIGSEGV)"),
    ],
)
def test_an_end_is_told_with_its_last_words(tmp_path: Path, body: str, cause: str) -> None:
    async def main() -> str:
        return await process.start(launch(tmp_path, body)).wait()

    assert asyncio.run(main()) == cause


def test_a_program_that_cannot_start_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "program").write_text("no program")
        (tmp_path / "program").chmod(0o755)
        binary = Binary(path=str(tmp_path / "program"), version="", build="")
        process.start(Launch(binary=binary, folder=str(tmp_path), bootstrap=b"{}"))

    with pytest.raises(ConfigError, match="cannot be started"):
        asyncio.run(main())


def test_a_later_agent_finds_it_and_sees_it_end(tmp_path: Path) -> None:
    async def main() -> None:
        started = process.start(launch(tmp_path, SLEEPS))
        found = process.find(launch(tmp_path, SLEEPS))
        assert found is not None
        adopted, is_same = found
        assert (adopted.pid, is_same, adopted.is_adopted) == (started.pid, True, True)

        adopted.signal(signal.SIGKILL)
        async with asyncio.timeout(5):
            assert "cause unknown" in await adopted.wait()
            assert await started.wait() == "signal 9 (SIGKILL)"
        adopted.close()
        adopted.signal(signal.SIGKILL)
        started.close()
        assert process.find(launch(tmp_path, SLEEPS)) is None

    asyncio.run(main())


def test_one_that_was_started_otherwise_is_known_to_be(tmp_path: Path) -> None:
    async def main() -> None:
        started = process.start(launch(tmp_path, SLEEPS))
        other = Launch(binary=script(tmp_path, SLEEPS), folder=str(tmp_path), bootstrap=b'{"node": {}}')
        found = process.find(other)
        assert found is not None
        assert not found[1]
        started.signal(signal.SIGKILL)
        await started.wait()

    asyncio.run(main())


def test_another_process_with_the_same_id_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "envoy.pid").write_text(f'{{"pid": {os.getpid()}, "started": "boot/1", "digest": ""}}')
    assert process.find(launch(tmp_path, SLEEPS)) is None
    (tmp_path / "envoy.pid").write_text("garbage")
    assert process.find(launch(tmp_path, SLEEPS)) is None


AGENT = """
import asyncio, sys
from seawall.agent import process
from seawall.agent.binary import Binary
async def main():
    binary = Binary(path=sys.argv[1] + "/program", version="", build="")
    launch = process.Launch(binary=binary, folder=sys.argv[1], bootstrap=b"{}", is_bound=sys.argv[2] == "bound")
    print(process.start(launch).pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["bound", "free"])
def test_a_bound_one_dies_with_its_agent_and_a_free_one_lives(tmp_path: Path, kind: str) -> None:
    script(tmp_path, SLEEPS)
    with subprocess.Popen([sys.executable, "-c", AGENT, str(tmp_path), kind], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        envoy = psutil.Process(int(agent.stdout.readline()))
        if kind == "bound":
            _until_it_is("sleep", envoy)
        agent.kill()

    gone, _ = psutil.wait_procs([envoy], timeout=5 if kind == "bound" else 0.3)
    assert bool(gone) == (kind == "bound")
    if kind == "free":
        envoy.kill()


def _until_it_is(name: str, envoy: psutil.Process) -> None:
    for _ in range(500):
        if envoy.name() == name:
            return
        psutil.wait_procs([envoy], timeout=0.01)
    raise AssertionError(f"it is {envoy.name()}")


def test_the_log_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        body = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"
        await process.start(launch(tmp_path, body)).wait()

    asyncio.run(main())

    assert process.trim_log(tmp_path, limit=100_000)
    assert (tmp_path / "envoy.log").stat().st_size == 0
    assert (tmp_path / "envoy.log.1").stat().st_size > 100_000
    assert not process.trim_log(tmp_path, limit=100_000)
