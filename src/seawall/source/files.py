"""Files: a folder of manifests, or one, as a source of objects: loaded once, or watched.

I/O: reads files and watches folders. What is valid stays live: a file that cannot be read or parsed keeps its objects, a
document that fails to decode keeps the version before; only a document, file or folder that is really gone takes its
objects along. A change is told at once; only in a burst is it gathered, until the burst pauses.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.status import Problem
from seawall.kit.errors import ConfigError
from seawall.kit.place import Place
from seawall.kit.units import Instant, Seconds
from seawall.source.catalog import Catalog
from seawall.source.change import SourceChange, SourceProblem
from seawall.source.journal import Journal
from seawall.source.parse import parse
from seawall.source.settings import SourceSettings
from seawall.source.tree import Difference, Listing, Stamp, differences, list_tree, read_file
from seawall.source.watch import Seen, Watcher

_SLICE: Final = 0.01
"""Seconds of work before others on the loop get their turn."""
_QUIET: Final = 0.2
"""A file that a re-scan finds changed may still be in writing until it has rested for so many seconds."""
_ABSENT_POLL: Final = Seconds(0.25)
_BLIND_POLL: Final = Seconds(2.0)


class FileSource:
    """One path. Use `load` for a single look, or `changes` for all that follows; not both.

    Args:
        path: a folder, which is read with all folders in it, or a single file.
        journal: where creation times and generations are kept; None forgets them.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        settings: SourceSettings | None = None,
        journal: Path | None = None,
        now: Callable[[], float] = time.time,
        check: Callable[[Object], tuple[Problem, ...]] = lambda _: (),
    ) -> None:
        """Make one for a path.

        Args:
            check: says what is wrong with an object that has the right shape; such an object counts as not valid.
        """
        self._root = str(path).rstrip("/") or "/"
        self._settings = settings or SourceSettings()
        self._now = now
        self._journal = Journal(journal)
        self._catalog = Catalog(self._journal, self._settings.max_objects, self._contents, check)
        self._known: dict[str, Stamp] = {}
        self._fading: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._troubled: set[str] = set()
        self._problems: dict[str, tuple[SourceProblem, ...]] = {}
        self._is_gone = False
        self._rescan_at = 0.0

    @property
    def problems(self) -> Mapping[str, tuple[SourceProblem, ...]]:
        """All problems there are now, by file."""
        return self._problems

    @property
    def journal_trouble(self) -> str:
        """What keeps creation times from surviving a restart; empty if nothing does."""
        return self._journal.trouble

    def place(self, key: ObjectKey, path: str = "$") -> Place | None:
        """Find where a part of an object was written; None if it was not (a Namespace that is only used)."""
        return self._catalog.place(key, path)

    def file_of(self, key: ObjectKey) -> str | None:
        """Name the file that an object was written in; unlike `place`, this reads nothing."""
        return self._catalog.file_of(key)

    # ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self) -> SourceChange:
        """Read everything. Raises ConfigError if the path does not exist or cannot be listed at all."""
        for file in self._first_listing(lambda _: None):
            self._read(file)
        return self._flush()

    def _first_listing(self, enter: Callable[[str], object]) -> list[str]:
        listing = list_tree(self._root, self._root, enter)
        place = Place(file=self._root)
        if listing.is_gone:
            message = "There is no such file or folder."
            raise ConfigError(
                message, place=place, hint="Give the path of a folder with manifests, or of one manifest."
            )
        if self._root in listing.troubles:
            raise listing.troubles[self._root]
        self._note_troubles(listing)
        # By name, so that of two files with the same object always the same one wins.
        return sorted(listing.files)

    # ── and on ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def changes(self) -> AsyncGenerator[SourceChange, None]:
        """Yield everything once, then each change. Close it (`contextlib.aclosing`) to stop watching."""
        with Watcher(self._root) as watcher:
            watcher.enter_around()
            files = self._first_listing(watcher.enter)
            await self._read_all(files, watcher)
            self._rescan_at = time.monotonic() + self._settings.rescan
            yield self._flush()
            while True:
                await watcher.wait(self._patience(watcher))
                await self._handle(await self._gather(watcher), watcher)
                change = self._flush()
                if not change.is_empty:
                    yield change

    def _patience(self, watcher: Watcher) -> Seconds:
        """Say how long there is nothing to do unless something happens."""
        if self._is_gone:
            return _ABSENT_POLL
        due = [self._rescan_at, *self._fading.values()]
        if watcher.trouble:
            due.append(time.monotonic() + _BLIND_POLL)
        return Seconds(max(0.0, min(due) - time.monotonic()))

    async def _gather(self, watcher: Watcher) -> Seen:
        seen = Seen()
        watcher.drain(seen)
        if seen.size > 1:
            end = time.monotonic() + self._settings.hold_off
            while time.monotonic() < end:
                await asyncio.sleep(self._settings.settle)
                if not watcher.drain(seen):
                    break
        return seen

    async def _handle(self, seen: Seen, watcher: Watcher) -> None:
        now = time.monotonic()
        for file in seen.vanished:
            if file in self._known or self._catalog.is_troubled(file):
                self._fade(file, now)
        for file in seen.begun:
            if file in self._fading:
                self._begun[file] = now
        written = dict(seen.written)
        written.update((file, None) for file in seen.relabelled if self._catalog.is_troubled(file))
        for folder in seen.folders:
            written.update(dict.fromkeys(self._relist(folder, watcher)))
        is_due = now >= self._rescan_at or self._is_gone or bool(watcher.trouble)
        if seen.is_everything or is_due:
            written.update(dict.fromkeys(await self._rescan(watcher)))
        await self._read_all(written, watcher)
        self._end_fading()

    async def _read_all(self, files: Iterable[str], watcher: Watcher) -> None:
        until = time.monotonic() + _SLICE
        for file in files:
            self._read(file)
            watcher.follow(file)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE

    # ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _relist(self, folder: str, watcher: Watcher) -> list[str]:
        """List a folder again; say which files are new or changed."""
        was_known = watcher.knows(folder)
        listing = list_tree(self._root, folder, watcher.enter)
        if listing.is_gone:
            watcher.leave(folder)
        return self._take(listing, differences(listing, self._known, folder if was_known else None))

    async def _rescan(self, watcher: Watcher) -> list[str]:
        """List everything again, on another thread: for what the kernel did not say."""
        listing, difference = await asyncio.to_thread(self._look_around)
        self._rescan_at = time.monotonic() + self._settings.rescan
        if listing.is_gone or self._root in listing.troubles:
            self._note_absence(listing)
            return []
        if self._is_gone:
            self._is_gone = False
            self._catalog.drop(self._root)
            watcher.enter_around()
        watcher.trouble = ""
        # What happens in a folder before it is watched is seen by looking once more.
        is_new = [watcher.enter(folder) for folder in listing.folders]
        self._note_blindness(watcher)
        changed = self._take(listing, difference)
        resting = [file for file in changed if not _is_in_writing(listing.files[file])]
        if len(resting) < len(changed) or any(is_new):
            self._rescan_at = time.monotonic() + _QUIET
        return resting

    def _look_around(self) -> tuple[Listing, Difference]:
        # Nobody else touches what is known: the only task that does is waiting for this.
        listing = list_tree(self._root, self._root, lambda _: None)
        return listing, differences(listing, self._known, self._root)

    def _take(self, listing: Listing, difference: Difference) -> list[str]:
        """Let files that are gone fade; say which are new or changed."""
        now = time.monotonic()
        self._note_troubles(listing)
        for file in difference.gone:
            self._fade(file, now)
        return difference.changed

    def _note_troubles(self, listing: Listing) -> None:
        for folder in listing.folders:
            if folder in self._troubled and folder not in listing.troubles:
                self._troubled.discard(folder)
                self._catalog.drop(folder)
        for folder, error in listing.troubles.items():
            self._troubled.add(folder)
            self._catalog.fail(folder, error)

    def _note_absence(self, listing: Listing) -> None:
        error = listing.troubles.get(self._root)
        if error is None:
            message = "The file or folder is gone; what was live stays live."
            error = ConfigError(message, place=Place(file=self._root), hint="Put it back, or stop Seawall.")
        self._is_gone = True
        self._catalog.fail(self._root, error)

    def _note_blindness(self, watcher: Watcher) -> None:
        place = "inotify"
        if watcher.trouble and place not in self._troubled:
            message = f"Some folders cannot be watched ({watcher.trouble}); they are looked at every {_BLIND_POLL:g} s."
            hint = "Raise fs.inotify.max_user_watches (sysctl)."
            self._troubled.add(place)
            self._catalog.fail(place, ConfigError(message, place=Place(file=self._root), hint=hint))
        elif not watcher.trouble and place in self._troubled:
            self._troubled.discard(place)
            self._catalog.drop(place)

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, file: str) -> None:
        try:
            found = read_file(file, self._settings.max_file_bytes)
            if found is None:
                self._fade(file, time.monotonic())
                return
            self._fading.pop(file, None)
            self._begun.pop(file, None)
            raw, stamp = found
            if file not in self._known and len(self._known) >= self._settings.max_files:
                raise self._too_many(file)
            self._known[file] = stamp
            self._catalog.put(file, raw, parse(file, raw))
        except ConfigError as error:
            self._fading.pop(file, None)
            self._catalog.fail(file, error)

    def _too_many(self, file: str) -> ConfigError:
        message = f"There are more than {self._settings.max_files} files; this one is passed over."
        hint = "Point Seawall at the folder that holds only its manifests, or raise max_files."
        return ConfigError(message, place=Place(file=file), hint=hint)

    def _fade(self, file: str, now: float) -> None:
        if file in self._fading:
            return
        self._fading[file] = now + self._settings.grace
        self._catalog.fade(file)

    def _end_fading(self) -> None:
        now = time.monotonic()
        due = [file for file, at in self._fading.items() if at <= now]
        if not due or self._is_gone or not Path(self._root).exists():
            return
        for file in due:
            begun = self._begun.pop(file, None)
            if begun is not None and now - begun < 10 * self._settings.grace:
                # It is being written anew, and is told to be complete when it is closed.
                self._fading[file], self._begun[file] = now + self._settings.grace, begun
                continue
            del self._fading[file]
            if Path(file).exists() or Path(file).is_symlink():
                self._read(file)
            else:
                self._known.pop(file, None)
                self._catalog.drop(file)

    def _contents(self, file: str) -> bytes | None:
        try:
            found = read_file(file, self._settings.max_file_bytes)
        except ConfigError:
            return None
        return found[0] if found is not None else None

    def _flush(self) -> SourceChange:
        change = self._catalog.flush(Instant(self._now()))
        for file, problems in change.problems.items():
            if problems:
                self._problems[file] = problems
            else:
                self._problems.pop(file, None)
        return change


def _is_in_writing(stamp: Stamp) -> bool:
    return 0 <= time.time() - stamp[2] / 1e9 < _QUIET


def load(
    path: Path | str,
    *,
    settings: SourceSettings | None = None,
    check: Callable[[Object], tuple[Problem, ...]] = lambda _: (),
) -> tuple[FileSource, SourceChange]:
    """Read a path once: for commands that check, render or explain. The source is there to be asked for places."""
    source = FileSource(path, settings=settings, check=check)
    return source, source.load()
