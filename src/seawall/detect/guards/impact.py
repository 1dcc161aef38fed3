"""P1: what a verdict would have cost in normal times, by replay on stored requests. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed
from seawall.detect.ladder import LADDER

PROVISIONAL_RUNG = 3
"""While a baseline is provisional: a challenge at most, which is a limit until challenges are built."""


def check(question: Question) -> Answer:
    """Cap the rung to what the share of normal requests in the scope allows."""
    sight, route = question.sight, question.scope.route
    sample = sight.baseline.sample(route, sight.at)
    if question.finding.needs_baseline and question.rung > PROVISIONAL_RUNG:
        learned = sight.baseline.normal("requests", "route", route, sight.at).learned
        if learned < question.settings.cold_start or not sample.is_enough:
            said = f"the baseline is provisional ({learned:.0f} of {question.settings.cold_start:.0f} s): no deny yet"
            return capped(PROVISIONAL_RUNG, said)
    impact = question.impact
    if impact <= LADDER[question.rung].impact:
        return passed(f"of {len(sample)} normal requests it would touch {impact:.2%}")
    fits = max(rung.number for rung in LADDER[: question.rung] if impact <= rung.impact and rung.number != 0)
    limit = LADDER[question.rung].impact
    return capped(fits, f"of {len(sample)} normal requests it would touch {impact:.2%}, more than {limit:.2%}")


GUARD = Guard(
    id="P1",
    title="impact",
    rule="Replayed on stored normal requests of this hour, a verdict touches no more than its rung allows.",
    where="`detect.signature` drops costly candidates before",
    check=check,
)
