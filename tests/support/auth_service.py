"""Services that say whether a request may pass, for tests: one that speaks Envoy's `ext_authz` over gRPC."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from seawall.envoy.proto import message

_REQUEST = "envoy.service.auth.v3.CheckRequest"
_RESPONSE = "envoy.service.auth.v3.CheckResponse"
_PERMISSION_DENIED = 7


class GrpcAuth:
    """Lets pass who says `x-pass: yes`, tells the backend of him, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.tells: Mapping[str, str] = {"x-user": "ada"}
        self.port = 0

    async def check(self, request: Any, context: Any) -> Any:
        self.asked.append(request.attributes.request.http)
        if request.attributes.request.http.headers.get("x-pass") != "yes":
            denied = {"status": {"code": 403}, "body": "not you"}
            return message(_RESPONSE)(status={"code": _PERMISSION_DENIED}, denied_response=denied)
        told = [{"header": {"key": key, "value": value}} for key, value in self.tells.items()]
        return message(_RESPONSE)(status={"code": 0}, ok_response={"headers": told})


@contextlib.asynccontextmanager
async def grpc_auth() -> AsyncIterator[GrpcAuth]:
    """Run the service on a free port."""
    made = GrpcAuth()
    handler = grpc.unary_unary_rpc_method_handler(
        made.check,
        request_deserializer=message(_REQUEST).FromString,
        response_serializer=message(_RESPONSE).SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": handler}),)
    )
    made.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(None)
