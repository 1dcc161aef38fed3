"""Rules for our own ListenerPolicy. Pure. Each is ours, so none quotes the API."""

import ipaddress
from typing import Final

from seawall.gateway.resources.listener_policies import (
    AccessLog,
    ClientAddress,
    Limits,
    ListenerPolicySpec,
    ServerHeader,
    TlsParameters,
)
from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.resources.scalars import Duration, seconds
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.unique import no_repeats

_DAY: Final = 86_400
_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")
FRAMING: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer"}
)
"""How a request is framed and where it goes: not for a policy to say."""
_RESERVED: Final = "x-seawall-"


def listener_policy(spec: ListenerPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    if spec.tls is not None:
        _tls(spec.tls, findings)
    if spec.http3 is not None:
        _between(spec.http3.max_age, 1, 365 * _DAY, "$.spec.http3.maxAge", findings)
    if spec.proxy_protocol is not None:
        no_repeats(spec.proxy_protocol.versions, "$.spec.proxyProtocol.versions", "version", findings)
    if spec.client_address is not None:
        _address(spec.client_address, findings)
    if spec.limits is not None:
        _limits(spec.limits, findings)
    if spec.server_header is not None:
        _server(spec.server_header, findings)
    if spec.access_log is not None:
        _access_log(spec.access_log, findings)
    if spec.tracing is not None:
        _local(spec.tracing.backend_ref, "$.spec.tracing.backendRef", findings)
    _headers(spec, findings)


def _tls(tls: TlsParameters, findings: Findings) -> None:
    if _VERSIONS.index(tls.min_version) > _VERSIONS.index(tls.max_version):
        message = f"The lowest version of TLS, {tls.min_version}, is above the highest, {tls.max_version}."
        findings.append(Finding(path="$.spec.tls.minVersion", message=message, hint="Swap them, or remove one."))
    if tls.ciphers and tls.min_version == "1.3":
        message = "The ciphers are those of TLS 1.2, which minVersion excludes; TLS 1.3 has its own."
        findings.append(Finding(path="$.spec.tls.ciphers", message=message, hint="Remove ciphers."))
    no_repeats(tls.ciphers, "$.spec.tls.ciphers", "cipher", findings)
    no_repeats(tls.curves, "$.spec.tls.curves", "curve", findings)
    no_repeats(tls.alpn, "$.spec.tls.alpn", "protocol", findings)


def _address(address: ClientAddress, findings: Findings) -> None:
    at = "$.spec.clientAddress"
    if address.trusted_hops is not None and address.trusted_proxies:
        message = "trustedHops and trustedProxies are two ways to say whom to believe."
        findings.append(Finding(path=f"{at}.trustedHops", message=message, hint="Remove one of the two."))
    for index, text in enumerate(address.trusted_proxies):
        try:
            is_everybody = ipaddress.ip_network(text).prefixlen == 0
        except ValueError:
            message = f"{text[:80]!r} is neither an address nor a network whose host bits are zero."
            hint = "Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
            findings.append(Finding(path=f"{at}.trustedProxies[{index}]", message=message, hint=hint))
            continue
        if is_everybody:
            message = f"{text} is everybody: any client could say who he is."
            findings.append(
                Finding(
                    path=f"{at}.trustedProxies[{index}]", message=message, hint="Name the networks of your proxies."
                )
            )


def _limits(limits: Limits, findings: Findings) -> None:
    for name, value in (
        ("connectionIdleTimeout", limits.connection_idle_timeout),
        ("streamIdleTimeout", limits.stream_idle_timeout),
        ("headerTimeout", limits.header_timeout),
        ("requestTimeout", limits.request_timeout),
    ):
        if value is not None and seconds(value):
            _between(value, 0.1, _DAY, f"$.spec.limits.{name}", findings)


def _between(value: Duration, low: float, high: int, at: str, findings: Findings) -> None:
    if not low <= seconds(value) <= high:
        least, most = (f"{low * 1000:g}ms" if low < 1 else f"{low:g}s"), f"{high // 3600}h"
        message = f"The duration {value} is not between {least} and {most}."
        findings.append(Finding(path=at, message=message, hint=f"Use {least} to {most}."))


def _server(server: ServerHeader, findings: Findings) -> None:
    if (server.value is None) != (server.mode == "PassThrough"):
        needs = "has no value of ours" if server.mode == "PassThrough" else "needs a value"
        message = f"The mode {server.mode} of the server header {needs}."
        hint = "Remove value, or use the mode Overwrite." if server.value is not None else "Add value."
        findings.append(Finding(path="$.spec.serverHeader", message=message, hint=hint))


def _headers(spec: ListenerPolicySpec, findings: Findings) -> None:
    early = spec.early_headers
    named = [] if early is None else [(f"set[{n}].name", one.name) for n, one in enumerate(early.set)]
    named += [] if early is None else [(f"remove[{n}]", name) for n, name in enumerate(early.remove)]
    places = [(f"$.spec.earlyHeaders.{place}", name) for place, name in named]
    places += [("$.spec.ja4Header", spec.ja4_header)] if spec.ja4_header is not None else []
    for place, name in places:
        if name.lower() in FRAMING or name.lower().startswith(_RESERVED):
            message = f"The header {name} is not for a policy to say: it frames the request, or is Seawall's own."
            findings.append(Finding(path=place, message=message, hint="Choose another header."))
    if early is not None:
        no_repeats([one.name.lower() for one in early.set], "$.spec.earlyHeaders.set", "header", findings, "name")


def _access_log(log: AccessLog, findings: Findings) -> None:
    no_repeats(log.fields, "$.spec.accessLog.fields", "field", findings)
    for index, sink in enumerate(log.sinks):
        at = f"$.spec.accessLog.sinks[{index}]"
        for kind, field, value in (("File", "path", sink.path), ("OTLP", "backendRef", sink.backend_ref)):
            if (value is not None) != (sink.type == kind):
                message = f"A sink of type {sink.type} {'has no' if value is not None else 'needs a'} {field}."
                hint = f"Use the type {kind}, or remove {field}." if value is not None else f"Add {field}."
                findings.append(Finding(path=at, message=message, hint=hint))
        if sink.path is not None and ".." in sink.path.split("/"):
            message = "The path goes up by '..', which hides where it leads."
            findings.append(Finding(path=f"{at}.path", message=message, hint="Write it from the root."))
        if sink.backend_ref is not None:
            _local(sink.backend_ref, f"{at}.backendRef", findings)
    no_repeats(
        [(one.type, one.path or one.backend_ref) for one in log.sinks], "$.spec.accessLog.sinks", "sink", findings
    )


def _local(ref: BackendObjectReference, at: str, findings: Findings) -> None:
    if ref.namespace is not None:
        message = "A collector must be in the namespace of the policy."
        findings.append(Finding(path=f"{at}.namespace", message=message, hint="Remove namespace."))
