"""ListenerPolicy's logs and traces through `seawall up`: a file, and a collector that speaks the real OTLP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.support.door import door, policy
from tests.support.manifests import Json, backend

pytestmark = pytest.mark.e2e

REF: Json = {"group": "seawall.dev", "kind": "Backend", "name": "collector"}


class Logs(LogsServiceServicer):
    """Remembers the attributes of each record."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []

    async def Export(  # the service's word
        self, request: ExportLogsServiceRequest, context: Any
    ) -> ExportLogsServiceResponse:
        del context
        for group in request.resource_logs:
            for scope in group.scope_logs:
                for record in scope.log_records:
                    self.records.append({one.key: one.value.string_value for one in record.attributes})
        return ExportLogsServiceResponse()


class Traces(TraceServiceServicer):
    """Remembers who spoke, and the trace of each span."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str]] = []

    async def Export(  # the service's word
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        del context
        for group in request.resource_spans:
            names = {one.key: one.value.string_value for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [(names.get("service.name", ""), span.trace_id.hex()) for span in scope.spans]
        return ExportTraceServiceResponse()


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[int, Logs, Traces]]:
    logs, traces = Logs(), Traces()
    server = grpc.aio.server()
    add_LogsServiceServicer_to_server(logs, server)  # type: ignore[no-untyped-call]  # generated, without types
    add_TraceServiceServicer_to_server(traces, server)  # type: ignore[no-untyped-call]  # generated, without types
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, logs, traces
    finally:
        await server.stop(None)


def test_lines_have_the_chosen_fields_in_the_chosen_format_and_no_query(tmp_path: Path) -> None:
    asked, lines = tmp_path / "json.log", tmp_path / "text.log"
    fields = ["method", "path", "status", "userAgent"]

    async def run() -> None:
        async with door() as edge:
            edge.put(policy(accessLog={"fields": fields, "sinks": [{"type": "File", "path": str(asked)}]}))

            async def is_logged() -> bool:
                await edge.get("/basket?token=s3cret", user_agent='a", "status": 1')
                return asked.exists() and bool(asked.read_text())

            await edge.until(is_logged)
            wanted = {"method": "GET", "path": "/basket", "status": 200, "userAgent": 'a", "status": 1'}
            assert json.loads(asked.read_text().splitlines()[-1]) == wanted

            sinks = [{"type": "File", "path": str(lines)}, {"type": "Stdout"}]
            edge.put(policy(accessLog={"format": "Text", "fields": fields[:3], "sinks": sinks}))

            async def is_text() -> bool:
                await edge.get("/basket")
                return lines.exists() and "GET\t/basket\t200" in lines.read_text().splitlines()

            await edge.until(is_text)

    asyncio.run(run())


def test_a_collector_gets_log_records_and_the_traces_that_backends_go_on_with() -> None:
    async def run() -> None:
        async with collector() as (port, logs, traces):
            manifest = backend("collector", port)
            manifest["spec"]["protocol"] = "HTTP2"
            async with door(manifest) as edge:
                log = {"fields": ["path", "status"], "sinks": [{"type": "OTLP", "backendRef": REF}]}
                tracing = {"backendRef": REF, "samplingPercent": 100, "serviceName": "edge-1"}
                edge.put(policy(accessLog=log, tracing=tracing))
                sent: list[str] = []

                async def is_collected() -> bool:
                    told = await edge.sent("/a")
                    sent.append(told.get("traceparent", "--").split("-")[1])
                    return {"path": "/a", "status": "200"} in logs.records and bool(traces.spans)

                await edge.until(is_collected)
                # Envoy hands spans over every few seconds.
                assert {name for name, _ in traces.spans} == {"edge-1"}
                assert {trace for _, trace in traces.spans} & set(sent)

                edge.put(policy(tracing={**tracing, "samplingPercent": 0}))

                async def is_unsampled() -> bool:
                    return (await edge.sent("/a", x_client_trace_id="1")).get("traceparent", "").endswith("-00")

                await edge.until(is_unsampled)

    asyncio.run(run())
