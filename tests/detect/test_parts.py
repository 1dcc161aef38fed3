"""What of a page a request asks for."""

import pytest

from seawall.detect.parts import fetch_of


@pytest.mark.parametrize(
    ("said", "path", "kind"),
    [
        ("document", "/app.js", "document"),
        ("", "/static/app.JS", "script"),
        ("", "/logo.png", "image"),
        ("", "/list", ""),
        ("", "/v1.2/list", ""),
        ("", "", ""),
        ("x" * 1000, "/", "x" * 32),
    ],
)
def test_a_part_is_what_the_client_says_or_what_its_path_looks_like(said: str, path: str, kind: str) -> None:
    assert fetch_of(said, path) == kind
