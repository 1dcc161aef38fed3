"""Decoding: what is right becomes an Object with the API's defaults; what is wrong is all reported."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.gateway.decode import decode
from seawall.gateway.objects import Object
from seawall.gateway.resources.core import ConfigMapSpec, EndpointSliceSpec, SecretSpec, ServiceSpec
from seawall.gateway.resources.http import HTTPPathMatch, HTTPRouteMatch, HTTPRouteSpec
from seawall.gateway.resources.kinds import SHAPES
from seawall.gateway.resources.scalars import timestamp
from seawall.gateway.status import Problem
from seawall.gateway.wire import RawSecret
from seawall.kit.secret import Secret


def document(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": SHAPES[kind].api_version, "kind": kind, "metadata": {"name": "a"}} | fields


def taken(data: Any) -> Object:
    decoded = decode(data)
    assert isinstance(decoded, Object), decoded
    return decoded


def refused(data: Any) -> tuple[Problem, ...]:
    decoded = decode(data)
    assert not isinstance(decoded, Object)
    return decoded


def test_defaults_are_filled_in() -> None:
    route = taken(
        document(
            "HTTPRoute", spec={"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}
        )
    )

    assert isinstance(route.spec, HTTPRouteSpec)
    (rule,) = route.spec.rules
    assert rule.matches == (HTTPRouteMatch(path=HTTPPathMatch(type="PathPrefix", value="/")),)
    assert (rule.backend_refs[0].group, rule.backend_refs[0].kind, rule.backend_refs[0].weight) == ("", "Service", 1)
    assert (route.spec.parent_refs[0].group, route.spec.parent_refs[0].kind) == ("gateway.networking.k8s.io", "Gateway")


def test_namespaced_kinds_are_in_default_unless_they_say() -> None:
    assert taken(document("HTTPRoute", spec={})).meta.namespace == "default"
    assert taken(document("HTTPRoute", spec={}, metadata={"name": "a", "namespace": "b"})).key == "HTTPRoute/b/a"
    assert taken(document("GatewayClass", spec={"controllerName": "a/b"})).key == "GatewayClass//a"


def test_nulls_are_as_if_not_written() -> None:
    spec = {
        "hostnames": None,
        "rules": [{"matches": None, "name": None, "backendRefs": [{"name": "a", "port": 1, "weight": None}]}],
    }

    without = {"rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}
    assert taken(document("HTTPRoute", spec=spec, status=None)).spec == taken(document("HTTPRoute", spec=without)).spec


def test_status_and_fields_of_the_api_server_are_ignored() -> None:
    metadata = {
        "name": "a",
        "uid": "1",
        "resourceVersion": "2",
        "generation": 9,
        "managedFields": [{}],
        "labels": {"x": "y"},
    }

    thing = taken(document("HTTPRoute", spec={}, metadata=metadata, status={"parents": []}))

    assert thing.meta.labels == {"x": "y"}
    assert thing.meta.generation == 1


def test_namespaces_carry_their_name_as_label() -> None:
    assert taken(document("Namespace", metadata={"name": "shop", "labels": {"a": "b"}})).meta.labels == {
        "a": "b",
        "kubernetes.io/metadata.name": "shop",
    }


def test_secret_merges_string_data_and_hides_everything() -> None:
    data = {"a": base64.b64encode(b"old").decode(), "b": "YWJj\nZGVm\n"}

    secret = taken(document("Secret", data=data, stringData={"a": "new"}, immutable=True))

    assert secret.spec == SecretSpec(data={"a": Secret(b"new"), "b": Secret(b"abcdef")})
    assert "new" not in repr(secret)
    assert "new" not in repr(RawSecret(string_data={"a": "new"}))


def test_config_map_has_text_and_bytes() -> None:
    config = taken(document("ConfigMap", data={"a": "text"}, binaryData={"b": "AAE="}))

    assert config.spec == ConfigMapSpec(data={"a": "text"}, binary_data={"b": b"\x00\x01"})


def test_kubernetes_own_kinds_may_have_fields_that_we_do_not_know() -> None:
    ports = [{"port": 80, "targetPort": "web", "appProtocol": "kubernetes.io/h2c", "nodePort": 30080}]
    service = taken(document("Service", spec={"ports": ports, "sessionAffinity": "None", "clusterIP": "None"}))
    assert isinstance(service.spec, ServiceSpec)
    assert (service.spec.ports[0].target_port, service.spec.cluster_ip) == ("web", "None")

    slices = taken(
        document(
            "EndpointSlice",
            addressType="IPv4",
            endpoints=[{"addresses": ["192.0.2.1"], "conditions": {"ready": False}, "targetRef": {}, "zone": "a"}],
            ports=[{"port": 80}],
        )
    )
    assert isinstance(slices.spec, EndpointSliceSpec)
    assert slices.spec.endpoints[0].conditions.ready is False


def test_all_mistakes_are_reported_at_once() -> None:
    data = document(
        "HTTPRoute",
        metadata={"name": "A", "lables": {}},
        spec={"hostname": "a", "rules": [{"matches": [{"path": {"value": 1}}], "backendRefs": [{"port": "80"}]}]},
        extra=1,
    )

    assert {problem.path for problem in refused(data)} == {
        "$.metadata.lables",
        "$.spec.hostname",
        "$.spec.rules[0].matches[0].path.value",
        "$.spec.rules[0].backendRefs[0]",
        "$.spec.rules[0].backendRefs[0].port",
        "$.extra",
    }
    assert {problem.object for problem in refused(data)} == {"HTTPRoute/default/A"}


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"metadata": {"name": "a_b"}}, "$.metadata.name", "no name of a HTTPRoute"),
        ({"metadata": {"name": "a\n"}}, "$.metadata.name", "no name of a HTTPRoute"),
        ({"metadata": {"name": ""}}, "$.metadata.name", "no name of a HTTPRoute"),
        ({"metadata": {"generateName": "a-"}}, "$.metadata", "'name' is missing"),
        ({"metadata": {"name": "a", "namespace": "a.b"}}, "$.metadata.namespace", "no name of a namespace"),
        ({"metadata": {"name": "a", "labels": {"a b": ""}}}, "$.metadata.labels", "no label key"),
        ({"metadata": {"name": "a", "labels": {"a.b/c": "d e"}}}, '$.metadata.labels["a.b/c"]', "no label value"),
        ({"metadata": {"name": "a", "labels": {"a": True}}}, "$.metadata.labels.a", "must be text"),
        ({"metadata": {"name": "a", "annotations": {"_B./": ""}}}, "$.metadata.annotations", "no annotation key"),
        ({"metadata": {"name": "a", "creationTimestamp": "today"}}, "$.metadata.creationTimestamp", "is no time"),
        ({"metadata": None}, "$", "'metadata' is missing"),
        ({"metadata": "a"}, "$.metadata", "must be a mapping"),
        ({"spec": None}, "$", "'spec' is missing"),
        ({"hostnames": []}, "$.hostnames", "'hostnames' is unknown"),
    ],
)
def test_wrong_frame_is_reported(fields: dict[str, Any], path: str, message: str) -> None:
    (problem,) = refused(document("HTTPRoute", spec={}) | fields)

    assert problem.path == path
    assert message in problem.message


def test_services_and_namespaces_are_dns_labels() -> None:
    metadata = {"name": "a.b"}

    assert [p.path for p in refused(document("Namespace", metadata=metadata))] == ["$.metadata.name"]
    assert [p.path for p in refused(document("Service", metadata=metadata, spec={"ports": [{"port": 1}]}))] == [
        "$.metadata.name"
    ]


def test_cluster_wide_kinds_have_no_namespace() -> None:
    data = document("GatewayClass", metadata={"name": "a", "namespace": "b"}, spec={"controllerName": "a/b"})

    assert [problem.path for problem in refused(data)] == ["$.metadata.namespace"]


def test_values_of_secrets_are_never_quoted() -> None:
    for fields in (
        {"data": {"k": "hunter2!"}},
        {"data": {"k": 12345678}},
        {"stringData": {"k": 12345678}},
        {"data": "hunter2!"},
    ):
        for problem in refused(document("Secret", **fields)):
            assert "hunter2" not in repr(problem)
            assert "12345678" not in repr(problem)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-31T12:00:00Z", 1769860800.0),
        ("2026-01-31T13:00:00.5+01:00", 1769860800.0),
        ("2026-01-31T11:30:00-00:30", 1769860800.0),
        ("2026-13-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2026-01-31", None),
        ("2026-01-31T12:00:00Z\n", None),
    ],
)
def test_times_are_read(text: str, at: float | None) -> None:
    assert timestamp(text) == at


def test_written_creation_time_is_kept() -> None:
    metadata = {"name": "a", "creationTimestamp": "2026-01-31T12:00:00Z"}

    assert taken(document("HTTPRoute", spec={}, metadata=metadata)).meta.created == 1769860800.0


def test_endless_nesting_is_a_problem() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]

    (problem,) = refused(document("HTTPRoute", spec={"hostnames": deep, "rules": None}))

    assert problem.path in {"$", "$.spec.hostnames[0]"}
    while isinstance(deep, list):
        deep = deep[0]  # Taken apart by hand: freeing it at once would recurse as deep.


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "parentRefs",
    "rules",
    "listeners",
    "filters",
    "type",
    "name",
    "matches",
    "path",
    "value",
    "tls",
    "endpoints",
    "ports",
    "data",
]
SPECS = st.recursive(
    JSON,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), part, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(SHAPES)), SPECS, JSON)
def test_decoding_anything_never_raises(kind: str, spec: Any, other: Any) -> None:
    for data in (document(kind, spec=spec), document(kind, metadata=other, spec=spec), other):
        decoded = decode(data)
        if not isinstance(decoded, Object):
            assert all(problem.path.startswith("$") and problem.message for problem in decoded)


@given(
    st.sampled_from(sorted(SHAPES)),
    st.dictionaries(st.sampled_from(["data", "stringData", "binaryData", "endpoints", "ports"]), SPECS),
)
def test_decoding_any_flat_kind_never_raises(kind: str, fields: dict[str, Any]) -> None:
    decode(document(kind, **fields))
