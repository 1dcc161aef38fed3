import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.traffic.sketch import EMPTY, SIZE, distinct, merged, sketch

VALUES = st.lists(st.text(max_size=5), max_size=50)


@pytest.mark.parametrize("count", [0, 10, 1_000, 10_000, 200_000])
def test_a_count_is_right_within_a_few_percent(count: int) -> None:
    assert distinct(sketch(map(str, range(count)))) == pytest.approx(count, rel=0.08)


@given(VALUES, VALUES)
def test_merging_is_counting_together_in_any_order(one: list[str], other: list[str]) -> None:
    both = merged(sketch(one), sketch(other))

    assert both == sketch([*other, *one]) == merged(both, sketch(one))
    assert merged(both, EMPTY) == both and len(both) == SIZE
