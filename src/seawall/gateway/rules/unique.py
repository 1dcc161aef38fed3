"""Lists that are sets or maps: no element, or no key, twice (`x-kubernetes-list-type: set | map`).

Pure.
"""

from collections.abc import Hashable, Sequence

from seawall.gateway.rules.rule import Finding, Findings


def no_repeats(values: Sequence[Hashable], at: str, what: str, findings: Findings, key: str = "") -> None:
    """Report each value that stood in the list before. `key` is the field that the values were taken from."""
    if len(values) < 2 or len(set(values)) == len(values):
        return
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if value in first:
            findings.append(
                Finding(
                    path=f"{at}[{index}]{'.' + key if key else ''}",
                    message=f"The {what} {_text(value)} stands here for the second time, after index {first[value]}.",
                    hint="Remove one of the two, or rename it.",
                )
            )
        first.setdefault(value, index)


def _text(value: Hashable) -> str:
    return "/".join(str(part) for part in value) if isinstance(value, tuple) else repr(value)
