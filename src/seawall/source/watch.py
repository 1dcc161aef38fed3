"""Watch: what the kernel says has changed below a path, summed up.

I/O: inotify. One watch per folder; the folder around the root is watched too, since the root itself may be replaced.
"""

import asyncio
import contextlib
import errno
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
from asyncinotify import Event, Inotify, Mask

from seawall.kit.errors import ConfigError
from seawall.kit.place import Place
from seawall.kit.units import Seconds
from seawall.source.tree import is_manifest

_MASK: Final = (
    Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.CREATE | Mask.DELETE | Mask.ATTRIB | Mask.ONLYDIR
)
_GONE: Final = Mask.MOVED_FROM | Mask.DELETE
_HERE: Final = Mask.MOVED_TO | Mask.CREATE


class Seen(msgspec.Struct, kw_only=True):
    """What has happened. A path is in `written` or in `vanished`, by what happened last.

    `begun` are new files that somebody has open for writing; `relabelled` may be readable now. `folders` must be listed again.
    """

    written: dict[str, None] = {}
    vanished: dict[str, None] = {}
    begun: dict[str, None] = {}
    relabelled: dict[str, None] = {}
    folders: dict[str, None] = {}
    is_everything: bool = False

    @property
    def size(self) -> int:
        return len(self.written) + len(self.vanished) + len(self.folders) + len(self.relabelled) + self.is_everything


class Watcher:
    """Watches the folders that it is told to `enter`."""

    def __init__(self, root: str) -> None:
        self._root = root
        try:
            self._inotify = Inotify(sync_timeout=0, cache_size=256)
        except OSError as error:
            message = f"Nothing can be watched: {(error.strerror or str(error)).lower()}."
            raise ConfigError(message, place=Place(file=root), hint="Raise fs.inotify.max_user_instances.") from error
        self._folders: dict[int, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self._targets: dict[tuple[int, str], set[str]] = {}
        self._around = -1
        self._name = Path(root).absolute().name
        self.trouble = ""

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inotify.close()

    def enter(self, folder: str) -> bool:
        """Watch a folder, or know a watched one by another name. Says whether that is new."""
        number = self._add(folder)
        old = self._numbers.get(folder)
        if old is not None and old != number:
            self.leave(folder)
        if number >= 0:
            self._folders.setdefault(number, set()).add(folder)
            self._numbers[folder] = number
        return old != number

    def leave(self, folder: str) -> None:
        """Forget a folder, and all below it."""
        below = [name for name in self._numbers if name == folder or name.startswith(f"{folder}/")]
        for name in below:
            number = self._numbers.pop(name)
            names = self._folders.get(number, set())
            names.discard(name)
            if not names:
                self._folders.pop(number, None)

    def knows(self, folder: str) -> bool:
        return folder in self._numbers

    def enter_around(self) -> None:
        """Watch the folder that the root is in."""
        self._around = self._add(str(Path(self._root).absolute().parent))

    def follow(self, file: str) -> None:
        """Take changes of a file elsewhere for changes of the link to it, if it is one."""
        if not Path(file).is_symlink():
            return
        path = Path(file).resolve()
        number = self._add(str(path.parent))
        if number >= 0:
            self._targets.setdefault((number, path.name), set()).add(file)

    def _add(self, folder: str) -> int:
        try:
            return self._inotify.add_watch(folder, _MASK).wd
        except OSError as error:
            # A folder that is gone or closed to us is told by who lists it; here only the kernel's limits matter.
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self.trouble = (error.strerror or str(error)).lower()
            return -1

    # ── what has happened ────────────────────────────────────────────────────────────────────────────────────────

    async def wait(self, patience: Seconds) -> None:
        """Wait until something happens, or until the time is up. Reads nothing, so being cancelled loses nothing."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        loop.add_reader(self._inotify.fd, wake)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await woken
        finally:
            loop.remove_reader(self._inotify.fd)

    def drain(self, seen: Seen) -> bool:
        """Add all that has happened since; False if nothing has."""
        is_any = False
        while (event := self._inotify.sync_get()) is not None:
            is_any = True
            self._take(event, seen)
        return is_any

    def _take(self, event: Event, seen: Seen) -> None:
        if event.mask & Mask.Q_OVERFLOW:
            seen.is_everything = True
            return
        watch = event.watch
        if watch is None or event.name is None:
            return
        name = str(event.name)
        for link in self._targets.get((watch.wd, name), ()):
            _note(link, event.mask, seen)
        if watch.wd == self._around:
            self._take_around(name, event.mask, seen)
        for folder in self._folders.get(watch.wd, ()):
            path = f"{folder}/{name}"
            if name.startswith(".."):
                seen.folders[folder] = None  # A mounted ConfigMap swaps its folder of data.
            elif name.startswith("."):
                continue
            elif event.mask & Mask.ISDIR:
                seen.folders[path] = None
            elif is_manifest(name):
                _note(path, event.mask, seen)
            elif event.mask & _GONE and path in self._numbers:
                seen.folders[path] = None
            elif event.mask & _HERE and Path(path).is_dir():
                seen.folders[path] = None  # A symbolic link to a folder.

    def _take_around(self, name: str, mask: Mask, seen: Seen) -> None:
        if name == self._name:
            if self._numbers or mask & Mask.ISDIR:
                seen.is_everything = True
            else:
                _note(self._root, mask, seen)
        elif name.startswith("..") and not self._numbers:
            seen.is_everything = True  # The one file that is watched may lie in a mounted ConfigMap.


def _note(path: str, mask: Mask, seen: Seen) -> None:
    if mask & Mask.CLOSE_WRITE or mask & Mask.MOVED_TO:
        seen.vanished.pop(path, None)
        seen.begun.pop(path, None)
        seen.written[path] = None
    elif mask & _GONE:
        seen.written.pop(path, None)
        seen.begun.pop(path, None)
        seen.vanished[path] = None
    elif mask & Mask.CREATE:
        # A new file is complete when it is closed; a link is at once, and nobody closes it.
        if _is_link(path):
            seen.vanished.pop(path, None)
            seen.written[path] = None
        else:
            seen.begun[path] = None
    elif mask & Mask.ATTRIB:
        seen.relabelled[path] = None


def _is_link(path: str) -> bool:
    try:
        return Path(path).is_symlink() or Path(path).stat().st_nlink > 1
    except OSError:
        return False
