"""Options of all tests."""

import os

import pytest
from hypothesis import settings

# No deadline: on a busy machine the clock says nothing about the code. CI walks the same examples at each run, so that it
# is red for a reason; a developer's run explores.
settings.register_profile("explore", deadline=None)
settings.register_profile("repeat", deadline=None, derandomize=True)
settings.load_profile("repeat" if os.environ.get("CI") else "explore")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the golden tests expect anew")
