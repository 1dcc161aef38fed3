"""A host of the fleet: a process in a network namespace of its own, with an agent, an origin and clients inside.

    unshare --net -- python -m tests.support.host FOLDER EDGE AGENT-OPTION…

All edges of a fleet listen on the same ports, as in production, so each needs a network of its own: one with nothing but
loopback. The control plane is reached by the path of its unix socket. Orders come as JSON lines on stdin, answers go to
stdout; when stdin ends, everything that was started here ends.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.support.clients import Ask, Connection, Counted, Load, Mix, origin

ORIGIN = 9000
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40


class Host:
    """Carries out orders. Each method `do_…` is one."""

    def __init__(self, folder: Path, edge: str, options: list[str]) -> None:
        self._folder = folder
        self._edge = edge
        self._options = options
        self._agent: asyncio.subprocess.Process | None = None
        self._load: tuple[Load, asyncio.Task[None]] | None = None

    async def run(self) -> None:
        """Obey until stdin ends."""
        raise_loopback()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        try:
            async with origin(ORIGIN), asyncio.TaskGroup() as self._group:
                while line := await reader.readline():
                    order = json.loads(line)
                    answer = await getattr(self, f"do_{order.pop('do')}")(**order)
                    sys.stdout.write(json.dumps(answer) + "\n")
                    sys.stdout.flush()
                await self.do_quiet()
        finally:
            await self.do_end()

    async def do_start(self) -> int:
        """Start the agent."""
        with (self._folder / f"{self._edge}.log").open("ab") as log:
            self._agent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "seawall", "agent", "--edge", self._edge, "--metrics", ""),
                *("--run-dir", str(self._folder / self._edge), "--state-dir", str(self._folder / f"{self._edge}.kept")),
                *("--concurrency", "1", "--drain", "0", *self._options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self._agent.pid

    async def do_kill(self, what: str) -> int:
        """Kill the agent or Envoy, as the kernel would when memory is short."""
        pid = self.envoy if what == "envoy" else self._agent.pid if self._agent is not None else 0
        if pid:
            os.kill(pid, signal.SIGKILL)
        if what == "agent" and self._agent is not None:
            await self._agent.wait()
            self._agent = None
        return pid

    async def do_pids(self) -> dict[str, int]:
        return {"agent": self._agent.pid if self._agent is not None else 0, "envoy": self.envoy}

    async def do_load(self, mix: dict[str, Any]) -> bool:
        """Let clients ask for something from now on, and count from nought."""
        await self.do_quiet()
        load = Load(msgspec.convert(mix, Mix))
        self._load = (load, self._group.create_task(load.run(), name="load"))
        return True

    async def do_counted(self) -> dict[str, Any]:
        counted: dict[str, Any] = msgspec.to_builtins(self._load[0].counted if self._load is not None else Counted())
        return counted

    async def do_recount(self) -> dict[str, Any]:
        """Tell what was counted, and count from nought."""
        counted = await self.do_counted()
        if self._load is not None:
            self._load[0].counted = Counted()
        return counted

    async def do_quiet(self) -> bool:
        if self._load is not None:
            self._load[1].cancel()
            self._load = None
        return True

    async def do_ask(self, ask: dict[str, Any], port: int) -> dict[str, Any]:
        """Ask once; status 0 if there is no answer."""
        connection = Connection(port)
        try:
            status, headers, body = await connection.ask(msgspec.convert(ask, Ask))
        except (OSError, asyncio.IncompleteReadError) as error:
            return {"status": 0, "headers": {}, "body": repr(error)}
        finally:
            connection.close()
        return {"status": status, "headers": headers, "body": body.decode(errors="replace")}

    async def do_end(self) -> bool:
        """End the agent as an operator would; and Envoy, should it have outlived an agent that was killed."""
        if self._agent is not None and self._agent.returncode is None:
            self._agent.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(10):
                    await self._agent.wait()
            except TimeoutError:
                self._agent.kill()
        self._agent = None
        if self.envoy:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.envoy, signal.SIGKILL)
        return True

    @property
    def envoy(self) -> int:
        """The process id of Envoy, 0 if none runs."""
        try:
            pid = int(json.loads((self._folder / self._edge / "envoy.pid").read_bytes())["pid"])
            is_envoy = b"envoy" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError):
            return 0
        return pid if is_envoy else 0


def raise_loopback() -> None:
    """Bring up loopback, which a new network namespace has, but not up."""
    with socket.socket() as probe:
        flags = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(probe, _SIOCSIFFLAGS, flags)


if __name__ == "__main__":
    asyncio.run(Host(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]).run())
