"""Nearest: the name that was probably meant.

Pure.
"""

from collections.abc import Iterable


def nearest(wanted: str, names: Iterable[str]) -> str:
    """Return the name that differs least from the one wanted: by at most a third of its letters; empty if there is none."""
    limit = max(1, len(wanted) // 3)
    candidates = sorted(name for name in names if abs(len(name) - len(wanted)) <= limit and name != wanted)
    if not candidates:
        return ""
    distance, name = min((_distance(wanted, name), name) for name in candidates)
    return name if distance <= limit else ""


def _distance(one: str, other: str) -> int:
    """Count the letters to insert, delete or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
