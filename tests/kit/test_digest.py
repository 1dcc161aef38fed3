"""The same content, the same name."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.kit.digest import digest


def test_parts_cannot_run_together() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc") != digest(b"abc")


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_a_digest_is_a_function_of_its_parts(parts: list[bytes]) -> None:
    assert digest(*parts) == digest(*parts)
    assert len(digest(*parts)) == 32
