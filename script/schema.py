"""Carve Envoy's API schema out of the Envoy binary that we pin, and write it where the package reads it.

The binary carries a FileDescriptorProto of every message it understands, so the schema that we build messages with is
exactly that of the Envoy that reads them. (The PyPI packages with generated messages lag behind: 67 types of 1.40 are
missing from them.) Run it when the pin moves: `python script/schema.py`; with `--check` it only compares.
"""

import argparse
import lzma
import re
import shutil
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError

TARGET = Path(__file__).parent.parent / "src/seawall/envoy/schema.binpb.xz"
PREFIXES = rb"envoy|xds|udpa|validate|google|opencensus|opentelemetry|cel|io/prometheus|prometheus"
START = re.compile(rb"\x0a([\x08-\x7f])((?:" + PREFIXES + rb")[\w/.\-]*\.proto)\x12")
LAST_FIELD = 14
"""The highest field number of FileDescriptorProto (edition); what follows a descriptor in the binary is something else."""


def carve(elf: bytes) -> descriptor_pb2.FileDescriptorSet:
    """Return the files in dependency order, so that a pool can take them one after the other."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for match in START.finditer(elf):
        if match.group(1)[0] != len(match.group(2)):
            continue
        file = _parse(elf[match.start() : _end(elf, match.start())])
        if file is not None and file.name.encode() == match.group(2):
            found.setdefault(file.name, file)
    ordered = descriptor_pb2.FileDescriptorSet()
    done: set[str] = set()
    for name in sorted(found):
        _append(name, found, ordered, done)
    return ordered


def _append(
    name: str,
    found: dict[str, descriptor_pb2.FileDescriptorProto],
    ordered: descriptor_pb2.FileDescriptorSet,
    done: set[str],
) -> None:
    if name in done or name not in found:
        return
    done.add(name)
    for dependency in found[name].dependency:
        _append(dependency, found, ordered, done)
    ordered.file.add().CopyFrom(found[name])


def _end(data: bytes, position: int) -> int:
    """Walk the fields of one message; stop where the bytes no longer read as a field of a FileDescriptorProto."""
    while True:
        start = position
        tag, position = _varint(data, position)
        field, kind = tag >> 3, tag & 7
        if not 1 <= field <= LAST_FIELD or kind not in (0, 2):
            return start
        size, position = _varint(data, position)
        if kind == 2:
            position += size
        if position > len(data):
            return start


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, position


def _parse(raw: bytes) -> descriptor_pb2.FileDescriptorProto | None:
    for cut in range(64):
        try:
            return descriptor_pb2.FileDescriptorProto.FromString(raw[: len(raw) - cut])
        except DecodeError:
            continue
    return None


def main() -> int:
    """Write or check the schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envoy", default=shutil.which("envoy"), help="the binary to read (default: the one on PATH)")
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    arguments = parser.parse_args()
    if arguments.envoy is None:
        print("no Envoy binary on PATH: install the project, or name one with --envoy", file=sys.stderr)
        return 2
    files = carve(_binary(Path(arguments.envoy)))
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    raw = files.SerializeToString(deterministic=True)
    if arguments.check:
        same = TARGET.exists() and lzma.decompress(TARGET.read_bytes()) == raw
        print("schema is that of the binary" if same else "schema differs from the binary: run script/schema.py")
        return 0 if same else 1
    TARGET.write_bytes(lzma.compress(raw, preset=9))
    print(f"{len(files.file)} files, {len(raw)} bytes, {TARGET.stat().st_size} compressed")
    return 0


def _binary(launcher: Path) -> bytes:
    """The wheel's `envoy` may be a small script beside the real binary: take the largest ELF file near it."""
    data = launcher.resolve().read_bytes()
    if data.startswith(b"\x7fELF"):
        return data
    site = Path(__import__("envoy").__file__ or "").parent
    candidates = [p for p in site.rglob("*") if p.is_file() and p.stat().st_size > 10_000_000]
    return max(candidates, key=lambda p: p.stat().st_size).read_bytes()


if __name__ == "__main__":
    sys.exit(main())
