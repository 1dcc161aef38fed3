"""Errors say where and what to do."""

import pytest

from seawall.kit.errors import ConfigError, InvariantError, SeawallError, UnavailableError
from seawall.kit.place import Place
from seawall.kit.units import Seconds


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (None, "No port. Give one."),
        (Place(file="a.yaml"), "a.yaml: No port. Give one."),
        (Place(file="a.yaml", line=3), "a.yaml:3: No port. Give one."),
        (Place(file="a.yaml", line=3, column=7), "a.yaml:3:7: No port. Give one."),
    ],
)
def test_a_mistake_names_its_place_and_its_remedy(place: Place | None, shown: str) -> None:
    assert str(ConfigError("No port.", place=place, hint="Give one.")) == shown


def test_what_may_succeed_later_says_when() -> None:
    assert UnavailableError("The control plane is away.", retry_after=Seconds(2)).retry_after == Seconds(2)


def test_every_error_of_ours_is_caught_at_one_border() -> None:
    assert all(issubclass(kind, SeawallError) for kind in (ConfigError, UnavailableError, InvariantError))
