"""Streams take turns."""

from contextlib import ExitStack

import pytest

from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds
from seawall.server.admission import Admission


def test_a_few_streams_begin_at_once_and_many_take_turns() -> None:
    admission = Admission(most=100, rate=40, longest_wait=Seconds(10))

    with ExitStack() as stack:
        waits = [stack.enter_context(admission.stream()) for _ in range(50)]

    assert waits[:10] == [0.0] * 10
    assert 0.8 < waits[-1] < 1.3
    assert waits == sorted(waits)


def test_streams_above_the_limit_are_refused_until_one_ends() -> None:
    admission = Admission(most=1, rate=1000, longest_wait=Seconds(10))

    with admission.stream(), pytest.raises(UnavailableError, match="carries 1 streams"), admission.stream():
        pass

    with admission.stream():
        pass


def test_nobody_waits_longer_than_the_limit() -> None:
    admission = Admission(most=1000, rate=1, longest_wait=Seconds(2))

    with ExitStack() as stack, pytest.raises(UnavailableError, match="too many streams"):
        for _ in range(10):
            stack.enter_context(admission.stream())
