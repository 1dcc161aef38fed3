"""The wire of delta xDS: requests to events, actions to responses.

Uses the schema of `seawall.envoy.proto`; no sockets. Next room: `server.ads`.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from seawall.envoy.proto import message
from seawall.kit.units import Instant
from seawall.xds.events import Acked, Event, Nacked, Send, Subscribed
from seawall.xds.resource import ResourceName, TypeUrl

_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


def parse(body: bytes) -> Any:  # a protobuf message has no static type
    """Parse a DeltaDiscoveryRequest. Raises ValueError for bytes that are none."""
    try:
        return message(_REQUEST).FromString(body)
    except DecodeError as exc:
        raise ValueError("the request is no DeltaDiscoveryRequest") from exc


def events(request: Any, at: Instant, *, is_first: bool) -> Iterator[Event]:
    """Say what a request reports. One request may answer a response and change the subscription at once.

    "Regardless of the nonce the server must apply changes of the subscription" (specification): only the answer is
    dropped when its nonce is old, by the stream.
    """
    type_url = TypeUrl(request.type_url)
    if request.response_nonce:
        if request.HasField("error_detail"):
            # An error is told by this field alone; versions are no evidence.
            text = request.error_detail.message or f"error {request.error_detail.code} without a message"
            yield Nacked(at=at, type_url=type_url, nonce=request.response_nonce, message=text)
        else:
            yield Acked(at=at, type_url=type_url, nonce=request.response_nonce)
    subscribe = tuple(ResourceName(name) for name in request.resource_names_subscribe)
    unsubscribe = tuple(ResourceName(name) for name in request.resource_names_unsubscribe)
    if is_first or subscribe or unsubscribe:
        initial = {ResourceName(name): version for name, version in request.initial_resource_versions.items()}
        yield Subscribed(
            at=at, type_url=type_url, subscribe=subscribe, unsubscribe=unsubscribe, initial_versions=initial
        )


def response(send: Send) -> bytes:
    """Serialise a response. Resources are bytes already: nothing in them is parsed."""
    built: Any = message(_RESPONSE)(
        type_url=send.type_url,
        nonce=send.nonce,
        system_version_info=send.system_version,
        removed_resources=send.removed,
    )
    for resource in send.resources:
        added = built.resources.add()
        added.name = resource.name
        added.version = resource.version
        added.resource.type_url = resource.type_url
        added.resource.value = resource.body
    packed: bytes = built.SerializeToString()
    return packed
