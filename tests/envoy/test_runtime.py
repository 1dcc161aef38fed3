"""The runtime layer of switches."""

from seawall.envoy.build import Builder
from seawall.envoy.proto import as_json, decode
from seawall.envoy.runtime import RUNTIME_REF, runtime
from seawall.gateway.graph import Graph, GraphChange


def test_values_of_all_kinds_are_in_the_layer() -> None:
    built = runtime({"b": 2.5, "a.b": True, "c": "x"})

    shown = as_json(decode("envoy.service.runtime.v3.Runtime", built.body))
    assert shown == {"name": "seawall", "layer": {"a.b": True, "b": 2.5, "c": "x"}}
    assert built == runtime({"c": "x", "a.b": True, "b": 2.5})


def test_the_layer_is_there_without_any_switch_and_changes_with_them() -> None:
    builder = Builder()

    first = builder.update(Graph(), GraphChange())
    again = builder.update(Graph(), GraphChange())
    switched = builder.update(Graph(runtime={"a": 1}), GraphChange(runtime=frozenset({"a"})))
    back = builder.update(Graph(), GraphChange(runtime=frozenset({"a"})))

    assert [one.ref for one in first.put] == [one.ref for one in switched.put] == [RUNTIME_REF]
    assert again.is_empty
    assert back.put == first.put
