"""Reports: what edges say, turned into events for the rollout machine.

Pure bookkeeping: who is there, what each runs, how often its Envoy had died when we last heard.

    Hello, Heartbeat ─▶ Joined      Tasted ─▶ EdgeTasted      Applied, Rejected ─▶ EdgeApplied
    silence ─────────▶ Lost         Refused ─▶ EdgeRefused    more deaths ───────▶ EdgeDied
"""

from collections.abc import Callable

import msgspec

from seawall.fleet.wire import Applied, Heartbeat, Held, Hello, Refused, Rejected, Tally, Tasted, Traffic, Up, Used
from seawall.kit.units import Instant, Seconds
from seawall.rollout.events import EdgeApplied, EdgeDied, EdgePlace, EdgeRefused, EdgeTasted, Event, Joined, Lost

BundleOf = Callable[[str, str], str]
"""Name the bundle that a snapshot's version means to an edge; empty if it is none of ours."""
_MOST_EDGES = 10_000
_GRACE = 1.0
"""An edge that another control plane serves now has been heard of since its stream here ended."""


class _Seen(msgspec.Struct, kw_only=True):
    """What is known of one edge."""

    place: EdgePlace
    heard_at: Instant
    is_joined: bool = False
    run: str = ""
    bundle: str = ""
    deaths: int | None = None
    refused: frozenset[str] = frozenset()
    """Resources that it cannot run whatever the bundle: a port in use is no fault of a candidate."""


class Reports:
    """The edges as the machine should see them."""

    def __init__(self, bundle_of: BundleOf) -> None:
        self._bundle_of = bundle_of
        self._edges: dict[str, _Seen] = {}
        self._began_at = Instant(0.0)

    @property
    def joined(self) -> frozenset[str]:
        return frozenset(edge for edge, seen in self._edges.items() if seen.is_joined)

    def heard(self, edge: str, message: Up, at: Instant) -> list[Event]:
        """Take in a message."""
        if isinstance(message, Hello):
            return self._greeted(message, at)
        seen = self._edges.get(edge)
        if seen is None:
            return []
        seen.heard_at = max(seen.heard_at, at)
        match message:
            case Heartbeat():
                return self._beat(edge, seen, message, at)
            case Used() | Traffic() | Held():
                # What limits are asked for is the steward's business (`app.quotas`), not the rollouts'; so is protection.
                return []
            case Tasted(bundle=bundle):
                return [EdgeTasted(at=at, edge=edge, bundle=bundle)]
            case Refused(bundle=bundle, by=by, reason=reason):
                # An order that is too old was sent twice; the newer one stands.
                return [] if by == "fence" else [EdgeRefused(at=at, edge=edge, bundle=bundle, by=by, reason=reason)]
            case Applied(version=version):
                return self._applied(edge, seen, version, at, ())
            case Rejected(version=version, rejections=rejections):
                names = frozenset(one.ref.name for one in rejections)
                fresh = tuple(
                    f"{one.ref.name}: {one.message}" for one in rejections if one.ref.name not in seen.refused
                )
                seen.refused = names
                return self._applied(edge, seen, version, at, fresh) if fresh else []
            case Tally(bundle=bundle):
                seen.bundle = bundle or seen.bundle
                return []

    def begin(self, at: Instant) -> None:
        """We lead now: say once more who is there. Whom we have not heard of yet is not silent: others may have heard it."""
        self._began_at = at
        for seen in self._edges.values():
            seen.is_joined = False

    def lost(self, at: Instant, silence: Seconds, is_connected: Callable[[str], bool]) -> list[Event]:
        """Say who has fallen silent or gone since the last call."""
        events: list[Event] = []
        for edge, seen in list(self._edges.items()):
            heard_at = max(seen.heard_at, self._began_at)
            silent = at - heard_at
            is_gone = silent > _GRACE and not is_connected(edge)
            if seen.is_joined and (is_gone or silent > silence):
                seen.is_joined = False
                reason = "its stream ended" if is_gone else f"nothing was heard of it for {silent:.0f} s"
                events.append(Lost(at=at, edge=edge, reason=reason, heard_at=heard_at))
            elif not seen.is_joined and is_gone and len(self._edges) > _MOST_EDGES:
                del self._edges[edge]
        return events

    def _greeted(self, hello: Hello, at: Instant) -> list[Event]:
        place = EdgePlace(
            edge=hello.edge, region=hello.labels.get("region", ""), cell=hello.labels.get("cell", ""), since=at
        )
        known = self._edges.get(hello.edge)
        if known is None:
            self._edges[hello.edge] = _Seen(place=place, heard_at=at)
        else:
            known.heard_at = max(known.heard_at, at)
            known.place = msgspec.structs.replace(place, since=known.place.since)
        return []

    def _beat(self, edge: str, seen: _Seen, beat: Heartbeat, at: Instant) -> list[Event]:
        events: list[Event] = []
        bundle = beat.bundle or self._bundle_of(edge, beat.running)
        if not seen.is_joined:
            seen.is_joined, seen.bundle = True, bundle
            events.append(Joined(at=at, place=seen.place, bundle=bundle, kept=beat.kept))
        if seen.deaths is not None and beat.deaths > seen.deaths:
            died_on = seen.bundle or bundle
            reason = beat.fallback or f"Envoy has died; {beat.deaths} times since its agent began."
            events.append(EdgeDied(at=at, edge=edge, bundle=died_on, reason=reason))
        seen.deaths = beat.deaths
        seen.bundle = bundle or seen.bundle
        return events

    def _applied(self, edge: str, seen: _Seen, version: str, at: Instant, rejections: tuple[str, ...]) -> list[Event]:
        bundle = self._bundle_of(edge, version)
        if not bundle:
            return []
        seen.bundle = bundle
        return [EdgeApplied(at=at, edge=edge, bundle=bundle, rejections=rejections)]
