"""Judge: findings in, verdicts out, none of them without the word of all ten guards.

Pure. A finding climbs the ladder as far as its score carries it; then the guards are asked, again from the first one whenever one
of them has capped or narrowed, until all pass or nothing is left. Next room: `detect.ledger`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from seawall.detect import ladder
from seawall.detect.finding import Finding
from seawall.detect.guards.question import Answer, Question, Standing
from seawall.detect.guards.registry import GUARDS
from seawall.detect.ladder import LADDER
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight
from seawall.detect.verdict import Action, Expected, GuardResult
from seawall.kit.units import Instant

MOST_ROUNDS = 16
EXPLAINED = 0.9
MOST_FINDINGS = 400


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards have let pass."""

    finding: Finding
    scope: Scope
    rung: int
    action: Action
    expected: Expected
    guards: tuple[GuardResult, ...]


def judge(sight: Sight, findings: Sequence[Finding], standing: Standing, relapses: dict[Scope, int]) -> list[Proposal]:
    """Make proposals of findings: the surest first, and none for what another one explains already."""
    twins = tuple(one for one in findings if one.twin)
    proposals: list[Proposal] = []
    for finding in _worth_it(sight, findings):
        if any(one.rung >= 2 and one.scope.contains(finding.scope) for one in proposals):
            continue
        now = standing_with(standing, proposals)
        proposal = propose(sight, finding, now, twins, relapses.get(finding.scope, 0))
        if proposal is not None:
            proposals.append(proposal)
    return proposals


def propose(
    sight: Sight, finding: Finding, standing: Standing, twins: tuple[Finding, ...], relapses: int = 0
) -> Proposal | None:
    """Ask the guards about one finding; None: nothing may be done about it."""
    most = min(finding.most, sight.settings.highest if sight.settings.has_xdp else min(sight.settings.highest, 6))
    rung = ladder.climb(finding.score, most)
    scope = finding.scope
    said: dict[str, GuardResult] = {}
    for _ in range(MOST_ROUNDS):
        rung = _at_layer(scope, rung)
        question = _question(sight, finding, (scope, rung), standing, twins, relapses)
        answer = _ask(question, said)
        if answer is None:
            return _proposal(question, tuple(said[one.id] for one in GUARDS))
        if answer.outcome == "refuse":
            return None
        if answer.outcome == "cap":
            rung = ladder.built(min(answer.rung, rung - 1))
        if answer.outcome == "narrow":
            scope = answer.scope
        if rung < 1:
            return None
    return None


def standing_with(standing: Standing, proposals: Iterable[Proposal]) -> Standing:
    """Count proposals as if they were in force."""
    denied = dict(standing.denied)
    entries = standing.entries
    for one in proposals:
        entries += 1
        if one.rung > 2:
            denied[one.scope.route] = denied.get(one.scope.route, 0.0) + one.expected.impact
    return msgspec.structs.replace(standing, denied=denied, entries=entries)


def _worth_it(sight: Sight, findings: Sequence[Finding]) -> list[Finding]:
    """Leave twins out, and what is about a whole route; groups before single clients, which a group may explain."""
    real = [one for one in findings if not one.twin and one.scope.match and one.score >= LADDER[1].confidence]
    merged: dict[Scope, Finding] = {}
    for one in real:
        before = merged.get(one.scope)
        merged[one.scope] = one if before is None else _merged(before, one)
    ordered = sorted(
        merged.values(), key=lambda one: (one.scope.is_by_network, -one.score, -one.excess, str(one.scope))
    )
    groups = [
        one for one in ordered if not one.scope.is_by_network and one.score >= LADDER[2].confidence and one.most > 2
    ]
    explained = _explained(sight, [group.scope for group in groups[:20]])
    return [one for one in ordered if not (one.scope.is_by_network and one.scope.value("address") in explained)][
        :MOST_FINDINGS
    ]


def _explained(sight: Sight, groups: Sequence[Scope]) -> set[str]:
    """Name the addresses almost all of whose requests are in a group."""
    crowd = sight.crowd(2)
    hit = {number for group in groups for number in crowd.inside(group)}
    column = crowd.rows.column("address")
    inside, asked = Counter(column[number] for number in hit), Counter(column)
    return {address for address, count in inside.items() if count >= EXPLAINED * asked[address]}


def _merged(one: Finding, other: Finding) -> Finding:
    """Two detectors say the same: the surer one speaks, with the evidence of both."""
    first, second = (one, other) if one.score >= other.score else (other, one)
    names = dict.fromkeys((*first.detector.split(" and "), *second.detector.split(" and ")))
    return msgspec.structs.replace(
        first,
        detector=" and ".join(names),
        evidence=(*first.evidence, *second.evidence)[:8],
        ignore_query=first.ignore_query or second.ignore_query,
        needs_baseline=first.needs_baseline and second.needs_baseline,
    )


def _at_layer(scope: Scope, rung: int) -> int:
    """Drop below Envoy only what is named by an address alone."""
    return rung if scope.is_by_network and not scope.route else min(rung, 5)


def _question(
    sight: Sight,
    finding: Finding,
    what: tuple[Scope, int],
    standing: Standing,
    twins: tuple[Finding, ...],
    relapses: int,
) -> Question:
    scope, rung = what
    return Question(
        finding=finding,
        scope=scope,
        rung=rung,
        action=LADDER[rung].name,
        expires=Instant(sight.at + ladder.ttl(rung, relapses)),
        sight=sight,
        standing=standing,
        twins=twins,
    )


def _ask(question: Question, said: dict[str, GuardResult]) -> Answer | None:
    """Ask guard after guard; stop at the first that objects. What one has objected to stays written."""
    for guard in GUARDS:
        answer = guard.check(question)
        before = said.get(guard.id)
        if answer.outcome != "pass" or before is None or before.outcome == "pass":
            said[guard.id] = GuardResult(guard=guard.id, title=guard.title, outcome=answer.outcome, said=answer.said)
        if answer.outcome != "pass":
            return answer
    return None


def _proposal(question: Question, results: tuple[GuardResult, ...]) -> Proposal:
    finding, sight = question.finding, question.sight
    impact = question.impact
    normal = sight.baseline.normal("requests", "route", question.scope.route, sight.at)
    return Proposal(
        finding=finding,
        scope=question.scope,
        rung=question.rung,
        action=ladder.action(
            question.rung,
            allowed=finding.allowed,
            per_client=finding.per_client,
            ignore_query=finding.ignore_query,
        ),
        expected=Expected(
            attack_rps=finding.excess,
            coverage=finding.coverage,
            impact=impact,
            benign_rps=impact * normal.mean,
        ),
        guards=results,
    )
