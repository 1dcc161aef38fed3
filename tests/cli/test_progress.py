"""Progress: what people see of a rollout."""

from typing import Any

import pytest

from seawall.cli.output import Printer
from seawall.cli.progress import show_story

REPORT: dict[str, Any] = {"base": "a" * 32, "candidate": "b" * 32, "risk": "R1", "why": ["a route changes"]}
STORY: dict[str, Any] = {"rollout": "r-1", "decisions": [], "outcome": "", "reason": ""}


@pytest.mark.parametrize(("share", "is_told"), [(0.123, True), (None, False)])
def test_a_story_says_what_share_of_the_requests_it_touches(
    capsys: pytest.CaptureFixture[str], share: float | None, is_told: bool
) -> None:
    show_story(Printer(), {**STORY, "report": {**REPORT, "blast": {"hosts": 2, "share": share}}})

    assert ("touches 2 hosts, 12.3% of the last hour's requests" in capsys.readouterr().out) is is_told
