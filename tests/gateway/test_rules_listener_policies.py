"""Rules for ListenerPolicy: each fires when it should, at its place."""

from typing import Any

import pytest

from tests.gateway.test_rules_own import TARGET, spoken

FILE = {"type": "File", "path": "/var/log/requests.log"}
REF = {"name": "collector", "port": 4317}


def _log(*sinks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"accessLog": {"sinks": list(sinks), **more}}


def test_a_policy_that_says_everything_is_taken() -> None:
    spec = {
        "targetRefs": [TARGET],
        "tls": {"minVersion": "1.2", "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"], "curves": ["X25519"], "alpn": ["h2"]},
        "clientCertificates": {"mode": "Optional", "crl": {"name": "crl"}},
        "http3": {"advertisedPort": 443, "maxAge": "1h"},
        "proxyProtocol": {"versions": ["v2"], "optional": True},
        "clientAddress": {"trustedProxies": ["10.0.0.0/8", "2001:db8::/32"]},
        "limits": {"maxHeaders": 50, "headerKiB": 16, "requestTimeout": "0s", "maxConnections": 1000},
        "earlyHeaders": {"set": [{"name": "X-Env", "value": "prod"}], "remove": ["X-Debug"]},
        "ja4Header": "X-JA4",
        "serverHeader": {"mode": "Overwrite", "value": "edge"},
        "path": {"escapedSlashes": "Reject", "underscores": "Drop"},
        "tracing": {"backendRef": REF, "samplingPercent": 0.5},
        **_log(FILE, {"type": "Stdout"}, {"type": "OTLP", "backendRef": REF}, fields=["time", "path"]),
    }

    assert spoken("ListenerPolicy", spec) == []


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"targetRefs": [TARGET, TARGET]}, "targetRefs[1]", "twice"),
        ({"tls": {"minVersion": "1.4"}}, "tls.minVersion", "1.0, 1.1, 1.2, 1.3"),
        ({"tls": {"minVersion": "1.3", "maxVersion": "1.2"}}, "tls.minVersion", "above the highest"),
        ({"tls": {"minVersion": "1.3", "ciphers": ["AES128-SHA"]}}, "tls.ciphers", "TLS 1.3 has its own"),
        ({"tls": {"ciphers": ["RC4-MD5"]}}, "tls.ciphers[0]", "RC4-MD5"),
        ({"tls": {"ciphers": ["AES128-SHA", "AES128-SHA"]}}, "tls.ciphers[1]", "second time"),
        ({"tls": {"curves": ["P-224"]}}, "tls.curves[0]", "P-224"),
        ({"tls": {"curves": ["P-256", "P-256"]}}, "tls.curves[1]", "second time"),
        ({"tls": {"alpn": []}}, "tls.alpn", "empty"),
        ({"tls": {"alpn": ["h2", "h2"]}}, "tls.alpn[1]", "second time"),
        ({"clientCertificates": {"mode": "Maybe"}}, "clientCertificates.mode", "Maybe"),
        ({"http3": {"maxAge": "0s"}}, "http3.maxAge", "not between 1s"),
        ({"http3": {"advertisedPort": 0}}, "http3.advertisedPort", "65535"),
        ({"proxyProtocol": {"versions": ["v1", "v1"]}}, "proxyProtocol.versions[1]", "second time"),
        ({"clientAddress": {"trustedHops": 33}}, "clientAddress.trustedHops", "32"),
        ({"clientAddress": {"trustedProxies": ["10.0.0.1/8"]}}, "clientAddress.trustedProxies[0]", "host bits"),
        ({"clientAddress": {"trustedProxies": ["0.0.0.0/0"]}}, "clientAddress.trustedProxies[0]", "everybody"),
        (
            {"clientAddress": {"trustedHops": 1, "trustedProxies": ["10.0.0.0/8"]}},
            "clientAddress.trustedHops",
            "two ways",
        ),
        ({"limits": {"maxHeaders": 0}}, "limits.maxHeaders", "1000"),
        ({"limits": {"headerKiB": 8193}}, "limits.headerKiB", "8192"),
        ({"limits": {"concurrentStreams": 0}}, "limits.concurrentStreams", "10000"),
        ({"limits": {"maxConnections": 0}}, "limits.maxConnections", "10000000"),
        ({"limits": {"maxRequestsPerConnection": 0}}, "limits.maxRequestsPerConnection", "10000000"),
        ({"limits": {"headerTimeout": "25h"}}, "limits.headerTimeout", "not between 100ms and 24h"),
        ({"limits": {"requestTimeout": "1ms"}}, "limits.requestTimeout", "not between 100ms"),
        ({"limits": {"streamIdleTimeout": "10"}}, "limits.streamIdleTimeout", "duration"),
        ({"earlyHeaders": {"remove": ["Host"]}}, "earlyHeaders.remove[0]", "frames the request"),
        ({"earlyHeaders": {"set": [{"name": "x-seawall-scope", "value": "a"}]}}, "earlyHeaders.set[0].name", "own"),
        (
            {"earlyHeaders": {"set": [{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]}},
            "earlyHeaders.set[1].name",
            "second time",
        ),
        ({"ja4Header": "Content-Length"}, "ja4Header", "frames the request"),
        ({"serverHeader": {"mode": "Overwrite"}}, "serverHeader", "needs a value"),
        ({"serverHeader": {"value": "edge"}}, "serverHeader", "no value of ours"),
        ({"path": {"escapedSlashes": "Ignore"}}, "path.escapedSlashes", "Redirect"),
        (_log(), "accessLog.sinks", "empty"),
        (_log({"type": "File"}), "accessLog.sinks[0]", "needs a path"),
        (_log({"type": "Stdout", "path": "/a"}), "accessLog.sinks[0]", "has no path"),
        (_log({"type": "OTLP"}), "accessLog.sinks[0]", "needs a backendRef"),
        (_log({"type": "File", "path": "log"}), "accessLog.sinks[0].path", "text that fits"),
        (_log({"type": "File", "path": "/a/../b"}), "accessLog.sinks[0].path", "goes up"),
        (_log(FILE, FILE), "accessLog.sinks[1]", "second time"),
        (_log(FILE, fields=["time", "time"]), "accessLog.fields[1]", "second time"),
        (_log(FILE, fields=["cookie"]), "accessLog.fields[0]", "cookie"),
        ({"tracing": {"backendRef": {**REF, "namespace": "other"}}}, "tracing.backendRef.namespace", "namespace"),
        ({"tracing": {"backendRef": REF, "samplingPercent": 101}}, "tracing.samplingPercent", "100"),
        (
            _log({"type": "OTLP", "backendRef": {**REF, "namespace": "other"}}),
            "accessLog.sinks[0].backendRef.namespace",
            "namespace",
        ),
    ],
)
def test_what_a_listener_policy_must_not_say(fields: dict[str, Any], path: str, words: str) -> None:
    found = spoken("ListenerPolicy", {"targetRefs": [TARGET], **fields})

    assert [where for where, _ in found] == [path]
    assert words in found[0][1]
