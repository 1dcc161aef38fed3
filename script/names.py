"""Check that a newcomer finds things where the style says: a test beside each pure file, no stray names, counted hatches.

`tests/xds/test_stream.py` tests `src/seawall/xds/stream.py`; a longer name (`test_stream_nack.py`) is welcome too.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PURE = ("kit", "gateway", "xds", "fleet", "envoy")
STRAY = {"utils", "util", "common", "helpers", "manager", "base", "misc"}
RECORDS = {"graph", "objects", "status", "resource", "wire", "units", "place", "messages", "names"}
"""Records and one-liners: what uses them tests them."""
PARTS = dict.fromkeys(("barrier", "client", "events", "holdings", "state", "subscription"), "stream")
"""Parts of one machine that is tested whole: through its events and actions, by example and by law."""
MAX_LINES = 600
MAX_IGNORES = 30


def main() -> int:
    """Print every breach; exit 1 if there is one."""
    problems = [*_untested(), *_stray(), *_long(), *_ignores()]
    for problem in problems:
        print(problem)
    print(f"names: {len(problems)} problems" if problems else "names: fine")
    return 1 if problems else 0


def _untested() -> list[str]:
    missing = []
    for package in PURE:
        tests = [path.stem for path in (ROOT / "tests" / package).glob("test_*.py")]
        for source in sorted((ROOT / "src/seawall" / package).glob("*.py")):
            name = source.stem
            if name == "__init__" or name in RECORDS:
                continue
            name = PARTS.get(name, name)
            if not any(test == f"test_{name}" or test.startswith(f"test_{name}_") for test in tests):
                missing.append(f"{source.relative_to(ROOT)}: no tests/{package}/test_{name}.py")
    return missing


def _stray() -> list[str]:
    sources = (ROOT / "src/seawall").rglob("*.py")
    return [f"{path.relative_to(ROOT)}: name it after its subject" for path in sources if path.stem in STRAY]


def _long() -> list[str]:
    paths = [
        path
        for top in ("src", "tests", "bench", "script")
        for path in (ROOT / top).rglob("*.py")
        if ".peers" not in path.parts
    ]
    counts = {path: path.read_text(encoding="utf-8").count("\n") for path in paths}
    return [f"{p.relative_to(ROOT)}: {n} lines, split it at {MAX_LINES}" for p, n in counts.items() if n > MAX_LINES]


def _ignores() -> list[str]:
    hatch = re.compile(r"# type: ignore(\[[\w,-]+\])?(.*)")
    found = [
        (path, match)
        for path in (ROOT / "src").rglob("*.py")
        for match in hatch.finditer(path.read_text(encoding="utf-8"))
    ]
    bare = [f"{path.relative_to(ROOT)}: `type: ignore` without a code" for path, match in found if not match.group(1)]
    many = [f"src: {len(found)} type ignores, limit {MAX_IGNORES}"] if len(found) > MAX_IGNORES else []
    return bare + many


if __name__ == "__main__":
    sys.exit(main())
