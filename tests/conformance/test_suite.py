"""Every case of the suite: what Seawall claims must pass, what it does not claim is listed with its reason.

Each case starts from nothing, in one `seawall up` with the real Envoy and the echo servers of all pods.
"""

import pytest

from tests.conformance.claimed import BORROWED, CLAIMED, NOT_YET, lacking
from tests.conformance.conftest import Runner
from tests.conformance.data import Suite, suite
from tests.conformance.report import failure


def _claimed() -> list[str]:
    """Name the cases to run. Without the data there is one that fails, and says where the data should be."""
    try:
        return [case.short_name for case in suite().cases.values() if not lacking(case)]
    except FileNotFoundError:
        return ["the suite's data"]


@pytest.mark.conformance
@pytest.mark.parametrize("name", _claimed())
def test_a_claimed_case_passes(name: str, data: Suite, runner: Runner) -> None:
    result = runner.run(data.cases[name])

    assert result.failed is None, failure(result)


def test_every_case_is_run_or_listed_with_a_reason(data: Suite) -> None:
    unexplained = {name: lacking(case) - set(NOT_YET) for name, case in data.cases.items()}

    # A case that lacks a feature runs only when all of it is claimed: one listed feature explains why it waits.
    silent = [name for name, case in data.cases.items() if lacking(case) and unexplained[name] == lacking(case)]
    assert silent == []


def test_the_list_of_what_waits_has_no_stale_entries(data: Suite) -> None:
    waited_for = {feature for case in data.cases.values() for feature in lacking(case)}

    assert set(NOT_YET) - waited_for == set(), "nothing waits for these any more"
    assert set(NOT_YET) & CLAIMED == set(), "these are claimed and still listed as not yet"


def test_borrowed_features_are_borrowed_by_cases_that_need_them(data: Suite) -> None:
    for name, features in BORROWED.items():
        assert features <= set(data.cases[name].features) - CLAIMED


def test_a_case_that_steps_beyond_file_mode_is_known(data: Suite) -> None:
    partial = [name for name, case in data.cases.items() if case.file_mode == "partial"]

    assert partial == ["GatewayInfrastructure"]
