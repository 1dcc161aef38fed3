"""Evidence: how surely one arm fails more often than another, whoever looks how often.

Pure. Two arms count failures among requests. Under the null the candidate's rate is at most `tolerance` times the
control's; a bet against the null is an e-process: it starts at 1, never grows in expectation while the null holds, so that

    P(it ever reaches 1/α) ≤ α             Ville 1939; Ramdas et al., "Game-theoretic statistics and safe anytime-valid
                                           inference", 2023

whatever the number of looks and whoever decides, by looking, when to stop. The bet on a rate ratio ρ: of the failures of
one look a share θ = ρ·n₁ / (ρ·n₁ + n₀) falls on the candidate, which served n₁ of the requests, the control n₀; θ₀ is the
same at the tolerance. k failures here and m there multiply the bet by (θ/θ₀)^k · ((1-θ)/(1-θ₀))^m.

*Why it is valid.* n₁ and n₀ are given before the failures are. Where failures are Poisson with rates λ₁ and λ₀, the factor's
expectation is exp(λ₁·n₁·(θ/θ₀ - 1) + λ₀·n₀·((1-θ)/(1-θ₀) - 1)): exactly 1 where λ₁ = tolerance · λ₀, below 1 where λ₁ is
less, for any λ, which may change from look to look. Binomial failures have the smaller moment generating function, so they
are covered too, without the approximation "given the total". Products of such factors over looks stay valid while the arms
change size, which a Beta posterior over θ does not: its θ means another ratio at each size. So the unknown is ρ, not θ.

*Why it is strong.* Nobody knows ρ, so the stake is spread (Robbins 1970: a mixture is an e-process again): evenly over the
θ that equal arms would show, from θ₀ to 1: the truncated Beta(1,1) mixture, as 32 bets. A reserve is kept in cash and is
put on the table bit by bit, so that a fault that wakes late does not have to earn back what quiet hours have cost.

Sums of logarithms; counts may be fractions (divided by a dispersion) and as large as they like.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from math import exp, fsum, inf, isfinite, log, log1p
from statistics import NormalDist

import msgspec

from seawall.kit.errors import InvariantError

BETS = 32
DRIP = 1 / 200
"""Part of the reserve that joins the bets after each look that had a failure."""
CERTAIN = 1e12
"""Enough is enough: larger e-values are shown as this."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One e-process. `bets` are the logarithms of what each bet is worth, `reserve` is the part that is still in cash."""

    tolerance: float
    reserve: float
    bets: tuple[float, ...]

    @property
    def log(self) -> float:
        """The logarithm of the e-value: of all that the bets and the cash are worth."""
        return log_sum((*self.bets, log(self.reserve) if self.reserve else -inf))

    def after(self, failed: float, served: float, control_failed: float, control_served: float) -> "Evidence":
        """Take in one look. Without failures, or without requests in both arms, nothing is learned."""
        _refuse_nonsense(failed, served, control_failed, control_served)
        total = failed + control_failed
        if not total or not served or not control_served:
            return self
        tolerated = log(control_served + self.tolerance * served)
        bets = tuple(
            bet + failed * gain + total * (tolerated - log(control_served + ratio * served))
            for bet, (ratio, gain) in zip(self.bets, _ratios(self.tolerance), strict=True)
        )
        return msgspec.structs.replace(self, bets=bets).invested(DRIP)

    def invested(self, part: float) -> "Evidence":
        """Move a part of the reserve to the bets. It is worth the same afterwards, so any look may decide it."""
        if not self.reserve:
            return self
        stake = log(self.reserve * part / BETS)
        bets = tuple(_log_add(bet, stake) for bet in self.bets)
        return msgspec.structs.replace(self, bets=bets, reserve=self.reserve * (1 - part))


def begin(tolerance: float, reserve: float = 0.0) -> Evidence:
    """Start at 1, with this part kept in cash for later."""
    if not (isfinite(tolerance) and tolerance > 0 and 0 <= reserve < 1):
        raise InvariantError(f"tolerance {tolerance} and reserve {reserve} make no bet.")
    return Evidence(tolerance=tolerance, reserve=reserve, bets=(log((1 - reserve) / BETS),) * BETS)


def average(weighed: Iterable[tuple[float, Evidence]]) -> float:
    """Merge into one e-process, as a logarithm: valid however the metrics depend on each other. Weights sum up to 1.

    Vovk and Wang, "E-values: calibration, combination and applications", 2021: the mean is the only merger that is valid
    under any dependence and not beaten by another.
    """
    return log_sum([log(weight) + evidence.log for weight, evidence in weighed])


def e_value(logarithm: float) -> float:
    """Show a logarithm as an e-value that every format can carry."""
    return exp(min(logarithm, log(CERTAIN)))


def learn_dispersion(looks: Sequence[tuple[float, float, float, float]]) -> float:
    """Say by what real failures exceed the variance of independent ones, from looks at two arms of the same version.

    Each look is `(failed, served, control_failed, control_served)`. Pearson's statistic over its degrees of freedom, on
    single looks and on blocks of 2, 4, 8, … of them, as long as there are 32: a burst may be longer than a look. The
    largest counts.
    """
    found, blocks = 1.0, list(looks)
    for each in blocks:
        _refuse_nonsense(*each)
    while len(blocks) >= 32:
        found = max(found, _pearson(blocks))
        pairs = zip(islice(blocks, 0, None, 2), islice(blocks, 1, None, 2), strict=False)
        blocks = [(a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]) for a, b in pairs]
    return found


def signed_rank(differences: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test: the chance of ranks so high if the differences had their centre at zero or below.

    Exact up to 30 differences, with the normal approximation beyond. Not for peeking: ask at few, fixed moments.
    """
    sizes = sorted(abs(each) for each in differences if each)
    if not sizes:
        return 1.0
    ranks = _midranks(sizes)
    reached = round(sum(2 * ranks[abs(each)] for each in differences if each > 0))
    doubled = [round(2 * ranks[size]) for size in sizes]
    if len(sizes) > 30:
        spread = sum(rank * rank for rank in doubled) ** 0.5 / 2
        return 1 - NormalDist().cdf((reached - 0.5 - sum(doubled) / 2) / spread)
    ways = [1] + [0] * sum(doubled)
    for rank in doubled:
        ways = [many + (ways[total - rank] if total >= rank else 0) for total, many in enumerate(ways)]
    return sum(ways[reached:]) / sum(ways)


def log_sum(logarithms: Sequence[float]) -> float:
    """Add numbers of which only the logarithms can be held."""
    highest = max(logarithms)
    return highest + log(fsum(exp(each - highest) for each in logarithms)) if highest > -inf else -inf


@lru_cache(maxsize=16)
def _ratios(tolerance: float) -> tuple[tuple[float, float], ...]:
    """Rate ratios whose θ, in equal arms, are the middles of equal steps from θ₀ to 1; and log(ratio / tolerance)."""
    lowest = tolerance / (1 + tolerance)
    shares = (lowest + (1 - lowest) * (step + 0.5) / BETS for step in range(BETS))
    return tuple((share / (1 - share), log(share / (1 - share) / tolerance)) for share in shares)


def _log_add(one: float, other: float) -> float:
    return one + log1p(exp(other - one)) if one >= other else other + log1p(exp(one - other))


def _pearson(looks: Sequence[tuple[float, float, float, float]]) -> float:
    """Squared distances from the expected split, over the binomial variance of it."""
    seen = expected = 0.0
    for failed, served, control_failed, control_served in looks:
        total, requests = failed + control_failed, served + control_served
        if total and requests:
            share = served / requests
            seen += (failed - total * share) ** 2
            expected += total * share * (1 - share)
    return seen / expected if expected else 1.0


def _midranks(sizes: Sequence[float]) -> dict[float, float]:
    """Ranks from 1; equal sizes share the middle of theirs."""
    places: dict[float, list[int]] = {}
    for place, size in enumerate(sizes, start=1):
        places.setdefault(size, []).append(place)
    return {size: sum(each) / len(each) for size, each in places.items()}


def _refuse_nonsense(*counts: float) -> None:
    if not all(isfinite(count) and count >= 0 for count in counts):
        raise InvariantError(f"counts are finite and not negative: {counts}. Whoever counts must sort such out.")
