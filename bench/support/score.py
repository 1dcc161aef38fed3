"""Score: what came of a play, by what clients got."""

from typing import Any, Protocol

import msgspec

from bench.support.player import Shot

Json = dict[str, Any]
MITIGATED, FOR = 0.10, 3.0
REFUSED = (403, 429)


class Played(Protocol):
    """What was played: the fields that tell the attack from people."""

    @property
    def planted(self) -> frozenset[str]: ...


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a play. Seconds since it began; -1: never."""

    detected: float = -1.0
    mitigated: float = -1.0
    bad: int = 0
    leaked: float = 0.0
    good: int = 0
    denied: int = 0
    limited: int = 0
    unanswered: int = 0
    goodput: float = 1.0
    scopes: tuple[str, ...] = ()
    precision: float = 1.0


def scored(scenario: Played, shots: list[Shot], usual: list[Shot], found: Json) -> Outcome:
    bad, good = [one for one in shots if one.is_bad], [one for one in shots if not one.is_bad]
    refused = sorted(one.at for one in bad if one.status in REFUSED)
    mitigated = mitigated_at(bad)
    late = [one for one in bad if mitigated >= 0 and one.at > mitigated]
    acting = [one for one in found["verdicts"] if one["kind"] in ("limit", "tarpit", "deny", "drop")]
    named = [field for one in acting for field in one["match"]]
    served = sum(one.status not in (0, *REFUSED) for one in good) / max(len(good), 1)
    before = sum(one.status not in (0, *REFUSED) for one in usual) / max(len(usual), 1)
    return Outcome(
        detected=refused[0] if refused else -1.0,
        mitigated=mitigated,
        bad=len(bad),
        leaked=sum(one.status not in REFUSED for one in late) / len(late) if late else 0.0,
        good=len(good),
        denied=sum(one.status == 403 for one in good),
        limited=sum(one.status == 429 for one in good),
        unanswered=sum(one.status == 0 for one in good),
        goodput=served / before if before else 0.0,
        scopes=tuple(f"{one['kind']} {one['scope']}" for one in acting),
        precision=sum(field in scenario.planted for field in named) / len(named) if named else 1.0,
    )


def mitigated_at(bad: list[Shot]) -> float:
    """Return since when for three seconds less than a tenth of the attack was let through; -1: never."""
    ends = [one.at for one in bad]
    for start in (number / 4 for number in range(int(4 * max(ends, default=0.0)))):
        part = [one for one in bad if start <= one.at < start + FOR]
        if len(part) >= 10 and sum(one.status not in REFUSED for one in part) < MITIGATED * len(part):
            return start
    return -1.0
