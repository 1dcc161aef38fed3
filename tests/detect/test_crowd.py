"""The clients of a window are found by scope, whatever its rarest value is."""

from hypothesis import given
from hypothesis import strategies as st
from tests.detect.world import people, rows

from seawall.detect.crowd import Crowd
from seawall.detect.scope import scope

VALUES = st.sampled_from(("1", "2", "3"))


@given(
    requests=st.lists(st.fixed_dictionaries({"agent": VALUES, "path": VALUES}), max_size=20),
    wanted=st.dictionaries(st.sampled_from(("agent", "path", "route")), VALUES | st.just("shop"), max_size=3),
)
def test_requests_inside_are_those_that_the_scope_holds(requests: list[dict[str, str]], wanted: dict[str, str]) -> None:
    one = scope("", wanted)

    found = Crowd(rows(*requests)).inside(one)

    assert found == [number for number, each in enumerate(requests) if one.holds({"route": "shop", **each})]


def test_clients_are_told_apart_by_address_and_tool() -> None:
    crowd = Crowd(rows(*people(3), *people(3, agent="Firefox/147")))

    assert len(crowd.clients) == 6 and all(crowd.persons)
