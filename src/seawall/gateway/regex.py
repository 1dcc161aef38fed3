"""Regular expressions as Envoy reads them.

Pure. Envoy matches with RE2, which has no look-around and no back-references (so no expression can take exponential time).
The same library says here, before anything is published, what Envoy would say when it refuses the route.
"""

from functools import cache, lru_cache

import re2

HINT = "Write it in RE2's syntax, and small: no look-around, no back-references, repetitions up to 1000."
MOST_PROGRAM = 10_000
"""Instructions of a RE2 program. Matching is linear in them: at 10,000 one path of 100 bytes can cost a millisecond."""


@lru_cache(maxsize=4096)
def flaw(pattern: str) -> str:
    """Say what keeps RE2 from compiling a pattern, or from matching it cheaply; empty if nothing does."""
    try:
        size = int(re2.compile(pattern, _quiet()).programsize)
    except re2.error as error:
        cause = error.args[0] if error.args else "not a regular expression"
        return cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
    # Found out here the one route stays as it was; the guard for it (G6) would stop everybody's changes.
    return "" if size <= MOST_PROGRAM else f"it needs {size} instructions, and {MOST_PROGRAM} are allowed"


@cache
def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # it would write to our standard error
    return options
