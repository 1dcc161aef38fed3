"""The chain is a constant."""

from seawall.envoy import filters
from seawall.envoy.proto import as_json, message
from seawall.gateway.graph import NativeFilter, ObjectKey


def test_the_order_is_the_documented_one() -> None:
    assert filters.CHAIN == (
        "seawall.rescope",
        "seawall.verdicts.keys",
        "seawall.verdicts.lasting",
        "seawall.verdicts.fresh",
        "seawall.choose",
        "seawall.act",
        "seawall.guard",
        "seawall.cors",
        "seawall.authn",
        "seawall.authz",
        "seawall.policy",
        "envoy.filters.http.router",
    )
    assert filters.GUARD == ("client-limit",)
    assert filters.POLICY == ("quota", "traffic")


def test_reserved_places_are_empty() -> None:
    chain = {f["name"]: f["typed_config"]["value"] for f in filters.http_filters("table") if "typed_config" in f}

    assert chain[filters.GUARD_PLACE] == chain[filters.POLICY_PLACE] == b""


def test_verdicts_come_from_the_agent_and_nobody_waits_for_them() -> None:
    chain = {f["name"]: f["config_discovery"] for f in filters.http_filters("table") if "config_discovery" in f}

    assert set(chain) == set(filters.VERDICTS)
    assert all(one["apply_default_config_without_warming"] for one in chain.values())
    assert all(one["default_config"]["value"] == b"" for one in chain.values())


def test_the_scope_is_named_over_whatever_a_client_sends_under_that_name() -> None:
    (extension,) = filters.early_mutations("table")
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    config = as_json(message(kind).FromString(extension["typed_config"]["value"]))

    *strips, name = config["mutations"]
    assert [strip["remove"] for strip in strips] == list(filters.OWN_HEADERS)
    assert name["append"]["header"] == {"key": "x-seawall-scope", "value": "table|%REQ(:AUTHORITY)%"}
    assert name["append"]["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_native_filters_stand_between_policy_and_router() -> None:
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    origin = ObjectKey("HTTPFilterPolicy/a/b")
    native = [NativeFilter(name=name, type_url=kind, config=b"{}", origin=origin) for name in ("one", "two")]

    names = [one["name"] for one in filters.http_filters("table", native)]

    assert names == [*filters.CHAIN[:-1], "one", "two", filters.ROUTER]
