"""Tail: follows the file in which Envoy writes a line for each request, and tells the control plane what each second was like.

Reads and rotates a file on tmpfs, talks to Envoy's admin endpoint. Nothing here is on a request's way: Envoy writes, whoever reads.

    Envoy ─▶ traffic/requests.log ─▶ lines ─▶ traffic.entry ─▶ traffic.delta ─▶ uplink
                └─ renamed and reopened when it is long      └─ above LINES a second: fewer lines, each weighs more

What bounds it: the file by rotation, and by Envoy's own limit on file sizes when nobody rotates (`agent.process`: a write beyond
it fails and is counted, the request is served all the same); a look by MOST_BYTES, what is beyond is skipped and counted; the
lines a second by sampling in Envoy, and until that has begun by `traffic.entry.thinned`; the deltas that wait by the uplink.

What a line weighs is the share that Envoy had when it wrote it, by the line's own time: lines of before a change lie in Envoy's
buffer for a fifth of a second, and taken for a sixty-fourth they would be an attack that never was.
"""

import asyncio
import contextlib
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from seawall.agent.parts import Parts
from seawall.envoy.access_log import CONNECTIONS, FILE, FOLDER, SHARE
from seawall.fleet.wire import Traffic
from seawall.kit.digest import digest
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.traffic.delta import WindowDelta, before_and_after, delta, seconds_of
from seawall.traffic.entry import Entries, parse, thinned
from seawall.traffic.peers import connections, conspicuous

log = structlog.get_logger(__name__)

INTERVAL = 0.25
LINES: Final = 20_000
"""Lines a second that are wanted; of more requests, Envoy writes a share. Costs a sixth of a core, see `docs/benchmarks.md`."""
MOST_BYTES = 40 * 1024 * 1024
"""So much is read in one look. Who has been away for longer than that lasts does not catch up: old seconds help nobody."""
LONGEST_FILE = 64 * 1024 * 1024
LONGEST_LINE = 64 * 1024
"""What goes on for longer without an end is no line of Envoy's."""
WHOLE: Final = 1_000_000
_STEPS = tuple(WHOLE >> step for step in range(11))
"""The shares that are asked for, halves of each other: so that traffic which goes up and down a little changes nothing."""
_SETTLES = 1.0
"""So long after a change of the share there is no other one: the lines of before it have all been read by then."""
REASONS: Final = ("lines", "bytes", "unread")
"""Why something was not told: lines that could not be read, bytes that nobody had the time for, looks at a file that failed."""
_SHM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, for us alone


def prepare(folder: Path) -> None:
    """Have the place that Envoy is told to write to: on tmpfs where there is one, else in the run folder itself."""
    place = folder / FOLDER
    if place.is_dir():
        return
    place.unlink(missing_ok=True)
    home = _home(folder)
    try:
        # Left there by an agent whose run folder went with a reboot, or by nobody: it must be ours alone.
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700)
    except OSError:
        place.mkdir(mode=0o700, exist_ok=True)
        return
    place.symlink_to(home)


def forget(folder: Path) -> None:
    """Leave nothing on tmpfs when Envoy has been stopped."""
    place = folder / FOLDER
    shutil.rmtree(place.resolve(), ignore_errors=True)
    if place.is_symlink():
        place.unlink()


def _home(folder: Path) -> Path:
    return _SHM / f"seawall-{os.getuid()}-{digest(os.fsencode(folder.absolute()))[:16]}"


class Lines:
    """The file: whole lines that are new, and rotation. Its methods block for a moment: run them in a thread."""

    def __init__(self, folder: Path, file: str = FILE) -> None:
        self.skipped = 0
        """Bytes that nobody has read."""
        self._path = folder / FOLDER / file
        self._old = self._path.with_suffix(".old")
        self._handle = -1
        self._place = 0
        self._rest = b""

    def open(self) -> None:
        """Begin at the end: what is there already is of a time that is over."""
        self.close()
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._place = os.fstat(self._handle).st_size
        self._rest = b""

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def read(self) -> bytes:
        """Return what has been written since, up to the last whole line."""
        size = os.fstat(self._handle).st_size
        if size < self._place:
            # Somebody has cut it; Envoy goes on at its new end.
            self._place, self._rest = 0, b""
        if size - self._place > MOST_BYTES:
            self.skipped += size - MOST_BYTES - self._place + len(self._rest)
            self._place, self._rest = size - MOST_BYTES, b""
            found = os.pread(self._handle, MOST_BYTES, self._place)
            # The first line has lost its beginning.
            head = found.find(b"\n") + 1
            self.skipped += head
            self._place += len(found)
            found = found[head:]
        else:
            found = self._rest + os.pread(self._handle, size - self._place, self._place)
            self._place = size
        whole, newline, self._rest = found.rpartition(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self.skipped += len(self._rest)
            self._rest = b""
        return whole + newline

    @property
    def is_gone(self) -> bool:
        """Somebody has removed the file."""
        return os.fstat(self._handle).st_nlink == 0

    def forget_old(self) -> None:
        """Remove what an agent that was killed had set aside."""
        self._old.unlink(missing_ok=True)

    @property
    def is_long(self) -> bool:
        return self._place > LONGEST_FILE

    def set_aside(self) -> None:
        """Rename the file; Envoy writes on into it until it is told to open it anew."""
        self._path.rename(self._old)

    def put_back(self) -> None:
        """Undo that: Envoy was not there to be told."""
        self._old.rename(self._path)

    def turn(self) -> bytes:
        """Read the rest of what was set aside, and go to the fresh file."""
        last = self.read() + self._rest
        self._old.unlink(missing_ok=True)
        self.close()
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._place, self._rest = 0, b""
        return last


class Tail:
    """Follows one Envoy's requests. `read` counts lines, `dropped` by reason what was not told."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.read = 0
        self.dropped: Counter[str] = Counter()
        self.share = WHOLE
        """Of a million requests, how many are written."""
        self.told = 0.0
        """Requests that the lines told stand for; Envoy's own count is the exact one."""
        self.delay = 0.0
        """Seconds from the newest line of the last look to its deltas."""
        self._parts = parts
        self._folder = folder
        self._lines = Lines(folder)
        self._connections = Lines(folder, CONNECTIONS)
        self._is_joined = False
        self._run = uuid.uuid4().hex
        self._number = 0
        self._rate = 0.0
        self._told_pid = 0
        self._was, self._changed_at, self._settled_at = WHOLE, Instant(0.0), 0.0
        self._looked_at = time.monotonic()

    async def run(self) -> None:
        """Follow until cancelled. A file that cannot be read is tried again: without it there is no protection, but an edge."""
        is_open = False
        while True:
            try:
                if not is_open:
                    # Whoever cleans up tmpfs may have taken the folder too.
                    await asyncio.to_thread(prepare, self._folder)
                    await asyncio.to_thread(self._lines.open)
                    await asyncio.to_thread(self._connections.open)
                    is_open, self._is_joined = True, False
                await self._look()
            except OSError as exc:
                if is_open or not self.dropped["unread"]:
                    log.warning("requests_not_followed", reason=str(exc))
                self.dropped["unread"] += 1
                is_open = False
            await asyncio.sleep(INTERVAL)

    def close(self) -> None:
        self._lines.close()
        self._connections.close()

    async def _look(self) -> None:
        await self._join()
        data = await asyncio.to_thread(self._lines.read)
        await self._say(data)
        await self._say_of_connections(await asyncio.to_thread(self._connections.read))
        if self._lines.is_long:
            await self._rotate(self._lines, self._say)
        if self._connections.is_long:
            await self._rotate(self._connections, self._say_of_connections)
        await self._adapt(data.count(b"\n"))

    async def _join(self) -> None:
        """See to it that Envoy writes to the file that we read: an agent may have been killed after it had renamed the file and
        before it had said so, and then Envoy would write on into the other one."""
        if self._lines.is_gone or self._connections.is_gone:
            raise FileNotFoundError("the log of requests has been removed")
        if self._is_joined or not self._parts.supervisor.pid:
            return
        with contextlib.suppress(UnavailableError):
            await self._parts.supervisor.admin.reopen_logs()
            self._is_joined = True
            await asyncio.to_thread(self._lines.forget_old)
            await asyncio.to_thread(self._connections.forget_old)

    async def _say(self, data: bytes) -> None:
        """Count what came and tell it. A look's lines may be of two seconds: a delta for each."""
        skipped, self._lines.skipped = self._lines.skipped, 0
        if skipped:
            self.dropped["bytes"] += skipped
        if not data:
            return
        found = await asyncio.to_thread(self._counted, data)
        for one in found:
            dropped = dict(one.dropped) | ({"bytes": float(skipped)} if skipped else {})
            skipped = 0
            self._parts.uplink.tell(Traffic(delta=msgspec.structs.replace(one, dropped=dropped)))

    async def _say_of_connections(self, data: bytes) -> None:
        """Tell which addresses were conspicuous below HTTP."""
        skipped, self._connections.skipped = self._connections.skipped, 0
        self.dropped["bytes"] += skipped
        if not data:
            return
        # Of more lines than can be read in time some are taken, and stand for the others.
        taken, each = thinned(data)
        found, refused = await asyncio.to_thread(connections, taken)
        self.dropped["lines"] += refused
        for second, peers in sorted(found.items()):
            self._number += 1
            weighed = {address: tuple(one * each for one in counts) for address, counts in conspicuous(peers).items()}
            if weighed:
                at, edge = Instant(float(second)), self._parts.settings.edge
                told = WindowDelta(edge=edge, run=self._run, number=self._number, at=at, peers=weighed)
                self._parts.uplink.tell(Traffic(delta=told))

    def _counted(self, data: bytes) -> list[WindowDelta]:
        taken, each = thinned(data)
        entries = parse(taken)
        self.read += len(entries)
        self.dropped["lines"] += entries.refused
        before, after = before_and_after(entries, self._changed_at)
        # An Envoy that nobody has told yet writes everything.
        share = self.share if self._parts.supervisor.pid == self._told_pid else WHOLE
        weighed = ((before, each * WHOLE / self._was), (after, each * WHOLE / share))
        found = [one for part, weight in weighed for one in self._deltas(part, weight)]
        if len(entries):
            self.delay = max(0.0, time.time() - max(entries.ended))
        return found

    def _deltas(self, entries: Entries, weight: float) -> list[WindowDelta]:
        found = []
        for second, part in seconds_of(entries).items():
            self._number += 1
            self.told += len(part) * weight
            edge = self._parts.settings.edge
            found.append(
                delta(part, edge=edge, run=self._run, number=self._number, at=Instant(float(second)), weight=weight)
            )
        return found

    async def _rotate(self, lines: Lines, say: Callable[[bytes], Awaitable[None]]) -> None:
        """Begin a fresh file."""
        await asyncio.to_thread(lines.set_aside)
        try:
            await self._parts.supervisor.admin.reopen_logs()
        except UnavailableError:
            await asyncio.to_thread(lines.put_back)
            # It may have obeyed all the same, and only not have said so.
            self._is_joined = False
            return
        # The file's own thread in Envoy opens it anew when it next writes.
        await asyncio.sleep(2 * INTERVAL)
        await say(await asyncio.to_thread(lines.turn))

    async def _adapt(self, lines: int) -> None:
        """Have Envoy write fewer lines when there are too many, and more again; a new Envoy is told once more."""
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        if now < self._settled_at:
            # Among these lines are some of before the change.
            return
        pid = self._parts.supervisor.pid
        was = self.share if pid == self._told_pid else WHOLE
        rate = lines * (WHOLE / was) / max(now - looked_at, INTERVAL)
        # Up at once, down slowly: an attack that pulses does not swing it.
        self._rate = max(rate, self._rate * 0.9)
        wanted = next((step for step in _STEPS if self._rate * step / WHOLE <= LINES), _STEPS[-1])
        if not pid or (wanted == self.share and pid == self._told_pid):
            return
        before = time.time()
        try:
            await self._parts.supervisor.admin.set_runtime(SHARE, wanted)
        except UnavailableError:
            return
        self.share, self._told_pid = wanted, pid
        if wanted != was:
            log.info("requests_sampled", share=wanted / WHOLE, requests_per_second=round(self._rate))
            # Envoy's workers take the value at some moment between the question and the answer.
            self._was, self._changed_at = was, Instant((before + time.time()) / 2)
            self._settled_at = now + _SETTLES

    def metrics(self) -> dict[str, tuple[str, float]]:
        """Say how it goes. The reasons of losses are a few words of ours, so their number is bounded."""
        return {
            "log_lines_total": ("counter", float(self.read)),
            "log_requests_total": ("counter", self.told),
            "log_share": ("gauge", self.share / WHOLE),
            "log_delay_seconds": ("gauge", self.delay),
            "log_waiting_deltas_lost_total": ("counter", float(self._parts.uplink.lost)),
            **{f"log_dropped_{reason}_total": ("counter", float(self.dropped[reason])) for reason in REASONS},
        }
