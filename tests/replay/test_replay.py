"""Replay: a detector's test is a stream of requests on event time and what it finds in it.

A case is a folder `<detector>/<case>/` with a `case.yaml`: a sentence on top, a scenario with a seed that makes the entries (or
`background` for none), how many seconds of it are played, and the scopes that the detector finds. Benign traffic is a case too: it
finds nothing. What others find is none of its business. `pytest --update-golden` writes the findings anew: read the difference.
"""

from pathlib import Path
from random import Random

import msgspec
import pytest
import yaml
from bench.support.people import Second
from bench.support.scenarios import scenario
from bench.support.theatre import ENFORCING, slot_of, warmed

from seawall.detect.detectors.registry import DETECTORS
from seawall.detect.events import Observed
from seawall.kit.units import Instant

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/case.yaml"))
WATCHING = msgspec.structs.replace(ENFORCING, most_entries=0)
"""The guards refuse everything: no verdict takes the attack out of sight, each second shows what is found in it."""


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is played, and what is found. `twins`: findings that protect instead."""

    scenario: str
    seed: int
    seconds: int
    findings: tuple[str, ...] = ()


def played(case: Case, detector: str) -> list[str]:
    """Play a case; name every scope that the detector found."""
    one = scenario(case.scenario) if case.scenario != "background" else None
    before = one.before(Random(case.seed)) if one is not None and one.before is not None else None
    guard, usual, rng, at = warmed(case.seed, before, WATCHING)
    shown = one.begin(Random(case.seed)) if one is not None else None
    found: dict[str, None] = {}
    for number in range(case.seconds):
        at = Instant(at + 1)
        more = shown(rng, number) if shown is not None else Second(requests=[])
        both = Second(requests=[*usual(rng, number).requests, *more.requests], peers=more.peers)
        guard.handle(Observed(at=at, slot=slot_of(both, at)[0]))
        found |= dict.fromkeys(str(each.scope) for each in guard.findings if each.detector == detector)
    return sorted(found)


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_detector_finds_what_it_should(folder: Path, request: pytest.FixtureRequest) -> None:
    text = (folder / "case.yaml").read_text(encoding="utf-8")
    case = msgspec.convert(yaml.safe_load(text), Case)

    found = played(case, folder.parent.name)

    if request.config.getoption("--update-golden"):
        head = text.split("findings:")[0].rstrip()
        lines = "".join(f"\n  - {each!r}" for each in found) if found else " []"
        (folder / "case.yaml").write_text(f"{head}\nfindings:{lines}\n", encoding="utf-8")
    else:
        assert found == sorted(case.findings)


def test_every_detector_has_a_case_and_a_benign_one() -> None:
    for detector in DETECTORS:
        cases = [
            msgspec.convert(yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8")), Case)
            for folder in CASES
            if folder.parent.name == detector.name
        ]

        assert any(one.findings for one in cases) and any(not one.findings for one in cases), detector.name


def test_each_case_says_what_it_is_about() -> None:
    for folder in CASES:
        assert (folder / "case.yaml").read_text(encoding="utf-8").startswith("# "), folder
