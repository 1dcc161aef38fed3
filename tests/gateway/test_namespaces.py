"""Who is let in by namespace."""

import pytest

from seawall.gateway.namespaces import selects
from seawall.gateway.resources.refs import LabelSelector, LabelSelectorRequirement

LABELS = {"team": "x", "kubernetes.io/metadata.name": "shop"}


@pytest.mark.parametrize(
    ("operator", "key", "values", "holds"),
    [
        ("In", "team", ("x", "y"), True),
        ("In", "team", ("y",), False),
        ("NotIn", "team", ("y",), True),
        ("NotIn", "other", ("y",), True),
        ("Exists", "team", (), True),
        ("Exists", "other", (), False),
        ("DoesNotExist", "other", (), True),
        ("Sounds", "team", (), False),
    ],
)
def test_requirements_hold_as_in_kubernetes(operator: str, key: str, values: tuple[str, ...], holds: bool) -> None:
    requirement = LabelSelectorRequirement(key=key, operator=operator, values=values)

    assert selects(LabelSelector(match_expressions=(requirement,)), LABELS) is holds


def test_labels_and_requirements_must_all_hold_and_none_select_all() -> None:
    assert selects(LabelSelector(), LABELS)
    assert selects(LabelSelector(match_labels={"team": "x"}), LABELS)
    assert not selects(LabelSelector(match_labels={"team": "x", "more": "y"}), LABELS)
