"""Matching: what a request has to be to meet a route, and the sentence about it if it is not."""

import pytest

from seawall.gateway.graph import Hostname, PathEdit, RouteMatch, ValueMatch
from seawall.gateway.matching import (
    best_host,
    describe,
    edited_path,
    has_escaped_slash,
    mismatches,
    normal_host,
    normal_path,
    parse_request,
)
from seawall.kit.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/../a/", "/a/"),
        ("\\a\\b", "/a/b"),
    ],
)
def test_paths_are_normalised(path: str, expected: str) -> None:
    assert normal_path(path) == expected


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("Shop.Example:8080", "shop.example"),
        ("shop.example.", "shop.example"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_a_host_is_matched_without_port_and_case(authority: str, expected: str) -> None:
    assert normal_host(authority) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.shop.example", "a.shop.example"),
        ("b.shop.example", "*.shop.example"),
        ("x.y.shop.example", "*.shop.example"),
        ("shop.example", "*.example"),
        ("example", "*"),
    ],
)
def test_the_most_exact_hostname_wins(host: str, expected: str) -> None:
    patterns = tuple(Hostname(name) for name in ("*", "*.example", "*.shop.example", "a.shop.example"))

    assert best_host(patterns, Hostname(host)) == expected


def test_no_pattern_for_a_host_is_none() -> None:
    assert best_host((Hostname("*.shop.example"),), Hostname("shop.example")) is None


def _why(match: RouteMatch, url: str = "http://shop.example/a/b?x=1&x=2&y", *headers: str) -> tuple[str, ...]:
    return mismatches(match, parse_request("GET", url, headers))


@pytest.mark.parametrize(
    "match",
    [
        RouteMatch(),
        RouteMatch(path="/a"),
        RouteMatch(path="/a/b"),
        RouteMatch(path_type="Exact", path="/a/b"),
        RouteMatch(path_type="RegularExpression", path="/a/[bc]"),
        RouteMatch(method="GET"),
        RouteMatch(headers=(ValueMatch(name="host-id", value="2"),)),
        RouteMatch(headers=(ValueMatch(name="host-id", type="RegularExpression", value=r"\d"),)),
        RouteMatch(query=(ValueMatch(name="x", value="1"), ValueMatch(name="y", value=""))),
    ],
)
def test_a_request_that_fits_in_all_parts_matches(match: RouteMatch) -> None:
    assert _why(match, "http://shop.example/a/b?x=1&x=2&y", "Host-Id: 1", "Host-Id: 2") == ()


@pytest.mark.parametrize(
    ("match", "why"),
    [
        (RouteMatch(path="/a/bc"), "path /a/b does not begin with /a/bc"),
        (RouteMatch(path_type="Exact", path="/a"), "path /a/b is not /a"),
        (RouteMatch(path_type="RegularExpression", path="/a"), "path /a/b does not match /a"),
        (RouteMatch(path_type="RegularExpression", path="("), "path /a/b does not match ("),
        (RouteMatch(method="POST"), "method GET is not POST"),
        (RouteMatch(headers=(ValueMatch(name="x-beta", value="yes"),)), "header x-beta is missing"),
        (RouteMatch(query=(ValueMatch(name="x", value="2"),)), "query parameter x is '1', which is not '2'"),
        (RouteMatch(query=(ValueMatch(name="z", value="2"),)), "query parameter z is missing"),
        (
            RouteMatch(query=(ValueMatch(name="x", type="RegularExpression", value="[a-z]"),)),
            "query parameter x is '1', which does not match '[a-z]'",
        ),
    ],
)
def test_each_part_that_fails_is_a_sentence(match: RouteMatch, why: str) -> None:
    assert _why(match) == (why,)


def test_all_parts_that_fail_are_told() -> None:
    match = RouteMatch(path="/z", method="POST", headers=(ValueMatch(name="a", value="b"),))

    assert len(_why(match)) == 3


@pytest.mark.parametrize(
    ("kind", "value", "prefix", "path", "expected"),
    [
        ("ReplacePrefixMatch", "/x", "/a", "/a/b", "/x/b"),
        ("ReplacePrefixMatch", "/x/", "/a", "/a/b", "/x/b"),
        ("ReplacePrefixMatch", "/", "/a", "/a/b", "/b"),
        ("ReplacePrefixMatch", "", "/a", "/a", "/"),
        ("ReplacePrefixMatch", "/x", "/a", "/a", "/x"),
        ("ReplacePrefixMatch", "/x", "/", "/b", "/x/b"),
        ("ReplaceFullPath", "/x", "/a", "/a/b", "/x"),
        ("ReplaceFullPath", "", "/a", "/a/b", "/"),
    ],
)
def test_path_edits_replace_whole_elements(kind: str, value: str, prefix: str, path: str, expected: str) -> None:
    edit = PathEdit(type="ReplaceFullPath" if kind == "ReplaceFullPath" else "ReplacePrefixMatch", value=value)

    assert edited_path(edit, RouteMatch(path=prefix), path) == expected


def test_a_request_is_read_as_curl_would() -> None:
    request = parse_request("get", "https://user@shop.example:8443/a?b=c#d", ("Host: Www.Shop.Example", "A:  b "))

    assert request.method == "GET"
    assert (request.host, request.dialled, request.port) == ("www.shop.example", "shop.example", 8443)
    assert (request.sni, request.target) == ("shop.example", "/a?b=c")
    assert request.headers == (("a", "b"),)
    assert request.url == "https://Www.Shop.Example/a?b=c"


def test_an_address_is_no_server_name() -> None:
    assert parse_request("GET", "https://127.0.0.1:8443/").sni is None
    assert parse_request("GET", "https://[::1]:8443/").sni is None
    assert parse_request("GET", "https://127.0.0.1/", sni="Shop.Example").sni == "shop.example"


@pytest.mark.parametrize("url", ["ftp://shop.example", "http://shop.example:port/", "http:///x", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="URL"):
        parse_request("GET", url)


@pytest.mark.parametrize("header", ["no colon", ": no name"])
def test_what_is_no_header_is_refused(header: str) -> None:
    with pytest.raises(ConfigError, match="header"):
        parse_request("GET", "shop.example", (header,))


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="address"):
        parse_request("GET", "shop.example", client="somebody")


def test_a_match_is_described_on_one_line() -> None:
    match = RouteMatch(
        path_type="RegularExpression",
        path="/v[12]",
        method="GET",
        headers=(ValueMatch(name="x-beta", value="yes"),),
        query=(ValueMatch(name="q", type="RegularExpression", value=".+"),),
    )

    assert describe(match) == "GET ~/v[12] header x-beta=yes query q~.+"
    assert describe(RouteMatch(path_type="Exact", path="/a")) == "/a (exact)"


def test_escaped_slashes_are_seen() -> None:
    assert has_escaped_slash("/a%2Fb")
    assert has_escaped_slash("/a%5cb")
    assert not has_escaped_slash("/a%20b")
