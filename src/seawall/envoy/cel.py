"""CEL: expressions as Envoy wants them in matchers: parsed, for it has no parser of its own (`cel_expr_string` is refused).

Pure. Each function makes a node of the tree; `predicate` makes of it what a matcher can ask.
"""

from typing import Any

from seawall.envoy.proto import pack

Node = dict[str, Any]
_MATCHER = "xds.type.matcher.v3.CelMatcher"
_INPUT = "xds.type.matcher.v3.HttpAttributesCelMatchInput"


def text(value: str) -> Node:
    return {"const_expr": {"string_value": value}}


def name(path: str) -> Node:
    """Refer to an attribute: `request.time`."""
    first, *fields = path.split(".")
    node: Node = {"ident_expr": {"name": first}}
    for field in fields:
        node = {"select_expr": {"operand": node, "field": field}}
    return node


def call(function: str, *args: Node) -> Node:
    """Call a function; operators are called `_<_`, `_[_]` and so on."""
    return {"call_expr": {"function": function, "args": list(args)}}


def predicate(node: Node) -> dict[str, Any]:
    """Make a predicate of a matcher."""
    _number(node, [0])
    config = pack(_MATCHER, {"expr_match": {"cel_expr_parsed": {"expr": node}}})
    return {
        "single_predicate": {
            "input": {"name": "request", "typed_config": pack(_INPUT)},
            "custom_match": {"name": "cel", "typed_config": config},
        }
    }


def _number(node: Node, count: list[int]) -> None:
    """Give each node a number of its own."""
    count[0] += 1
    node["id"] = count[0]
    for part in node.values():
        if isinstance(part, dict):
            for child in (part.get("operand"), *part.get("args", ())):
                if child is not None:
                    _number(child, count)
