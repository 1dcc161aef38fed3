"""`python -m tests.conformance [CASE …] [--profile P] [-v]`: run cases and tell what happened, step by step if asked.

Exit code 1 if a case failed.
"""

import argparse
import asyncio
import sys
import time

from tests.conformance.case_run import CaseResult, StepResult, run_case
from tests.conformance.claimed import lacking
from tests.conformance.data import Case, Suite, suite
from tests.conformance.report import failure, step_line, table
from tests.conformance.waiting import Limits
from tests.conformance.world import open_world


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names of cases, or beginnings of them")
    parser.add_argument("--profile", help="all claimed cases of a profile, for instance GATEWAY-HTTP")
    parser.add_argument("--seconds", type=float, help="how long to wait for a status or for traffic")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every step")
    options = parser.parse_args()
    chosen = _chosen(suite(), options.cases, options.profile)
    if not chosen:
        parser.error("no case is called that; index.json has the names")
    limits = Limits(status=options.seconds, traffic=options.seconds) if options.seconds else Limits()
    results = asyncio.run(_run(chosen, limits, verbose=options.verbose))
    _say("\n".join(["", *table(chosen, results)]))
    return 1 if any(result.failed for result in results.values()) else 0


def _chosen(data: Suite, names: list[str], profile: str | None) -> list[Case]:
    """Choose named cases, claimed or not; with no names, all that are claimed."""
    found = [case for case in data.cases.values() if not profile or profile in case.profiles]
    if names:
        exact = [case for case in found if case.short_name in names]
        return exact or [case for case in found if case.short_name.startswith(tuple(names))]
    return [case for case in found if not lacking(case)]


async def _run(cases: list[Case], limits: Limits, *, verbose: bool) -> dict[str, CaseResult]:
    def show(result: StepResult) -> None:
        if verbose:
            _say(step_line(result))

    results = {}
    began = time.monotonic()
    async with open_world(limits) as world:
        for case in cases:
            result = results[case.short_name] = await run_case(case, world, show)
            _say(f"{'FAILED' if result.failed else 'passed'} {case.short_name} ({result.seconds:.2f} s)")
            if result.failed:
                _say(failure(result))
    _say(f"{len(results)} cases in {time.monotonic() - began:.1f} s")
    return results


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the output


if __name__ == "__main__":
    sys.exit(main())
