"""Where a redirect leads."""

from typing import Any

import pytest

from seawall.envoy.redirect import path_edit, redirect
from seawall.gateway.graph import Hostname, PathEdit, Redirect, RouteMatch


@pytest.mark.parametrize(
    ("action", "hostname", "expected"),
    [
        (Redirect(host="new.example", status=301), "a.example", {"host_redirect": "new.example"}),
        (Redirect(port=8080), "a.example", {"port_redirect": 8080}),
        (Redirect(scheme="https", port=8443), "*", {"scheme_redirect": "https", "port_redirect": 8443}),
        (Redirect(scheme="https"), "a.example", {"scheme_redirect": "https", "host_redirect": "a.example"}),
        (Redirect(scheme="http"), "*.example", {"scheme_redirect": "http", "port_redirect": 80}),
    ],
)
def test_the_port_of_the_request_never_leaks_into_another_scheme(
    action: Redirect, hostname: str, expected: dict[str, Any]
) -> None:
    found = redirect(action, RouteMatch(), Hostname(hostname))

    assert {name: value for name, value in found.items() if name != "response_code"} == expected


def test_a_whole_path_is_replaced_and_the_query_stays() -> None:
    edit = PathEdit(type="ReplaceFullPath", value="/new")

    assert path_edit(edit, RouteMatch(), full="path_redirect") == {"path_redirect": "/new"}
    rewrite = path_edit(edit, RouteMatch(), full="path_rewrite")
    assert rewrite == {"regex_rewrite": {"pattern": {"regex": "^[^?]*"}, "substitution": "/new"}}


def test_a_backslash_in_a_replacement_is_a_backslash() -> None:
    edit = PathEdit(type="ReplaceFullPath", value="/a\\1")

    assert path_edit(edit, RouteMatch(), full="path_rewrite")["regex_rewrite"]["substitution"] == "/a\\\\1"
