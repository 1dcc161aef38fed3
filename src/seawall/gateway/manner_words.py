"""Manner words: what a ListenerPolicy means for a request, said for `explain`. Pure."""

from collections.abc import Iterator

import msgspec

from seawall.gateway.graph import Listener, Manner
from seawall.gateway.resources.listener_policies import ListenerPolicySpec, PathNormalization


def manner_said(manner: Manner | None, listener: Listener) -> tuple[str, ...]:
    """Say which policy applies, what it says, and which do not apply because of it."""
    proxied = ("the port wants a PROXY header that says who the client is",) if listener.proxy_protocol else ()
    if manner is None:
        return proxied
    said = [f"{manner.by} applies: {one}" for one in _said(manner.spec)]
    if manner.over:
        said.append(f"{manner.by} is more specific than {', '.join(manner.over)}, or older: they do not apply")
    return (*said, *proxied)


def path_of(manner: Manner | None) -> PathNormalization:
    """Say what happens to paths and header names before a route is looked for."""
    return (manner.spec.path if manner is not None else None) or PathNormalization()


def _said(spec: ListenerPolicySpec) -> Iterator[str]:
    if (tls := spec.tls) is not None:
        ciphers = f", ciphers {', '.join(tls.ciphers)}" if tls.ciphers else ""
        yield f"TLS {tls.min_version} to {tls.max_version}, {' then '.join(tls.alpn)}{ciphers}"
    if (certificates := spec.client_certificates) is not None:
        revoked = ", those on a revocation list refused" if certificates.crl else ""
        yield f"client certificates {'optional' if certificates.mode == 'Optional' else 'as the Gateway says'}{revoked}"
    if spec.http3 is not None:
        yield "HTTP/3 beside it"
    if (address := spec.client_address) is not None:
        trusted = ", ".join(address.trusted_proxies) or f"{address.trusted_hops or 0} hops"
        yield f"X-Forwarded-For is believed of {trusted}"
    if spec.limits is not None:
        written = msgspec.to_builtins(spec.limits)
        yield "limits " + ", ".join(f"{name} {value}" for name, value in written.items() if value is not None)
    if spec.early_headers is not None:
        yield from (f"request header {one.name} is set to {one.value!r} first" for one in spec.early_headers.set)
        yield from (f"request header {name} is removed first" for name in spec.early_headers.remove)
    if spec.ja4_header is not None:
        yield f"request header {spec.ja4_header} says how the client speaks TLS"
    if spec.server_header is not None:
        yield f"server header {spec.server_header.mode} {spec.server_header.value or ''}".rstrip()
    if spec.access_log is not None:
        yield f"a log line goes to {', '.join(one.path or one.type for one in spec.access_log.sinks)}"
    if spec.tracing is not None:
        yield f"{spec.tracing.sampling_percent:g} % of requests are traced"
