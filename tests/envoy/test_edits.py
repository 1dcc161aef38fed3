"""Header edits, and the one header that Envoy will not have edited."""

import pytest

from seawall.envoy.edits import header_edits, host_edit
from seawall.gateway.graph import HeaderEdits


def test_what_is_empty_is_left_out() -> None:
    assert header_edits(None, HeaderEdits()) == {}


@pytest.mark.parametrize("name", ["Host", "host", ":authority"])
def test_host_is_no_header_to_edit_but_a_rewrite(name: str) -> None:
    edits = HeaderEdits(set=((name, "inner.example"),), remove=(name,))

    assert header_edits(edits, None) == {}
    assert host_edit(edits) == "inner.example"


def test_response_edits_are_apart_from_request_edits() -> None:
    found = header_edits(HeaderEdits(remove=("a",)), HeaderEdits(remove=("b",)))

    assert found == {"request_headers_to_remove": ["a"], "response_headers_to_remove": ["b"]}
    assert host_edit(None) is None
