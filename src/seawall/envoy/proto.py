"""Envoy's messages, by name.

Pure. The schema is a file of this package that `script/schema.py` carves out of the Envoy binary that we pin: no
generated code, nothing missing, nothing newer than the Envoy that will read what we build. It lives in a pool of its own,
so it can never clash with another package's copy of the same protos.
"""

import lzma
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

Fields = Mapping[str, Any]
"""A message as plain data, as the constructors of protobuf's messages take it: nested mappings, lists, scalars."""

TYPE_PREFIX = "type.googleapis.com/"


@cache
def _schema() -> descriptor_pb2.FileDescriptorSet:
    packed = resources.files("seawall.envoy").joinpath("schema.binpb.xz").read_bytes()
    return descriptor_pb2.FileDescriptorSet.FromString(lzma.decompress(packed))


@cache
def message_names() -> tuple[str, ...]:
    """Name every message of the schema that stands in no other one."""
    return tuple(sorted(f"{file.package}.{one.name}" for file in _schema().file for one in file.message_type))


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Load the schema (0.1 s, once)."""
    loaded = descriptor_pool.DescriptorPool()
    for file in _schema().file:
        loaded.AddSerializedFile(file.SerializeToString())
    return loaded


@cache
def message(name: str) -> type[Message]:
    """Return the class of a message: `message("envoy.config.cluster.v3.Cluster")`. KeyError if Envoy has no such message."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def pack(name: str, fields: Fields | None = None) -> dict[str, Any]:
    """Build a message and wrap it for a field of type `google.protobuf.Any`."""
    return {"type_url": TYPE_PREFIX + name, "value": encode(name, fields or {})}


def encode(name: str, fields: Fields) -> bytes:
    """Build a message and serialise it; equal fields give equal bytes (maps are sorted)."""
    return message(name)(**fields).SerializeToString(deterministic=True)


def part(number: int, body: bytes) -> bytes:
    """Write a field of a message by its number, as bytes: for what is built ten thousand times, fields below 16."""
    return _head(number, len(body)) + body


@lru_cache(maxsize=4096)
def _head(number: int, length: int) -> bytes:
    head = bytearray((number << 3 | 2,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head)


def decode(name: str, body: bytes) -> Message:
    """Parse a message. Raises google.protobuf.message.DecodeError for bytes that are none."""
    return message(name).FromString(body)


def as_json(value: Message) -> dict[str, Any]:
    """Show a message as the protobuf JSON mapping, field names as in the .proto, every `Any` opened."""
    return json_format.MessageToDict(value, preserving_proto_field_name=True, descriptor_pool=pool())


def from_json(name: str, data: Mapping[str, Any]) -> Message:
    """Build a message from the protobuf JSON mapping (slow: for bootstraps and tests)."""
    return json_format.ParseDict(dict(data), message(name)(), descriptor_pool=pool())
