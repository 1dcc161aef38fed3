"""`python -m seawall`, and the entry point of the `seawall` command."""

from seawall.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
