"""Request logs: the access logs that a ListenerPolicy asks for.

Pure. What the protection reads is another log (delimited, for one reader); these are for the operator.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from seawall.envoy.messages import duration
from seawall.envoy.proto import pack
from seawall.gateway.graph import ClusterName
from seawall.gateway.resources.listener_policies import AccessLog, LogField

_FILE = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
_STDOUT = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
_OTLP = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"

OPERATORS: Final[Mapping[LogField, str]] = {
    "time": "%START_TIME%",
    "requestId": "%REQ(X-REQUEST-ID)%",
    "clientAddress": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "peerAddress": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "ja4": "%TLS_JA4_FINGERPRINT%",
    "tlsVersion": "%DOWNSTREAM_TLS_VERSION%",
    "tlsCipher": "%DOWNSTREAM_TLS_CIPHER%",
    "sni": "%REQUESTED_SERVER_NAME%",
    "clientCertificate": "%DOWNSTREAM_PEER_SUBJECT%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    # Without the query: tokens and names of people stand there, and logs are read by many.
    "path": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "requestBytes": "%BYTES_RECEIVED%",
    "responseBytes": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "backendDuration": "%RESPONSE_DURATION%",
    "backend": "%UPSTREAM_CLUSTER_RAW%",
    "backendAddress": "%UPSTREAM_HOST%",
    "route": "%ROUTE_NAME%",
    "listener": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "userAgent": "%REQ(USER-AGENT)%",
    "referer": "%REQ(REFERER)%",
    "forwardedFor": "%REQ(X-FORWARDED-FOR)%",
    "traceParent": "%REQ(TRACEPARENT)%",
}


def loggers(log: AccessLog, collectors: Sequence[ClusterName | None]) -> Iterator[dict[str, Any]]:
    """Build a logger for each sink; none for a collector that cannot be used."""
    clusters = iter(collectors)
    for sink in log.sinks:
        match sink.type:
            case "File":
                yield _logger("file", _FILE, {"path": sink.path, **_format(log)})
            case "Stdout":
                yield _logger("stdout", _STDOUT, _format(log))
            case "OTLP":
                cluster = next(clusters, None)
                if cluster is not None:
                    yield _logger("open_telemetry", _OTLP, _otlp(log, cluster))


def _logger(name: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.access_loggers.{name}", "typed_config": pack(kind, config)}


def _format(log: AccessLog) -> dict[str, Any]:
    if log.format == "JSON":
        return {"log_format": {"json_format": {name: OPERATORS[name] for name in log.fields}}}
    line = "\t".join(OPERATORS[name] for name in log.fields) + "\n"
    return {"log_format": {"text_format_source": {"inline_string": line}}}


def _otlp(log: AccessLog, cluster: ClusterName) -> dict[str, Any]:
    values = [{"key": name, "value": {"string_value": OPERATORS[name]}} for name in log.fields]
    return {
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": duration(1.0)},
        "log_name": "seawall",
        "stat_prefix": "seawall",
        "attributes": {"values": values},
    }
