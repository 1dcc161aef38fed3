"""Report: the outcome of a run, for people.

Pure.
"""

from collections.abc import Iterable, Mapping

from tests.conformance.case_run import CaseResult, StepResult
from tests.conformance.claimed import NOT_YET, lacking
from tests.conformance.data import Case

_PROFILES = ("GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP", "")


def step_line(result: StepResult) -> str:
    """Tell one step in a line, with what was wrong below it."""
    step = result.step
    mark = "FAILED" if result.problems else "left out" if result.left_out else "ok"
    what = step.get("name") or _subject(step)
    lines = [f"  {step['id']:>3} {step['type']:<22} {mark:<8} {result.seconds:6.2f} s  {what}"]
    if result.left_out:
        lines[0] += f" ({result.left_out})"
    return "\n".join([*lines, *(f"        {problem}" for problem in result.problems)])


def failure(result: CaseResult) -> str:
    """Tell why a case failed: the case, the step, expected and actual."""
    failed = result.failed
    assert failed is not None
    return f"{result.case.short_name}: {result.case.description}\n{step_line(failed)}\n    step: {failed.step}"


def table(cases: Iterable[Case], results: Mapping[str, CaseResult]) -> list[str]:
    """Count outcomes by profile and support, then name what failed and what waits for a feature."""
    cases = list(cases)
    lines = [f"{'profile':<14} {'support':<9} {'cases':>5} {'passed':>7} {'failed':>7} {'not yet':>8} {'not run':>8}"]
    for profile in _PROFILES:
        for support in ("core", "extended"):
            chosen = [case for case in cases if _is_in(case, profile) and case.support == support]
            if chosen:
                lines.append(f"{profile or '(none)':<14} {support:<9} {_counts(chosen, results)}")
    lines += [f"{'all':<24} {_counts(cases, results)}", ""]
    for result in results.values():
        if result.failed is not None:
            problems = "; ".join(result.failed.problems)
            lines.append(f"failed: {result.case.short_name}, step {result.failed.step['id']}: {problems}")
    for feature, reason in NOT_YET.items():
        names = [case.short_name for case in cases if feature in lacking(case)]
        if names:
            lines.append(f"not yet claimed: {feature} ({reason}): {', '.join(names)}")
    return lines


def _is_in(case: Case, profile: str) -> bool:
    return profile in case.profiles if profile else not case.profiles


def _counts(cases: list[Case], results: Mapping[str, CaseResult]) -> str:
    run = [results[case.short_name] for case in cases if case.short_name in results]
    failed = sum(result.failed is not None for result in run)
    not_yet = sum(bool(lacking(case)) and case.short_name not in results for case in cases)
    missing = len(cases) - len(run) - not_yet
    return f"{len(cases):>5} {len(run) - failed:>7} {failed:>7} {not_yet:>8} {missing:>8}"


def _subject(step: Mapping[str, object]) -> str:
    named = step.get("object") or step.get("gateway") or step.get("namespaces") or ""
    return "/".join(map(str, named.values())) if isinstance(named, Mapping) else str(named)
