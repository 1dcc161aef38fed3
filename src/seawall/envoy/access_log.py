r"""Access log: the lines that Envoy writes for the agent beside it, one for each request.

Pure. Values in the order of `traffic.entry.FIELDS`, the byte 0x1f between them; next room: whoever tails the file, then
`traffic.entry`. Text was measured at +4.6 µs a request, gRPC access logs at +12. No value that a client chooses can hold a
separator or a newline: Envoy refuses such headers (measured for HTTP/1 and HTTP/2); the SNI is not among the values, since
nobody checks its bytes. Long values are cut by Envoy.
"""

from typing import Any

import msgspec

from seawall.envoy.proto import TYPE_PREFIX, decode, pack
from seawall.kit.digest import digest
from seawall.traffic.entry import FIELDS, SEPARATOR
from seawall.traffic.peers import CONNECTION
from seawall.xds.resource import Resource

SHARE = "seawall.access_log"
"""The switch of the runtime layer that says how many of a million requests are logged. An integer: anything else in it is
ignored by Envoy without a word, and everything logged."""
FOLDER, FILE, CONNECTIONS = "traffic", "requests.log", "connections.log"
PATH = f"{FOLDER}/{FILE}"
"""Where an agent's Envoy writes it, seen from the folder that it runs in: the same for all edges."""
_NAME = "seawall.traffic"
_LISTENER = "envoy.config.listener.v3.Listener"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_FILE = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
_VALUES = {
    "ended": "%EMIT_TIME(%s.%6f)%",
    "took": "%DURATION%",
    "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "ja4": "%TLS_JA4_FINGERPRINT%",
    "version": "%PROTOCOL%",
    "method": "%REQ(:METHOD):32%",
    "host": "%REQ(:AUTHORITY):256%",
    # As the client wrote it, not as a route rewrote it; a client's own x-envoy-original-path is stripped before (measured).
    "target": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):512%",
    "agent": "%REQ(USER-AGENT):256%",
    "fetch": "%REQ(SEC-FETCH-DEST):32%",
    "language": "%REQ(ACCEPT-LANGUAGE):64%",
    "accept": "%REQ(ACCEPT):1%",
    "encoding": "%REQ(ACCEPT-ENCODING):1%",
    "hints": "%REQ(SEC-CH-UA):1%",
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    # Which verdict has refused it, if one has.
    "refused": "%RESP(X-SEAWALL-REF):32%",
}
_OF_CONNECTIONS = {
    "ended": _VALUES["ended"],
    "took": _VALUES["took"],
    "address": _VALUES["address"],
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "protocol": _VALUES["version"],
    "flags": _VALUES["flags"],
    "received": _VALUES["received"],
    "sent": _VALUES["sent"],
}
_CONNECTION = SEPARATOR.join(_OF_CONNECTIONS[field] for field in CONNECTION) + "\n"
_FORMAT = SEPARATOR.join(_VALUES[field] for field in FIELDS) + "\n"


def access_log(path: str) -> dict[str, Any]:
    """Build the log into a file. Its share of requests is a runtime value: to change it touches no listener."""
    everything = {"numerator": 1_000_000, "denominator": "MILLION"}
    return {
        "name": _NAME,
        "filter": {
            "runtime_filter": {
                "runtime_key": SHARE,
                "percent_sampled": everything,
                "use_independent_randomness": True,
            }
        },
        "typed_config": pack(_FILE, {"path": path, "log_format": {"text_format_source": {"inline_string": _FORMAT}}}),
    }


def connection_log(path: str) -> dict[str, Any]:
    """Build the log of connections that have ended, beside that of requests. What asks nothing is in no other one."""
    folder, slash, _ = path.rpartition("/")
    place = f"{folder}{slash}{CONNECTIONS}"
    log_format = {"text_format_source": {"inline_string": _CONNECTION}}
    return {"name": _NAME, "typed_config": pack(_FILE, {"path": place, "log_format": log_format})}


def without_log(resource: Resource) -> Resource:
    """Take the log out of a listener, for an Envoy with no agent that would follow it and keep it short."""
    message: Any = decode(_LISTENER, resource.body)
    message.ClearField("access_log")
    for chain in message.filter_chains:
        for one in chain.filters:
            if one.typed_config.type_url == TYPE_PREFIX + _HCM:
                manager: Any = decode(_HCM, one.typed_config.value)
                kept = [each for each in manager.access_log if each.name != _NAME]
                del manager.access_log[:]
                manager.access_log.extend(kept)
                one.typed_config.value = manager.SerializeToString(deterministic=True)
    body = message.SerializeToString(deterministic=True)
    return msgspec.structs.replace(resource, version=digest(body), body=body)
