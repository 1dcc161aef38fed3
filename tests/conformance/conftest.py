"""The suite's world for pytest, opened once a session, and the table at the end."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.conformance.case_run import CaseResult, World, run_case
from tests.conformance.data import Case, Suite, suite
from tests.conformance.report import table
from tests.conformance.world import open_world

_RESULTS = pytest.StashKey[dict[str, CaseResult]]()


class Runner:
    """Runs cases in the session's world, on the session's loop: the echo servers live there."""

    def __init__(self, loop: asyncio.Runner, world: World, results: dict[str, CaseResult]) -> None:
        self._loop = loop
        self._world = world
        self._results = results

    def run(self, case: Case) -> CaseResult:
        result = self._loop.run(run_case(case, self._world))
        self._results[case.short_name] = result
        return result


@pytest.fixture(scope="session")
def runner(pytestconfig: pytest.Config) -> Iterator[Runner]:
    results = pytestconfig.stash.setdefault(_RESULTS, {})
    with asyncio.Runner() as loop:
        opened = open_world()
        world = loop.run(opened.__aenter__())
        try:
            yield Runner(loop, world, results)
        finally:
            loop.run(_closed(opened))


async def _closed(opened: "contextlib.AbstractAsyncContextManager[World]") -> None:
    await opened.__aexit__(None, None, None)


@pytest.fixture(scope="session")
def data() -> Suite:
    return suite()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table if any case was run."""
    results = config.stash.get(_RESULTS, {})
    if results:
        terminalreporter.section("Gateway API conformance")
        for line in table(suite().cases.values(), results):
            terminalreporter.write_line(line)
