"""Configurations of native filters against Envoy's schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.envoy.native import check, typed_config
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import NativeFilter, ObjectKey

PREFIX = "type.googleapis.com/envoy.extensions.filters.http."
FAULT = f"{PREFIX}fault.v3.HTTPFault"
LUA = f"{PREFIX}lua.v3.Lua"


def test_what_envoy_can_read_passes_in_either_spelling_of_its_fields() -> None:
    assert check(LUA, {"defaultSourceCode": {"inlineString": ""}}) is None
    assert check(LUA, {"default_source_code": {"inline_string": ""}}) is None


@pytest.mark.parametrize(
    ("type_url", "config", "path", "hint"),
    [
        (LUA, {"defaultSourceCode": {"inlinestring": ""}}, ".defaultSourceCode.inlinestring", "'inlineString'"),
        (LUA, {"zzz": 1}, ".zzz", "Its fields are"),
        (LUA, {"defaultSourceCode": {"inlineString": 5}}, ".defaultSourceCode.inlineString", "documentation"),
        (FAULT, {"delay": {"fixedDelay": "5"}}, ".delay.fixedDelay", "documentation"),
        (FAULT, {"abort": {"percentage": {"denominator": "TEN"}}}, ".abort.percentage.denominator", "documentation"),
        (FAULT, {"headers": "x"}, ".headers", "documentation"),
        (f"{PREFIX}fualt.v3.HTTPFault", {}, '["@type"]', FAULT.removeprefix("type.googleapis.com/")),
        (f"{PREFIX}zzz.v3.Zzz", {}, '["@type"]', "begin with envoy.extensions.filters.http."),
    ],
)
def test_what_envoy_cannot_read_is_said_with_its_place(
    type_url: str, config: dict[str, Any], path: str, hint: str
) -> None:
    found = check(type_url, config)

    assert found is not None
    assert found.path == path
    assert hint in found.hint
    assert found.message.endswith(".")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["delay", "abort", "fixedDelay", "headers", "@type", "percentage"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["delay", "abort", "headers", "maxActiveFaults", "filterMetadata"]), values))
def test_no_configuration_brings_it_down_and_what_passes_can_be_built(config: dict[str, Any]) -> None:
    assert check(FAULT, config) is None or check(FAULT, config)


def test_a_filter_becomes_envoys_message() -> None:
    native = NativeFilter(
        name="a/b/c",
        type_url=FAULT,
        config=b'{"abort":{"httpStatus":503,"percentage":{"numerator":100}}}',
        origin=ObjectKey("HTTPFilterPolicy/a/b"),
    )

    built = typed_config(native)

    message = decode("envoy.extensions.filters.http.fault.v3.HTTPFault", built["value"])
    assert built["type_url"] == FAULT
    assert as_json(message) == {"abort": {"http_status": 503, "percentage": {"numerator": 100}}}
