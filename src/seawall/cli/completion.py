"""`seawall completion`: the script that teaches a shell to complete our commands."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that we have a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)]) -> None:
    """Print the completion script of a shell; `--install-completion` puts it in place.

    For one session: source <(seawall completion bash)
    """
    # This is how the shell itself asks for the script; it needs a process of its own, as it looks at the environment.
    environment = {**os.environ, "_SEAWALL_COMPLETE": f"source_{shell.value}"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "seawall"], environment)  # noqa: S606 - ourselves
