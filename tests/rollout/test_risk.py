"""The class of a whole change."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seawall.rollout.change import Difference
from seawall.rollout.risk import RISKS, sum_up


def difference(risk: Any) -> Difference:
    return Difference(subject="route", action="changed", name="a", detail="", risk=risk, why=f"because of {risk}")


DIFFERENCES = st.lists(st.sampled_from(RISKS).map(difference), max_size=8)


@given(DIFFERENCES, DIFFERENCES)
def test_more_differences_are_never_less_risky(some: list[Difference], more: list[Difference]) -> None:
    assert RISKS.index(sum_up([*some, *more])[0]) >= RISKS.index(sum_up(some)[0])


@given(DIFFERENCES, st.randoms())
def test_the_order_of_differences_does_not_matter(some: list[Difference], random: Any) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)

    assert sum_up(shuffled) == sum_up(some)


def test_only_the_reasons_of_its_class_are_told_each_once() -> None:
    risk, why = sum_up([difference("R1"), difference("R2"), difference("R2")])

    assert (risk, why) == ("R2", ("because of R2 (2 times)",))


def test_nothing_is_r0_and_says_so() -> None:
    assert sum_up([]) == ("R0", ("Nothing changes.",))
