"""Verdicts on their way to the edges: what to do with whose requests, until when.

Pure records. `detect` decides them, with evidence and guards; an edge needs only this much of each. They take a way of their own,
past bundles and rollouts, because they are to hold within milliseconds; what they can do is bounded instead: by their kinds, by
their number, and by the moment at which each of them ends whatever becomes of the control plane.
"""

from typing import Literal

import msgspec

from seawall.kit.units import Instant

MOST = 250_000
"""Verdicts that an edge holds at most. More is refused, and the old ones are kept."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One verdict in force.

    Args:
        id: its name; a newer `generation` of the same name replaces an older one, never the other way round.
        expires: the edge stops acting on it then, in Unix seconds of its own clock.
        route: the route it is about, as Envoy names it; empty for all.
        match: fields and values that all have to match (`detect.columns` lists the fields); networks as CIDR.
        kind: what is done. `rate` and `burst` are a limit's, requests a second for the whole fleet; with `per_client` each
            client has them. `delay_ms` is a tarpit's, `code` a refusal's, `where` a drop's.
        is_override: of a refusal: a person's, which counts before all that is allowed.
        share: of the requests in the scope, how many it is done to (a canary's share).
    """

    id: str
    generation: int
    expires: Instant
    kind: Literal["allow", "tag", "limit", "challenge", "tarpit", "labyrinth", "deny", "drop"]
    route: str = ""
    match: dict[str, str] = {}
    rate: float = 0.0
    burst: float = 0.0
    per_client: bool = False
    ignore_query: bool = False
    delay_ms: int = 0
    code: int = 403
    where: Literal["", "nftables", "xdp"] = ""
    is_override: bool = False
    share: float = 1.0
