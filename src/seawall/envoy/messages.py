"""Small parts of messages that several files build. Pure."""

from typing import Any

from seawall.xds.resource import TypeUrl

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
"""A config source: the stream on which everything comes."""


def duration(seconds: float) -> dict[str, int]:
    """Build a google.protobuf.Duration."""
    nanos = round(seconds * 1_000_000_000)
    return {"seconds": nanos // 1_000_000_000, "nanos": nanos % 1_000_000_000}


def literal(text: str) -> str:
    """Write a header value so that Envoy's formatter takes it as it is: `%` begins a command."""
    return text.replace("%", "%%")


def full_name(type_url: TypeUrl) -> str:
    """Return the message name in a type URL."""
    return type_url.rsplit("/", 1)[1]
