"""What Envoy's engine takes and refuses."""

import pytest

from seawall.gateway.regex import flaw


@pytest.mark.parametrize("pattern", ["/a.*", "[a-z]{1,1000}", "(?i)x", ""])
def test_what_re2_takes_is_fine(pattern: str) -> None:
    assert flaw(pattern) == ""


@pytest.mark.parametrize(("pattern", "cause"), [("/x(?=a)", "(?="), ("(a", "missing )"), (r"(a)\1", "\\1")])
def test_what_re2_refuses_is_explained(pattern: str, cause: str) -> None:
    assert cause in flaw(pattern)


def test_what_costs_too_much_is_no_expression_either() -> None:
    assert flaw(r"/[\pL\pN]{300}").endswith("instructions, and 10000 are allowed")
