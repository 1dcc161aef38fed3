"""Write docs/reference from the code: kinds and their fields, the command line, the edge's defaults.

`--check` compares instead, so that CI sees a page that no longer says what the code does.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import inspect as shapes

from seawall.envoy.listeners import EdgeDefaults
from seawall.gateway.resources.kinds import SHAPES
from seawall.gateway.resources.refs import OWN_GROUP

TARGET = Path(__file__).parent.parent / "docs/reference"
NOTE = "<!-- Written by script/reference.py from the code: edit there. -->\n\n"
COMMANDS = (
    "up",
    "serve",
    "agent",
    "check",
    "render",
    "explain",
    "status",
    "diff",
    "rollout",
    *(f"rollout {verb}" for verb in ("status", "show", "replay", "versions", "promote", "pause", "resume", "abort")),
    *(f"rollout {verb}" for verb in ("back", "unpin", "approve", "override", "freeze", "thaw", "emergency")),
    *(f"edge {verb}" for verb in ("status", "back", "unpin", "trust")),
    "pki init",
    "pki issue",
    "pki signing-key",
    "pki show-key",
    "completion",
    "version",
)


def main() -> int:
    """Write or compare every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    check = parser.parse_args().check
    pages = {"kinds.md": "".join(_kinds()), "cli.md": "".join(_cli()), "defaults.md": "".join(_defaults())}
    stale = [name for name, text in pages.items() if not _is_same(TARGET / name, NOTE + text)]
    if check:
        # How a help text is drawn is the terminal library's business and changes with its version.
        stale = [name for name in stale if name != "cli.md"]
        for name in stale:
            print(f"docs/reference/{name} is not what the code says: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (TARGET / name).write_text(NOTE + text, encoding="utf-8")
    print(f"wrote {len(pages)} pages, {len(stale)} changed")
    return 0


def _is_same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _kinds() -> Iterator[str]:
    yield "# Kinds and fields\n\nEvery kind that Seawall reads, strictly: a field that is not here is an error with its place.\n"
    for shape in SHAPES.values():
        yield f"\n## {shape.kind}\n\n`{shape.api_version}`"
        older = ", ".join(f"`{version}`" for version in shape.versions[1:])
        yield f" (also {older})" if older else ""
        yield f"\n\n{_prose(shape.spec)}\n\n| field | type | default |\n|---|---|---|\n"
        yield from _fields(shapes.type_info(shape.spec), "", depth=0)
        if shape.group == OWN_GROUP:
            yield from _reasons(shapes.type_info(shape.spec), "")


def _fields(kind: shapes.Type, prefix: str, depth: int) -> Iterator[str]:
    if not isinstance(kind, shapes.StructType) or depth > 6:
        return
    for field in kind.fields:
        path = f"{prefix}{field.encode_name}"
        inner, is_list = _element(field.type)
        name = f"{path}[]" if is_list else path
        default = "required" if field.required else _default(field)
        yield f"| `{name}` | {_type(inner)} | {default} |\n"
        yield from _fields(inner, f"{name}.", depth + 1)


def _reasons(kind: shapes.Type, prefix: str) -> Iterator[str]:
    """Yield what is said of each field that holds others, once."""
    if not isinstance(kind, shapes.StructType):
        return
    for field in kind.fields:
        path, inner = f"{prefix}{field.encode_name}", _element(field.type)[0]
        if isinstance(inner, shapes.StructType):
            yield f"\n`{path}`: {_prose(inner.cls)}\n"
            yield from _reasons(inner, f"{path}.")


def _element(kind: shapes.Type) -> tuple[shapes.Type, bool]:
    if isinstance(kind, shapes.UnionType):
        options = [option for option in kind.types if not isinstance(option, shapes.NoneType)]
        if len(options) > 1:
            return kind, False
        kind = options[0]
    if isinstance(kind, shapes.VarTupleType):
        return _element(kind.item_type)[0], True
    return kind, False


def _type(kind: shapes.Type) -> str:
    match kind:
        case shapes.StructType():
            return "object"
        case shapes.LiteralType():
            return " \\| ".join(f"`{value}`" for value in kind.values)
        case shapes.IntType():
            limits = "" if kind.ge is None and kind.le is None else f" {_bound(kind.ge)}..{_bound(kind.le)}"
            return f"integer{limits}"
        case shapes.FloatType():
            bounds = ((">", kind.gt), ("≥", kind.ge), ("≤", kind.le))
            return ", ".join(["number", *(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)])
        case shapes.UnionType():
            return " or ".join(_type(option) for option in kind.types if not isinstance(option, shapes.NoneType))
        case shapes.StrType():
            return f"string, ≤ {kind.max_length}" if kind.max_length else "string"
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _bound(value: int | None) -> str:
    return "" if value is None else str(value)


def _default(field: shapes.Field) -> str:
    if field.default is not msgspec.NODEFAULT and field.default not in (None, "", ()):
        value = field.default
        return f"`{msgspec.json.encode(value).decode()}`" if not isinstance(value, msgspec.Struct) else "object"
    return ""


def _prose(spec: type) -> str:
    return re.sub(r"\s*\n\s*", " ", (spec.__doc__ or "").strip())


def _cli() -> Iterator[str]:
    yield "# Command line\n\nEvery command takes `--help`; those that print data take `--output json`.\n"
    environment = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
    for command in ("", *COMMANDS):
        arguments = [sys.executable, "-m", "seawall", *command.split(), "--help"]
        run = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
        title = f"seawall {command}".strip()
        lines = "\n".join(line.rstrip() for line in run.stdout.strip().splitlines())
        yield f"\n## `{title}`\n\n```text\n{lines}\n```\n"


def _defaults() -> Iterator[str]:
    yield f"# Defaults at the door\n\n{_prose(EdgeDefaults)}\n\n| limit | default |\n|---|---|\n"
    for field in msgspec.structs.fields(EdgeDefaults):
        yield f"| `{field.name}` | {field.default} |\n"


if __name__ == "__main__":
    sys.exit(main())
