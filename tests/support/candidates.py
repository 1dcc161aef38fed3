"""Snapshots for tasters and sandboxes: good ones, and ones that hurt, by Envoy's own filters."""

import json
from typing import Any

from seawall.envoy.build import Builder
from seawall.gateway.graph import (
    CertificateSecret,
    FilterChain,
    Graph,
    Hostname,
    Listener,
    ListenerName,
    NativeFilter,
    ObjectKey,
    SecretName,
    ServerTls,
    TableName,
    VirtualHost,
)
from seawall.kit.secret import Secret
from seawall.xds.snapshot import Snapshot
from tests.envoy.graphs import LISTENER, TABLE, everything, graph, host, route

_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
HOSTS = tuple(host(f"h{number}.example", route()) for number in range(3))
TLS_TABLE = TableName("tcp/127.0.0.1/8443/tls.example")


def native(kind: str, **config: Any) -> NativeFilter:
    """A filter of Envoy's: `native("fault.v3.HTTPFault", abort=…)`."""
    return NativeFilter(
        name=kind.partition(".")[0], type_url=_HTTP + kind, config=json.dumps(config).encode(), origin=ObjectKey("test")
    )


def lua(source: str) -> NativeFilter:
    return native("lua.v3.Lua", default_source_code={"inline_string": source})


def candidate(*filters: NativeFilter, hosts: tuple[VirtualHost, ...] = HOSTS) -> Snapshot:
    """One plain listener with these filters before its router."""
    return built(graph(*hosts, listeners=(_plain(filters),)))


def with_tls(chain: bytes, key: bytes, *hosts: VirtualHost) -> Snapshot:
    """A plain listener, and one with TLS that serves tls.example."""
    certificate = CertificateSecret(name=SecretName("Secret/shop/cert"), chain=chain, key=Secret(key))
    secure = FilterChain(
        name="tls",
        protocol="https",
        server_names=(Hostname("tls.example"),),
        tls=ServerTls(certificates=(certificate.name,)),
        table=TLS_TABLE,
    )
    of = graph(
        *hosts,
        host("tls.example", route(), table=TLS_TABLE),
        listeners=(
            _plain(()),
            Listener(name=ListenerName("tcp/127.0.0.1/8443"), address="127.0.0.1", port=8443, chains=(secure,)),
        ),
    )
    return built(Graph(**{**_fields(of), "secrets": {certificate.name: certificate}}))


def _fields(of: Graph) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__struct_fields__}


def _plain(filters: tuple[NativeFilter, ...]) -> Listener:
    chain = FilterChain(name="http", protocol="http", table=TABLE, filters=filters)
    return Listener(name=LISTENER, address="127.0.0.1", port=8080, chains=(chain,))


def built(of: Graph) -> Snapshot:
    builder = Builder()
    builder.update(of, everything(of))
    return builder.snapshot


DEADLY = lua("""
function envoy_on_request(handle)
  if handle:headers():get("x-envoy-kill-request") then require("ffi").cast("int*", 0)[0] = 1 end
end
""")
"""Envoy dies of a null pointer on one rare header. (The filter made for this is not in the build of the wheel.)"""
