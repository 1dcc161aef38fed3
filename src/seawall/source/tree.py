"""Tree: which manifests there are below a path, and their bytes.

I/O: lists folders, follows symbolic links, reads files. Hidden names are passed over, among them editors' temporary files
and the `..data` folders of mounted ConfigMaps, whose links beside them are followed.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from seawall.kit.errors import ConfigError
from seawall.kit.place import Place

SUFFIXES = (".yaml", ".yml", ".json")
Stamp = tuple[int, int, int, int]
"""Inode, size, times of modification and of change: what differs when a file does."""
NO_STAMP: Stamp = (0, 0, 0, 0)


class Listing(msgspec.Struct, kw_only=True):
    """What is below a path. `troubles` are folders that could not be listed: whatever is in them is unknown, not gone."""

    files: dict[str, Stamp] = {}
    folders: list[str] = []
    troubles: dict[str, ConfigError] = {}
    is_gone: bool = False


def is_manifest(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def list_tree(root: str, start: str, enter: Callable[[str], object]) -> Listing:
    """List what is at or below `start`, which is `root` or below it. `enter` is called before a folder is listed."""
    listing = Listing()
    try:
        status = Path(start).stat()
    except (FileNotFoundError, NotADirectoryError):
        listing.is_gone = True
        return listing
    except OSError as error:
        listing.troubles[start] = _refused(start, error)
        return listing
    if not stat.S_ISDIR(status.st_mode):
        listing.files[start] = stamp_of(status)
        return listing
    rest = [(start, _around(root, start))]
    while rest:
        folder, around = rest.pop()
        enter(folder)
        listing.folders.append(folder)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _look_at(entry, around, listing, rest)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                listing.troubles[folder] = _refused(folder, error)
    return listing


_Inodes = frozenset[tuple[int, int]]


def _around(root: str, start: str) -> _Inodes:
    """Name the folders that a folder is in, itself included, to see loops."""
    folders = [Path(start)]
    while str(folders[-1]) != root and folders[-1] != folders[-1].parent:
        folders.append(folders[-1].parent)
    inodes = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            status = folder.stat()
            inodes.add((status.st_dev, status.st_ino))
    return frozenset(inodes)


def _look_at(entry: "os.DirEntry[str]", around: _Inodes, listing: Listing, rest: list[tuple[str, _Inodes]]) -> None:
    try:
        if entry.is_dir():
            status = entry.stat()
            inode = (status.st_dev, status.st_ino)
            if inode in around:
                message = "The symbolic link leads back to a folder that it is in; it is not followed."
                error = ConfigError(message, place=Place(file=entry.path), hint="Remove the link.")
                listing.troubles[entry.path] = error
            else:
                rest.append((entry.path, around | {inode}))
        elif is_manifest(entry.name):
            listing.files[entry.path] = stamp_of(entry.stat())
    except OSError:
        # A link to nowhere or to itself: reading it will say so. A file that has just vanished is none.
        if is_manifest(entry.name) and entry.is_symlink():
            listing.files[entry.path] = NO_STAMP


class Difference(msgspec.Struct, kw_only=True):
    """What differs between a listing and what was known."""

    changed: list[str]
    gone: list[str]


def differences(listing: Listing, known: Mapping[str, Stamp], whole: str | None) -> Difference:
    """Compare. Only files at or below `whole` can be gone, and none that is in a folder that could not be listed."""
    changed = sorted(file for file, stamp in listing.files.items() if known.get(file) != stamp)
    if whole is None:
        return Difference(changed=changed, gone=[])
    below, hidden = f"{whole}/", tuple(f"{folder}/" for folder in listing.troubles)
    missing = (file for file in known if file not in listing.files and (file == whole or file.startswith(below)))
    return Difference(changed=changed, gone=[file for file in missing if not file.startswith(hidden)])


def stamp_of(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_file(file: str, limit: int) -> tuple[bytes, Stamp] | None:
    """Read a file whole; None if there is none. Raises ConfigError if it cannot be read or is too big."""
    place = Place(file=file)
    try:
        # O_NONBLOCK: a pipe must not make us wait for its writer.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        if Path(file).is_symlink():
            message = "The symbolic link leads to nothing."
            raise ConfigError(message, place=place, hint="Correct or remove the link.") from error
        return None
    except OSError as error:
        raise _refused(file, error) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("It is not a regular file.", place=place, hint="Remove it, or move it elsewhere.")
        raw = b"" if status.st_size > limit else _read_up_to(handle, limit + 1)
        if status.st_size > limit or len(raw) > limit:
            message = f"The file is larger than {limit} bytes ({limit / (1 << 20):g} MiB)."
            raise ConfigError(message, place=place, hint="Split it, or raise max_file_bytes.")
        return raw, stamp_of(status)
    except OSError as error:
        raise _refused(file, error) from error
    finally:
        os.close(handle)


def _read_up_to(handle: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < limit and (part := os.read(handle, min(limit - size, 1 << 20))):
        parts.append(part)
        size += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refused(path: str, error: OSError) -> ConfigError:
    hint = "Check that it is in order and can be read."
    if isinstance(error, PermissionError):
        hint = "Let the user that runs Seawall read it (chmod, chown)."
    reason = (error.strerror or str(error)).lower()
    return ConfigError(f"It cannot be read: {reason}.", place=Place(file=path), hint=hint)
