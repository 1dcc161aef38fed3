"""Opened: what Envoy opens for a socket: its filter chains, and what each does with a connection.

Pure. HTTP listeners share a chain, HTTPS listeners have one each; a TLS listener has one for each hostname that a route
wants there, TCP and UDP listeners have one. So a route that comes, goes or changes touches its own chain and no other.

What nobody serves is closed, never left to a wider chain: a hostname belongs to its listener even while that has no route.
Next room: `envoy.listeners`.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from seawall.gateway.graph import (
    FilterChain,
    HostKey,
    Hostname,
    Listener,
    ListenerName,
    NativeFilter,
    ObjectKey,
    ServerTls,
    TableName,
    TrustSecret,
    WeightedBackend,
)
from seawall.gateway.hostnames import ANY, covers
from seawall.gateway.indexes import HOSTS, SECRETS
from seawall.gateway.listeners import CLAIMS, HTTP_PROTOCOLS, Offer
from seawall.gateway.manners import MANNER, proxy_protocol, with_manner
from seawall.gateway.native import LISTENER_FILTERS
from seawall.gateway.sockets import SOCKET, ListenerRef, offers_on, table_of
from seawall.gateway.streams import CHAINS
from seawall.gateway.view import Entries, Rule, View

_EXACT_LIMIT: Final = 64
"""Up to so many other hostnames, a filter chain lists them all for 421; the list is in every chain, so it is squared."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What Envoy opens, and the virtual hosts that are there even without routes, so that no wider one answers.

    `trust` is what policies revoke in a set of trusted certificates.
    """

    listener: Listener
    hosts: tuple[HostKey, ...]
    trust: tuple[TrustSecret, ...] = ()


def opened(view: View, name: ListenerName) -> Opened | None:
    """Make the socket that Envoy opens; None if nothing on it can be served."""
    settled = view.get(SOCKET, name)
    gateways = {claim.owner: claim.gateway for claim in view.bucket(CLAIMS, name).values()}
    accepted = [
        (claim.owner, offer)
        for claim in sorted(view.bucket(CLAIMS, name).values(), key=lambda claim: claim.order)
        for offer in offers_on(claim, name)
        if (claim.owner, offer.name) not in settled.conflicts
    ]
    sound = [(ref, offer) for ref, offer in accepted if offer.is_sound]
    if not sound:
        return None
    manners = {(ref, offer.name): view.get(MANNER, (ref, gateways[ref], offer.name)) for ref, offer in sound}
    trust: tuple[TrustSecret, ...] = ()
    chains: tuple[FilterChain, ...]
    if settled.family in ("tcp", "udp"):
        chains = (_stream(view, name, *sound[0]),)
    else:
        native = {
            (ref, offer.name): view.get(LISTENER_FILTERS, (ref, gateways[ref], offer.name))
            for ref, offer in sound
            if offer.protocol in HTTP_PROTOCOLS
        }
        web = [(ref, offer) for ref, offer in sound if offer.protocol in HTTP_PROTOCOLS]
        made_chains = [_http(name, web)] if settled.family == "http" else _https(name, web, settled.owners)
        served = [(ref, offer, gateways[ref]) for ref, offer in web]
        mannered = [with_manner(view, _with_native(chain, native, web), manners, served) for chain in made_chains]
        chains = tuple(chain for chain, _ in mannered)
        trust = tuple(one for _, one in mannered if one is not None)
        chains += tuple(_tls(view, name, accepted)) if settled.family == "tls" else ()
    _, address, port = name.split("/", 2)
    made = Listener(
        name=name,
        address=address,
        port=int(port),
        transport="udp" if settled.family == "udp" else "tcp",
        chains=chains,
        proxy_protocol=proxy_protocol(manners) if settled.family != "udp" else None,
        origins=tuple(dict.fromkeys(ref for chain in chains for ref in chain.origins)),
    )
    tables = {chain.table for chain in chains}
    hosts = [HostKey(table_of(name, offer), offer.hostname) for _, offer in accepted]
    return Opened(listener=made, hosts=tuple(host for host in hosts if host.table in tables), trust=trust)


def _publish(name: ListenerName, found: Opened | None) -> Entries:
    if found is None or not name:
        return {}
    return {**{HOSTS.at(host): () for host in found.hosts}, **{SECRETS.at(one.name): one for one in found.trust}}


OPENED: Final = Rule(opened, each=CLAIMS, publish=_publish)


def _http(name: ListenerName, sound: list[tuple[ObjectKey, Offer]]) -> FilterChain:
    origins = tuple(dict.fromkeys(ref for ref, _ in sound))
    return FilterChain(name="http", protocol="http", table=TableName(name), origins=origins)


def _https(
    name: ListenerName, sound: list[tuple[ObjectKey, Offer]], owners: Mapping[Hostname, ListenerRef]
) -> Iterator[FilterChain]:
    for ref, offer in sorted(sound, key=lambda pair: pair[1].hostname):
        others = [hostname for hostname in owners if hostname not in (offer.hostname, ANY)]
        is_listed = len(others) <= _EXACT_LIMIT
        # A narrower hostname must always be listed: the virtual host of this one would answer for it.
        listed = others if is_listed else [other for other in others if covers(offer.hostname, other)]
        yield FilterChain(
            name=f"https/{offer.hostname}",
            protocol="https",
            server_names=() if offer.hostname == ANY else (offer.hostname,),
            tls=offer.tls,
            table=table_of(name, offer),
            misdirected=tuple(sorted(listed)),
            misdirects_unknown=offer.hostname != ANY and (ANY in owners or not is_listed),
            origins=(ref,),
        )


def _stream(view: View, name: ListenerName, ref: ObjectKey, offer: Offer) -> FilterChain:
    """Make the one chain of a TCP or UDP socket. Without a route it is open all the same, and closes what comes."""
    family: Literal["tcp", "udp"] = "udp" if offer.protocol == "UDP" else "tcp"
    stream = next((stream for _, _, stream in view.bucket(CHAINS, name).values()), None)
    if stream is None:
        return FilterChain(name=family, protocol=family, origins=(ref,))
    return FilterChain(name=family, protocol=family, backends=stream.backends, origins=(ref, stream.origin))


def _tls(view: View, name: ListenerName, accepted: list[tuple[ObjectKey, Offer]]) -> Iterator[FilterChain]:
    """Make a chain for each hostname that a TLSRoute serves, and one that closes for each that nobody does."""
    offers = {(ref, offer.name): offer for ref, offer in accepted if offer.protocol == "TLS"}
    if not offers:
        return
    streams = {
        hostname: (ref, stream)
        for ref, hostname, stream in view.bucket(CHAINS, name).values()
        if ref in offers and offers[ref].is_sound
    }
    for hostname, (ref, stream) in sorted(streams.items()):
        # Where no backend can be used the connection is closed before the handshake: a certificate would promise a service.
        tls = offers[ref].tls if stream.backends else None
        yield _tls_chain(hostname, (ref[0], stream.origin), tls, stream.backends)
    for owner, offer in accepted:
        is_ours = offer.protocol == "TLS" or (
            not offer.is_sound and any(covers(other.hostname, offer.hostname) for other in offers.values())
        )
        if is_ours and offer.hostname not in streams:
            yield _tls_chain(offer.hostname, (owner,))


def _tls_chain(
    hostname: Hostname,
    origins: tuple[ObjectKey, ...],
    tls: ServerTls | None = None,
    backends: tuple[WeightedBackend, ...] = (),
) -> FilterChain:
    return FilterChain(
        name=f"tls/{hostname}",
        protocol="tls",
        server_names=() if hostname == ANY else (hostname,),
        tls=tls,
        backends=backends,
        origins=origins,
    )


def _with_native(
    chain: FilterChain,
    native: Mapping[ListenerRef, tuple[NativeFilter, ...]],
    sound: list[tuple[ObjectKey, Offer]],
) -> FilterChain:
    """Put the native filters of its listeners into a chain.

    The plain HTTP listeners of a socket share a chain, so they share their filters: to leave out the filters of one
    because another came to the same port would be a way around them.
    """
    found = tuple(
        dict.fromkeys(
            one
            for ref, offer in sound
            if chain.protocol == "http" or chain.name == f"https/{offer.hostname}"
            for one in native[ref, offer.name]
        )
    )
    if not found:
        return chain
    policies = dict.fromkeys(one.origin for one in found)
    return msgspec.structs.replace(chain, filters=found, origins=(*chain.origins, *policies))
