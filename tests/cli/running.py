"""The command line as a user runs it: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples/shop"


def seawall(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `seawall` with these words."""
    return subprocess.run(
        [sys.executable, "-m", "seawall", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "120", **environment},
    )
