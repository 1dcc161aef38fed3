"""`seawall version`: what runs here."""

import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import typer

from seawall.cli.options import Envoy, Output
from seawall.cli.output import Format, print_json


def version(envoy: Envoy = "", output: Output = Format.TEXT) -> None:
    """Print the versions of Seawall, Python and Envoy."""
    shown = {
        "seawall": _version(),
        "python": platform.python_version(),
        "envoy": _envoy(
            envoy or shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent)) or ""
        ),
    }
    if output is Format.JSON:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name:<8} {value or 'not found'}")


def _version() -> str:
    try:
        return metadata.version("seawall")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"


def _envoy(binary: str) -> str:
    """Ask Envoy; it says `envoy  version: <commit>/<version>/<state>/…`."""
    if not binary:
        return ""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
        return f"{said.split('version:')[1].split('/')[1]} ({binary})"
    except (OSError, subprocess.TimeoutExpired, IndexError):
        return f"{binary} does not say its version"
