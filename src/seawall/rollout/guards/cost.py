"""G6: what a change costs its consumers. Pure."""

from seawall.gateway.regex import MOST_PROGRAM
from seawall.gateway.resources.perimeter import bytes_of
from seawall.rollout.guards.question import Guard, Objection, Question, Size, blamed, listed
from seawall.xds.resource import TypeUrl

FULL = 0.8
"""Of a limit; beyond it there is no room for the next change."""
FEW_RESOURCES, FEW_BYTES = 100, 1 << 20
"""Below these, growth is how a perimeter begins, not a runaway file."""


def check(question: Question) -> Objection | None:
    """Refuse what does not fit or cannot be matched in linear time; hold what grows by leaps."""
    return _too_big(question) or _patterns(question) or _growth(question)


def _too_big(question: Question) -> Objection | None:
    limit = bytes_of(question.spec.guards.size_limit)
    for type_url, size in question.facts.after.items():
        before = question.facts.before.get(type_url, Size())
        # What is too big already may shrink.
        if size.bytes > FULL * limit and size.bytes > before.bytes:
            message = f"All {_short(type_url)} resources together are {_mib(size.bytes)} of {_mib(limit)} allowed."
            remedy = "Remove what nobody uses, or raise guards.sizeLimit in the Perimeter if the edges can take it."
            return Objection(verdict="refuse", message=message, remedy=remedy)
    return None


def _patterns(question: Question) -> Objection | None:
    bad = [one for one in question.facts.patterns if not 0 <= one.size <= MOST_PROGRAM]
    if not bad:
        return None
    worst = max(bad, key=lambda one: (one.size < 0, one.size))
    cost = "is not one that RE2 takes" if worst.size < 0 else f"needs {worst.size} instructions of {MOST_PROGRAM}"
    return Objection(
        verdict="refuse",
        message=f"The expression {worst.pattern[:80]!r} in {worst.place}{blamed(worst.origins)} {cost}.",
        remedy="Match with a prefix or an exact path, or with fewer counted repetitions.",
    )


def _growth(question: Question) -> Objection | None:
    factor = question.spec.guards.growth
    grown = []
    for type_url, size in question.facts.after.items():
        before = question.facts.before.get(type_url, Size())
        many = size.resources >= FEW_RESOURCES and size.resources > factor * before.resources > 0
        large = size.bytes >= FEW_BYTES and size.bytes > factor * before.bytes > 0
        if many or large:
            change = f"{before.resources} → {size.resources}, {_mib(before.bytes)} → {_mib(size.bytes)}"
            grown.append(f"{_short(type_url)} ({change})")
    if not grown:
        return None
    return Objection(
        verdict="hold",
        message=f"The change makes the configuration grow by more than {factor:g} times: {listed(tuple(grown))}.",
        remedy="If so much is meant, promote it; else look for a generator that ran twice.",
    )


def _short(type_url: TypeUrl) -> str:
    return type_url.rsplit(".", 1)[-1]


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


GUARD = Guard(
    id="G6",
    title="cost budgets",
    rule="A type that grows over 1.5 times holds; over 0.8 of the size limit, or an expression without linear time, refuses.",
    where="`gateway.regex` takes only RE2; the sandbox measures CPU per request",
    outage="Cloudflare 18 Nov 2025: a feature file doubled and met a hard limit. Cloudflare 2019: one regular expression.",
    check=check,
)
