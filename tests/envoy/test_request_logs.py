"""Access logs that an operator asks for."""

from typing import get_args

from seawall.envoy.proto import decode
from seawall.envoy.request_logs import OPERATORS, loggers
from seawall.gateway.graph import ClusterName
from seawall.gateway.resources.listener_policies import AccessLog, LogField, LogSink
from seawall.gateway.resources.refs import BackendObjectReference

REF = BackendObjectReference(name="collector")


def test_every_field_has_an_operator_of_envoys() -> None:
    assert set(OPERATORS) == set(get_args(LogField))
    assert all(operator.startswith("%") and operator.endswith("%") for operator in OPERATORS.values())


def test_each_collector_gets_its_own_records_and_one_that_is_missing_is_left_out() -> None:
    sinks = tuple(LogSink(type="OTLP", backend_ref=REF) for _ in range(3))
    found = list(loggers(AccessLog(sinks=sinks), (ClusterName("a"), None, ClusterName("b"))))

    name = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"
    bodies = [decode(name, one["typed_config"]["value"]) for one in found]
    clusters = [body.grpc_service.envoy_grpc.cluster_name for body in bodies]  # type: ignore[attr-defined]  # by schema
    assert clusters == ["a", "b"]
