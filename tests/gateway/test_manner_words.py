"""What `explain` says of listeners with a policy."""

from typing import Any

from seawall.gateway.explain import explain
from seawall.gateway.matching import parse_request
from tests.gateway.manners import manners
from tests.gateway.world import edge, resolved

ALL: dict[str, Any] = {
    "tls": {"minVersion": "1.3", "maxVersion": "1.3"},
    "clientCertificates": {"mode": "Optional", "crl": {"name": "crl"}},
    "http3": {},
    "proxyProtocol": {},
    "clientAddress": {"trustedHops": 1},
    "limits": {"maxHeaders": 5},
    "earlyHeaders": {"set": [{"name": "a", "value": "1"}], "remove": ["b"]},
    "ja4Header": "x-ja4",
    "serverHeader": {"mode": "Overwrite", "value": "edge"},
    "accessLog": {"sinks": [{"type": "Stdout"}, {"type": "File", "path": "/var/log/a"}]},
    "tracing": {"backendRef": {"name": "collector", "port": 4317}},
}


def test_everything_that_a_policy_says_is_told_and_which_policies_do_not_apply() -> None:
    world = resolved(*edge(), manners("p", section="http", **ALL), manners("q"))

    notes = explain(world.graph, parse_request("GET", "http://a.example/")).notes

    said = "ListenerPolicy/shop/p applies: "
    assert notes == (
        f"{said}TLS 1.3 to 1.3, h2 then http/1.1",
        f"{said}client certificates optional, those on a revocation list refused",
        f"{said}HTTP/3 beside it",
        f"{said}X-Forwarded-For is believed of 1 hops",
        f"{said}limits maxHeaders 5",
        f"{said}request header a is set to '1' first",
        f"{said}request header b is removed first",
        f"{said}request header x-ja4 says how the client speaks TLS",
        f"{said}server header Overwrite edge",
        f"{said}a log line goes to Stdout, /var/log/a",
        f"{said}1 % of requests are traced",
        "ListenerPolicy/shop/p is more specific than ListenerPolicy/shop/q, or older: they do not apply",
        "the port wants a PROXY header that says who the client is",
    )


def test_paths_and_header_names_are_judged_as_the_policy_says() -> None:
    escaped, underscored = (
        parse_request("GET", "http://a.example/a%2fb"),
        parse_request("GET", "http://a.example/", headers=("a_b: 1",)),
    )
    found = []
    for path in ({}, {"escapedSlashes": "Reject"}, {"escapedSlashes": "Keep", "underscores": "Allow"}):
        world = resolved(*edge(), manners("p", path=path))
        found.append([explain(world.graph, one).outcome.status for one in (escaped, underscored)])

    assert found == [[307, 400], [400, 400], [404, 404]]
