"""Mistakes: each with its place, in the operator's terms, with a remedy."""

from typing import Any

import msgspec
import pytest

from seawall.gateway.mistakes import child, closest, from_conversion, mistakes
from seawall.gateway.resources.core import ServiceSpec
from seawall.gateway.resources.gateways import GatewaySpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.rules.rule import Findings


def found(shape: type, data: Any) -> tuple[str, str, str]:
    findings: Findings = mistakes(data, shape, "$.spec")
    assert len(findings) == 1, findings
    return findings[0].path, findings[0].message, findings[0].hint


@pytest.mark.parametrize(
    ("spec", "path", "message", "hint"),
    [
        ({"hostname": "a"}, "$.spec.hostname", "The field 'hostname' is unknown.", "Did you mean 'hostnames'?"),
        ({"Rules": []}, "$.spec.Rules", "The field 'Rules' is unknown.", "Did you mean 'rules'?"),
        ({"zzz": 1}, "$.spec.zzz", "The field 'zzz' is unknown.", "free fields here: parentRefs"),
        ({"hostnames": "a"}, "$.spec.hostnames", "It must be a list, not the text 'a'.", "as a list"),
        ({"hostnames": [8080]}, "$.spec.hostnames[0]", "It must be text, not the number 8080.", "quotes"),
        ({"hostnames": [True]}, "$.spec.hostnames[0]", "It must be text, not the value True.", "yes, no, on, off"),
        ({"hostnames": [None]}, "$.spec.hostnames[0]", "The element is empty (null).", "remove"),
        ({"hostnames": [{}]}, "$.spec.hostnames[0]", "It must be text, not a mapping.", ""),
        ({"hostnames": ["A.b"]}, "$.spec.hostnames[0]", "'A.b' is not a host name", "lower case: 'a.b'"),
        ({"hostnames": ["a.b\n"]}, "$.spec.hostnames[0]", r"'a.b\n' is not a host name", "line breaks"),
        ({"hostnames": ["a_b"]}, "$.spec.hostnames[0]", "'a_b' is not a host name", "Correct it."),
        ({"hostnames": ["a" * 254]}, "$.spec.hostnames[0]", "It has 254 characters; at most 253", "Shorten"),
        ({"hostnames": ["a"] * 17}, "$.spec.hostnames", "It has 17 elements; at most 16", "split"),
        ({"rules": []}, "$.spec.rules", "It must not be empty.", "Fill it in"),
        ({"rules": [[]]}, "$.spec.rules[0]", "It must be a mapping, not a list.", ""),
        ({"parentRefs": [{}]}, "$.spec.parentRefs[0]", "The required field 'name' is missing.", "Add name."),
        (
            {"parentRefs": [{"name": "a", "port": "80"}]},
            "$.spec.parentRefs[0].port",
            "whole number",
            "Remove the quotes.",
        ),
        ({"parentRefs": [{"name": "a", "port": 8.5}]}, "$.spec.parentRefs[0].port", "not the number 8.5", ""),
        ({"parentRefs": [{"name": "a", "port": True}]}, "$.spec.parentRefs[0].port", "not the value True", ""),
        (
            {"parentRefs": [{"name": "a", "port": 0}]},
            "$.spec.parentRefs[0].port",
            "0 is not between 1 and 65535.",
            "between",
        ),
        ({"rules": [{"retry": {"attempts": 0}}]}, "$.spec.rules[0].retry.attempts", "0 is not between 1", ""),
        (
            {"rules": [{"filters": [{}]}]},
            "$.spec.rules[0].filters[0]",
            "'type' is missing",
            "one of CORS",
        ),
        (
            {"rules": [{"matches": [{"method": "get"}]}]},
            "$.spec.rules[0].matches[0].method",
            "'get' is none of",
            "Did you mean 'GET'?",
        ),
        ({"rules": [{"matches": [{"method": 1}]}]}, "$.spec.rules[0].matches[0].method", "1 is none of", "Use one of"),
        (
            {"rules": [{"timeouts": {"request": "1.5s"}}]},
            "$.spec.rules[0].timeouts.request",
            "'1.5s' is not a duration",
            "whole numbers with the units",
        ),
        (
            {"rules": [{"filters": [{"type": "CORS", "cors": {"allowCredentials": "yes"}}]}]},
            "$.spec.rules[0].filters[0].cors.allowCredentials",
            "It must be true or false, not the text 'yes'.",
            "",
        ),
        (7, "$.spec", "It must be a mapping, not the number 7.", ""),
    ],
)
def test_mistake_has_place_cause_and_remedy(spec: Any, path: str, message: str, hint: str) -> None:
    actual = found(HTTPRouteSpec, spec)

    assert actual[0] == path
    assert message in actual[1]
    assert hint in actual[2]


def test_missing_fields_say_what_they_hold() -> None:
    findings = mistakes({"tls": {"frontend": {}}}, GatewaySpec, "$.spec")

    assert {finding.hint for finding in findings} == {
        "Add gatewayClassName.",
        "Add listeners: a list.",
        "Add default: a mapping.",
    }


def test_mappings_are_checked_inside() -> None:
    path, message, _ = found(ServiceSpec, {"selector": {"a/b": 1}, "ports": [{"port": 1}]})

    assert path == '$.spec.selector["a/b"]'
    assert "text" in message
    assert found(ServiceSpec, {"selector": []})[1] == "It must be a mapping, not a list."


def test_mappings_have_a_size() -> None:
    listener = {"name": "a", "port": 1, "protocol": "TLS", "tls": {"options": {str(n): "" for n in range(17)}}}

    _, message, _ = found(GatewaySpec, {"gatewayClassName": "a", "listeners": [listener]})

    assert message == "It has 17 entries; at most 16 are allowed."


@pytest.mark.parametrize(("target", "message"), [("", "not be empty"), (0, "not between"), ([], "whole number")])
def test_of_several_types_the_one_that_was_meant_is_explained(target: Any, message: str) -> None:
    assert message in found(ServiceSpec, {"ports": [{"port": 1, "targetPort": target}]})[1]


def test_what_fits_has_no_mistakes() -> None:
    assert mistakes({"ports": [{"port": 1.0, "targetPort": "a"}]}, ServiceSpec, "$.spec") == []


def test_secret_values_are_not_shown() -> None:
    findings = mistakes(
        {"hostnames": ["hunter2_", 12345], "useDefaultGateways": "hunter2"}, HTTPRouteSpec, "$", is_secret=True
    )

    assert len(findings) == 3
    assert "hunter2" not in repr(findings)
    assert "12345" not in repr(findings)


def test_noise_is_bounded() -> None:
    assert len(mistakes({"hostnames": ["_"] * 1000}, HTTPRouteSpec, "$")) <= 51


def test_paths_quote_what_is_no_plain_key() -> None:
    assert child("$.data", "tls.crt") == '$.data["tls.crt"]'
    assert child("$", "a-b_C1") == "$.a-b_C1"


def test_closest_is_empty_when_nothing_is_near() -> None:
    assert closest("qqq", ["rules"]) == ""


def test_conversions_words_are_the_last_resort() -> None:
    assert from_conversion(msgspec.ValidationError("Object is odd"), "$").message == "Object is odd."
