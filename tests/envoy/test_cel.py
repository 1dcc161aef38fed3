"""CEL: trees that Envoy reads; that it understands them `test_verdicts` shows."""

from seawall.envoy import cel
from seawall.envoy.proto import as_json, decode


def test_a_predicate_has_numbered_nodes() -> None:
    built = cel.predicate(cel.call("_<_", cel.name("request.time"), cel.call("timestamp", cel.text("x"))))

    config = built["single_predicate"]["custom_match"]["typed_config"]
    shown = as_json(decode("xds.type.matcher.v3.CelMatcher", config["value"]))
    root = shown["expr_match"]["cel_expr_parsed"]["expr"]
    assert root["call_expr"]["function"] == "_<_"
    left, right = root["call_expr"]["args"]
    assert left["select_expr"] == {"operand": {"id": "3", "ident_expr": {"name": "request"}}, "field": "time"}
    assert right["call_expr"]["args"][0]["const_expr"] == {"string_value": "x"}
    assert [root["id"], left["id"], right["id"]] == ["1", "2", "4"]
