"""Options of a run, and how a benchmark says what it is doing."""

import sys

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`quick` runs everything once and small: it shows that a benchmark still works, its figures mean nothing."""

    quick: bool = False
    rollouts: int = 0
    """For `fire`: how many; 0: as many as it takes for the page of figures."""
    seed: int = 1
    pace: float = 0.02
    only: tuple[str, ...] = ()
    """For `protection`: the scenarios wanted, by id; none: all."""
    peers: bool = False
    minutes: float = 30.0

    def pick(self, full: int, quick: int) -> int:
        """Return a size or count."""
        return quick if self.quick else full


def say(text: str) -> None:
    """Tell whoever waits how far we are."""
    print(f"   {text}", file=sys.stderr, flush=True)
