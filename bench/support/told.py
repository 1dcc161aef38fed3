"""Told: floods below HTTP and kills, as tables and held against their bars."""

from collections.abc import Sequence
from statistics import median

import msgspec

from bench.report import Result, Table, goal
from bench.support.below import Below
from bench.support.killed import Aftermath
from bench.support.score import Outcome

FAST = frozenset({"A10", "A11b", "A11c", "A14", "A15", "A15c"})
"""Floods that show themselves at once; a slow one does only when Envoy has waited for it long enough."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A flood below HTTP, what came of it, and what it cost Envoy: cores, and MiB more than before."""

    below: Below
    outcome: Outcome
    cpu: float
    mib: float


def below_row(one: Seen) -> tuple[str, ...]:
    below, found = one.below, one.outcome
    is_told = below.is_attack and below.is_named
    return (
        f"{below.id} {below.name}",
        f"{below.sources * below.rate:g}/s of {below.sources}",
        _seconds(found.mitigated) if is_told else "",
        f"{found.leaked:.1%}" if is_told else "",
        str(found.denied),
        str(found.limited),
        str(found.unanswered),
        str(found.good),
        f"{found.goodput:.1%}",
        f"{one.cpu:.2f}",
        f"{one.mib:.0f}",
    )


def below_result(found: Sequence[Seen], question: str) -> Result:
    """Put them into a table, with what was wanted."""
    table = Table(
        title="Below HTTP, each in a network of its own, where the kernel may drop",
        heads=(
            *("flood", "connections", "mitigated s", "leak after", "good: denied", "limited", "unanswered", "of"),
            *("goodput", "Envoy's cores", "MiB more"),
        ),
        rows=tuple(map(below_row, found)),
        note="People ask as above, all the while. Let in: the edge took the connection (and, of TLS, ended the handshake). What "
        "has no time is not told apart by address, because each does no more than people; all that is asked there is that people "
        "are served. Slow headers are told when Envoy has waited its ten seconds for them.",
    )
    times = sorted(
        one.outcome.mitigated if one.outcome.mitigated >= 0 else 999.0 for one in found if one.below.id in FAST
    )
    told = [one.outcome for one in found if one.below.id in FAST]
    everybody = [one.outcome for one in found]
    verdicts = [
        goal("floods below HTTP: time to mitigate, median", median(times), 4.0, "s") if times else "",
        goal("floods below HTTP: time to mitigate, worst", times[-1], 8.0, "s") if times else "",
        goal("floods below HTTP: leak after that, worst", 100 * max(one.leaked for one in told), 2.0, "%")
        if told
        else "",
        goal("floods below HTTP: good requests denied", sum(one.denied + one.limited for one in everybody), 0, ""),
        goal(
            "floods below HTTP: goodput, worst", 100 * min(one.goodput for one in everybody), 99.0, "%", at_least=True
        ),
    ]
    return Result(bench="protection", question=question, tables=(table,), verdicts=tuple(filter(None, verdicts)))


def killed_row(name: str, found: Aftermath) -> tuple[str, ...]:
    return (
        f"{name} {found.victim} killed",
        f"{found.refused_before:.1%}",
        f"{found.refused_after:.1%}",
        f"{found.left:.0f}",
        f"{found.held:.0f}",
        f"{found.failed} of {found.good}",
    )


def killed_result(found: Sequence[tuple[str, Aftermath]], question: str) -> Result:
    """Put them into a table, with what was wanted."""
    table = Table(
        title="SIGKILL while a flood is refused",
        heads=("who", "refused before", "refused after", "verdict had left s", "refused for s", "good requests failed"),
        rows=tuple(killed_row(*one) for one in found),
        note="Refused after: of the flood until the verdict's end. With the control plane gone nobody renews; with the agent gone "
        "nobody tells Envoy, which serves on by itself.",
    )
    verdicts = (
        goal("killed: good requests that failed after it", sum(one.failed for _, one in found), 0, ""),
        goal("killed: verdicts that outlived their end, worst", max(one.late for _, one in found), 0, "s"),
    )
    return Result(bench="protection", question=question, tables=(table,), verdicts=verdicts)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 0 else "never"
