"""Explain: what would an edge do with this request, and why?

Pure: a walk over the graph, the same way that Envoy goes. Next room: `cli.explain` prints the explanation.

    port ─▶ Listener ─SNI─▶ FilterChain ─Host─▶ VirtualHost ─first match─▶ Route ─▶ Action ─▶ Cluster ─▶ Endpoints
"""

from collections.abc import Callable, Iterable
from typing import Literal, assert_never

import msgspec

from seawall.gateway.access import access_said, asked_said
from seawall.gateway.graph import (
    Apart,
    ClusterName,
    FilterChain,
    Forward,
    Graph,
    HeaderEdits,
    HostKey,
    Hostname,
    Listener,
    ObjectKey,
    Redirect,
    Respond,
    Route,
    TableName,
    VirtualHost,
)
from seawall.gateway.limits import limits_said
from seawall.gateway.manner_words import manner_said, path_of
from seawall.gateway.matching import (
    Request,
    best_host,
    default_port,
    describe,
    edited_path,
    has_escaped_slash,
    mismatches,
    specificity,
)
from seawall.gateway.traffic import handling_said, treatment_said

_CLOSED = "is closed"
PlaceOf = Callable[[ObjectKey, str], str]
"""Says where something was written, as `file:line:column`; empty if nobody knows."""


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the requests, in percent, and where it goes. `cluster` empty: this share gets a 500."""

    cluster: str
    share: float
    endpoints: tuple[str, ...] = ()
    note: str = ""
    filters: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the client gets. `status` None: the backend decides, or there is no HTTP. `sent`: the URL that the backend sees."""

    kind: Literal["forward", "redirect", "respond", "refuse"]
    status: int | None = None
    reason: str = ""
    location: str = ""
    sent: str = ""
    backends: tuple[Backend, ...] = ()


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A route of the virtual host: it wins, misses (and why), or would have matched but an earlier one won."""

    verdict: Literal["wins", "misses", "shadowed"]
    route: str
    object: ObjectKey
    path: str
    place: str
    match: str
    why: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole way of a request. What was not reached is empty."""

    request: str
    outcome: Outcome
    listener: str = ""
    address: str = ""
    chain: str = ""
    sni: str = ""
    hostname: str = ""
    other_hostnames: tuple[str, ...] = ()
    """Hostnames of the same listener that cover the host too, but less exactly: they are not asked, even for a 404."""
    considered: tuple[Considered, ...] = ()
    filters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def explain(graph: Graph, request: Request, place_of: PlaceOf = lambda _object, _path: "") -> Explanation:
    """Walk the graph as Envoy would."""
    listeners, notes = _listeners(graph, request)
    if not listeners:
        return Explanation(request=_line(request), outcome=_refused(_no_listener(graph, request)), notes=notes)
    found = [_on_listener(graph, listener, request, place_of) for listener in listeners]
    best = max(found, key=lambda one: (one.outcome.kind != "refuse", bool(one.hostname), _rank(one.hostname)))
    others = [one.listener for one in found if one is not best and one.hostname]
    if others:
        notes = (*notes, f"{best.request.split()[1]} could also mean {', '.join(others)}: name an address to choose.")
    return msgspec.structs.replace(best, notes=(*notes, *_of_client(graph, best, request), *best.notes))


def _of_client(graph: Graph, found: Explanation, request: Request) -> tuple[str, ...]:
    if not request.client:
        return ()
    winner = next((one.route for one in found.considered if one.verdict == "wins"), "")
    hosts = (host for key, host in graph.hosts.items() if key.hostname == found.hostname)
    if any(route.limited for host in hosts for route in host.routes if route.name == winner):
        return (f"the limits of this route are the only thing that depends on the client's address, {request.client}",)
    return (f"nothing that is configured depends on the client's address, {request.client}",)


def _listeners(graph: Graph, request: Request) -> tuple[list[Listener], tuple[str, ...]]:
    transport = "udp" if request.scheme == "udp" else "tcp"
    fitting = sorted((one for one in graph.listeners.values() if one.transport == transport), key=lambda one: one.name)
    at_address = [one for one in fitting if one.address == request.dialled.strip("[]")]
    port = request.port if request.port is not None else default_port(request.scheme)
    at_port = [one for one in at_address or fitting if one.port == port]
    if at_port or request.port is not None:
        return at_port, ()
    speaking = [one for one in at_address or fitting if any(chain.protocol == request.scheme for chain in one.chains)]
    note = f"no listener on port {port}, which the URL means as it names none: taking those that speak {request.scheme}"
    return speaking, (note,) if speaking else ()


def _on_listener(graph: Graph, listener: Listener, request: Request, place_of: PlaceOf) -> Explanation:
    start = Explanation(
        request=_line(request),
        outcome=_refused(""),
        listener=listener.name,
        address=f"{_bracketed(listener.address)}:{listener.port}",
        sni=request.sni or "",
    )
    chain, why = _chain(listener, request)
    if chain is None:
        return msgspec.structs.replace(start, outcome=_refused(why))
    start = msgspec.structs.replace(
        start, chain=chain.name, notes=(*manner_said(chain.manner, listener), *_native(chain))
    )
    if chain.table is None:
        return msgspec.structs.replace(start, outcome=_passed_on(graph, chain))
    if request.scheme not in ("http", "https"):
        web = "https" if chain.tls is not None else "http"
        return msgspec.structs.replace(start, outcome=_refused(f"port {listener.port} speaks {web}: ask for {web}://"))
    if (early := _before_routes(request, chain)) is not None:
        return msgspec.structs.replace(start, outcome=early)
    return _in_table(graph, start, chain, chain.table, request, place_of)


def _chain(listener: Listener, request: Request) -> tuple[FilterChain | None, str]:
    """Pick the filter chain by SNI, or say why the connection fails."""
    if request.scheme in ("http", "tcp", "udp"):
        plain = next((chain for chain in listener.chains if chain.protocol in ("http", "tcp", "udp")), None)
        return (
            plain,
            ""
            if plain
            else f"port {listener.port} speaks TLS and the request is plain {request.scheme}: use https or tls",
        )
    secure = [chain for chain in listener.chains if chain.protocol in ("https", "tls")]
    if not secure:
        plain_words = "/".join(sorted({chain.protocol for chain in listener.chains}))
        return (
            None,
            f"port {listener.port} speaks plain {plain_words} and the request is {request.scheme}: use http or tcp",
        )
    named = {name: chain for chain in secure for name in chain.server_names or (Hostname("*"),)}
    chosen = best_host(tuple(named), Hostname(request.sni)) if request.sni else Hostname("*")
    if chosen is not None and chosen in named:
        return named[chosen], ""
    sni = f"SNI {request.sni}" if request.sni else "a connection without SNI"
    return None, f"nothing is for {sni}: port {listener.port} serves {', '.join(sorted(named))}"


def _passed_on(graph: Graph, chain: FilterChain) -> Outcome:
    """Say where a connection goes that is passed on as it is."""
    by = next((origin for origin in chain.origins if "Route/" in origin), "")
    total = sum(backend.weight for backend in chain.backends)
    if not total:
        why = f"{by} has no backend that can be used" if by else "no route is attached that wants it"
        return _refused(f"the connection is closed: {why}")
    backends = []
    for share in chain.backends:
        endpoints, note = _endpoints(graph, share.cluster, _CLOSED)
        percent = round(100 * share.weight / total, 2)
        backends.append(Backend(cluster=share.cluster or "", share=percent, endpoints=endpoints, note=note))
    inside = "what is inside its TLS" if chain.tls is not None else "it as it is"
    return Outcome(kind="forward", reason=f"{by} passes on {inside}", backends=tuple(backends))


def _native(chain: FilterChain) -> tuple[str, ...]:
    """Say which filters somebody put into the chain: what they do to a request is not known here."""
    said = "runs before the router and may change the request or answer it by itself"
    return tuple(f"the native filter {one.name} ({one.origin}) {said}" for one in chain.filters)


def _before_routes(request: Request, chain: FilterChain) -> Outcome | None:
    """Say what the edge answers before it looks at any route."""
    bad = next((name for name, _ in request.headers if "_" in name), None)
    path = path_of(chain.manner)
    if bad is not None and path.underscores == "Reject":
        return Outcome(kind="respond", status=400, reason=f"header names with an underscore are refused: {bad}")
    if has_escaped_slash(request.path) and path.escaped_slashes == "Reject":
        return Outcome(kind="respond", status=400, reason="an escaped slash in the path is refused")
    if has_escaped_slash(request.path) and path.escaped_slashes == "Redirect":
        return Outcome(kind="redirect", status=307, reason="an escaped slash in the path is unescaped first")
    return None


def _in_table(
    graph: Graph, start: Explanation, chain: FilterChain, table: TableName, request: Request, place_of: PlaceOf
) -> Explanation:
    served = tuple(key.hostname for key in graph.hosts if key.table == table)
    elsewhere = tuple(name for name in chain.misdirected if name not in served)
    chosen = best_host((*served, *elsewhere), request.host)
    if chosen is None or chosen in elsewhere:
        is_misdirected = chosen is not None or chain.misdirects_unknown
        outcome = _misdirected(chosen, request) if is_misdirected else _unserved(graph, table, request)
        return msgspec.structs.replace(start, outcome=outcome)
    host = graph.hosts[HostKey(table, chosen)]
    if not host.routes:
        # The listener's own hostname, kept so that no wider listener answers for it.
        return msgspec.structs.replace(start, outcome=_unserved(graph, table, request))
    others = [name for name in _with_routes(graph, table) if name != chosen and _covers(name, request)]
    others.sort(key=specificity, reverse=True)
    winner, considered = _consider(host, request, place_of)
    start = msgspec.structs.replace(start, hostname=chosen, other_hostnames=tuple(others), considered=considered)
    if winner is None:
        return msgspec.structs.replace(start, outcome=_unmatched(chosen, others))
    outcome, filters = _act(graph, winner, chosen, request)
    return msgspec.structs.replace(start, outcome=outcome, filters=filters)


def _with_routes(graph: Graph, table: TableName) -> list[Hostname]:
    return [key.hostname for key, host in graph.hosts.items() if key.table == table and host.routes]


def _misdirected(owner: Hostname | None, request: Request) -> Outcome:
    other = f"another listener of this port, for {owner or 'any host'}, serves it"
    return Outcome(kind="respond", status=421, reason=f"this connection is not for host {request.host}: {other}")


def _unserved(graph: Graph, table: TableName, request: Request) -> Outcome:
    known = ", ".join(sorted(_with_routes(graph, table))) or "none"
    return Outcome(kind="respond", status=404, reason=f"no route is for host {request.host}; here are: {known}")


def _unmatched(chosen: Hostname, others: Iterable[Hostname]) -> Outcome:
    wider = ", ".join(others)
    also = f"; routes of {wider} are not asked, for the most exact hostname alone decides" if wider else ""
    return Outcome(kind="respond", status=404, reason=f"no route of {chosen} matches{also}")


def _consider(host: VirtualHost, request: Request, place_of: PlaceOf) -> tuple[Route | None, tuple[Considered, ...]]:
    winner: Route | None = None
    considered: list[Considered] = []
    for route in host.routes:
        why = mismatches(route.match, request)
        verdict: Literal["wins", "misses", "shadowed"] = "misses"
        if not why:
            verdict = "wins" if winner is None else "shadowed"
            why = () if winner is None else (f"it matches too, but {winner.name} comes first",)
            winner = winner or route
        considered.append(
            Considered(
                verdict=verdict,
                route=route.name,
                object=route.origin,
                path=route.path,
                place=place_of(route.origin, route.path),
                match=describe(route.match),
                why=why,
            )
        )
    return winner, tuple(considered)


def _act(graph: Graph, route: Route, hostname: Hostname, request: Request) -> tuple[Outcome, tuple[str, ...]]:
    filters = _route_filters(route)
    match route.action:
        case Respond(status=status, reason=reason):
            return Outcome(kind="respond", status=status, reason=reason or "the edge answers by itself"), filters
        case Redirect() as action:
            location = _location(action, route, hostname, request)
            return Outcome(kind="redirect", status=action.status, location=location), filters
        case Forward() as action:
            return _forward(graph, action, route, request), (*filters, *_forward_filters(action))
        case _:
            assert_never(route.action)


def _location(action: Redirect, route: Route, hostname: Hostname, request: Request) -> str:
    scheme = action.scheme or request.scheme
    host = action.host
    if host is None:
        host = request.host if hostname.startswith("*") or action.port is not None else hostname
    port = f":{action.port}" if action.port is not None and action.port != default_port(scheme) else ""
    if action.host is None and action.port is None and action.scheme is None and hostname.startswith("*"):
        host = request.authority
    path = edited_path(action.path, route.match, request.path) if action.path else request.path
    return f"{scheme}://{host}{port}{path}" + (f"?{request.query}" if request.query else "")


def _forward(graph: Graph, action: Forward, route: Route, request: Request) -> Outcome:
    total = sum(backend.weight for backend in action.backends)
    if not total:
        return Outcome(kind="respond", status=action.unusable, reason="the rule has no backend with a weight above 0")
    backends = []
    for share in action.backends:
        endpoints, note = _endpoints(graph, share.cluster, f"gets a {action.unusable}")
        treated = treatment_said(graph.clusters, share.cluster)
        edits = (*treated, *_edits("request", share.request_headers), *_edits("response", share.response_headers))
        edits += _apart_said(share.apart, route, request) if share.apart is not None else ()
        percent = round(100 * share.weight / total, 2)
        backends.append(
            Backend(cluster=share.cluster or "", share=percent, endpoints=endpoints, note=note, filters=edits)
        )
    path = edited_path(action.rewrite_path, route.match, request.path) if action.rewrite_path else request.path
    host = action.rewrite_host or request.authority
    sent = f"{request.scheme}://{host}{path}" + (f"?{request.query}" if request.query else "")
    alive = [backend for backend in backends if backend.share]
    if all(backend.note for backend in alive):
        status = action.unusable if all(not backend.cluster for backend in alive) else 503
        return Outcome(kind="respond", status=status, reason=alive[0].note, sent=sent, backends=tuple(backends))
    return Outcome(kind="forward", sent=sent, backends=tuple(backends))


def _apart_said(apart: Apart, route: Route, request: Request) -> tuple[str, ...]:
    """Say what is done with the share of one backend alone."""
    if apart.redirect is not None:
        return (
            f"redirected with {apart.redirect.status} to {_location(apart.redirect, route, Hostname('*'), request)}",
        )
    return tuple(_rewritten(apart))


def _endpoints(graph: Graph, name: ClusterName | None, instead: str) -> tuple[tuple[str, ...], str]:
    """Name the ready endpoints of a cluster, or say why its share is not served and what it gets instead."""
    unreachable = _CLOSED if instead == _CLOSED else "gets a 503"
    cluster = graph.clusters.get(name) if name is not None else None
    if cluster is None:
        return (), f"the backend does not exist or may not be used: this share {instead}"
    if cluster.tls is not None and cluster.tls.invalid:
        return (), f"no connection to the backend can be made, this share {unreachable}: {cluster.tls.invalid}"
    assigned = graph.endpoints.get(cluster.name)
    members = cluster.hostnames or (assigned.members if assigned else ())
    ready = tuple(f"{_bracketed(one.address)}:{one.port}" for one in members if one.is_ready)
    return ready, "" if ready else f"the backend has no ready endpoint: this share {unreachable}"


def _route_filters(route: Route) -> tuple[str, ...]:
    cors = (f"CORS: origins {', '.join(route.cors.allow_origins) or 'none'}",) if route.cors is not None else ()
    limits = limits_said(route.limited) if route.limited is not None else ()
    asked = route.external_auth
    asks = (
        (f"{asked_said(asked)} (a filter of the rule, in place of what the policy says)",) if asked is not None else ()
    )
    policies = (*access_said(route.admitted), *asks, *limits, *cors, *handling_said(route.handling))
    return (*policies, *_edits("request", route.request_headers), *_edits("response", route.response_headers))


def _rewritten(action: Forward | Apart) -> list[str]:
    said = [f"host rewritten to {action.rewrite_host}"] if action.rewrite_host else []
    if action.rewrite_path is not None:
        said.append(f"path rewritten ({action.rewrite_path.type} {action.rewrite_path.value or '/'})")
    return said + [f"{100 * m.numerator / m.denominator:g} % mirrored to {m.cluster}" for m in action.mirrors]


def _forward_filters(action: Forward) -> tuple[str, ...]:
    filters = _rewritten(action)
    if action.timeout is not None:
        filters.append(f"timeout {action.timeout:g} s" if action.timeout else "no timeout")
    if action.try_timeout:
        filters.append(f"timeout of each try {action.try_timeout:g} s")
    if action.retry is not None:
        codes = f" on {', '.join(str(code) for code in action.retry.codes)}" if action.retry.codes else ""
        filters.append(f"up to {action.retry.attempts} retries{codes}")
    return tuple(filters)


def _edits(side: str, edits: HeaderEdits | None) -> tuple[str, ...]:
    if edits is None:
        return ()
    return (
        *(f"{side} header {name} set to {value!r}" for name, value in edits.set),
        *(f"{side} header {name} gets {value!r} added" for name, value in edits.add),
        *(f"{side} header {name} removed" for name in edits.remove),
    )


def _covers(name: Hostname, request: Request) -> bool:
    return best_host((name,), request.host) is not None


def _rank(hostname: str) -> tuple[bool, int]:
    return specificity(Hostname(hostname)) if hostname else (False, 0)


def _no_listener(graph: Graph, request: Request) -> str:
    open_ports = ", ".join(sorted(f"{_bracketed(one.address)}:{one.port}" for one in graph.listeners.values()))
    port = request.port if request.port is not None else default_port(request.scheme)
    return f"nothing listens on port {port} for {request.dialled}; open are: {open_ports or 'none'}"


def _refused(why: str) -> Outcome:
    return Outcome(kind="refuse", reason=why)


def _line(request: Request) -> str:
    return f"{request.method} {request.url}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
