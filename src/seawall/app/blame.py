"""Blame: which object is at fault when an edge refuses a resource.

Pure bookkeeping: what was published when, what was accepted last, who changed in between.

    Rejected(listener)          → a fault of that socket (a port in use): shown, tried again, over when the edge says so
    the same with policies      → quarantine of HTTPFilterPolicies and ListenerPolicies, unless only the port cannot be had;
    or with streams               so with TLSRoutes, TCPRoutes and UDPRoutes
    Rejected(anything else)     → quarantine of the object(s) it was built from, until they change

An object that was accepted before and has not changed since cannot be the reason: only if no other is left are all blamed.
Of those that have changed the newest is blamed first. If Envoy refuses the resource without it as well, the next one is, and the
newer one is let go: it was not it, or it will be blamed again. Of those of one age traffic policies come first.
"""

from collections.abc import Callable, Iterable

from seawall.fleet.wire import Rejection
from seawall.gateway.graph import ListenerName, ObjectKey
from seawall.xds.resource import LISTENER, SECRET, Ref

OriginsOf = Callable[[Ref], tuple[ObjectKey, ...]]
IsCurrent = Callable[[Rejection], bool]
"""Says whether what was refused is what is published now; else the next word of the edge counts."""

_MOST_VERSIONS = 1000
_NATIVE = ("HTTPFilterPolicy/", "ListenerPolicy/")
"""What an operator puts into a listener in Envoy's words, or in words that only the edge's host can judge (a log's path)."""
_STREAMS = ("TLSRoute/", "TCPRoute/", "UDPRoute/")
"""They have chains of their own in a listener. Only one that is new can be what Envoy refuses: many share a listener."""
_POLICIES = ("TrafficPolicy/", "XBackendTrafficPolicy/")
"""Without them a route or a backend is what is known to work: they are blamed first, and the others if that was not it."""
_NO_PORT = "cannot bind"
"""In what Envoy says of a socket that it cannot have."""


class Blame:
    """Quarantine and faults, as the resolver wants them."""

    def __init__(self) -> None:
        self.quarantine: dict[ObjectKey, str] = {}
        self._refused: dict[str, tuple[Rejection, ...]] = {}
        self._step = 0
        self._changed: dict[ObjectKey, int] = {}
        self._published: dict[str, int] = {}
        self._accepted = 0
        self._blamed: dict[ObjectKey, Ref] = {}
        """For which resource an object was blamed while others could have been."""
        self._blamed_at: dict[Ref, int] = {}
        """What is said of a version older than this was said of already: another edge has read the same."""

    @property
    def faults(self) -> dict[ListenerName, str]:
        """Sockets that cannot be had, with the words of the edge that says so."""
        return {
            ListenerName(one.ref.name): one.message
            for edge in sorted(self._refused)
            for one in self._refused[edge]
            if one.ref.type_url == LISTENER
        }

    @property
    def edges(self) -> tuple[str, ...]:
        """Edges that refuse something."""
        return tuple(self._refused)

    def changed(self, put: Iterable[ObjectKey], removed: Iterable[ObjectKey]) -> None:
        """Objects changed: whatever was wrong with them may be over."""
        self._step += 1
        for key in put:
            self._changed[key] = self._step
            self.quarantine.pop(key, None)
            self._blamed.pop(key, None)
        for key in removed:
            self._changed.pop(key, None)
            self.quarantine.pop(key, None)
            self._blamed.pop(key, None)

    def published(self, version: str) -> None:
        """The edges were told to run this version, built from the objects as they are now."""
        self._published[version] = self._step
        while len(self._published) > _MOST_VERSIONS:
            del self._published[next(iter(self._published))]

    def applied(self, version: str) -> None:
        """An edge runs all of this version."""
        self._accepted = max(self._accepted, self._published.get(version, 0))

    def refused(
        self,
        edge: str,
        version: str,
        rejections: tuple[Rejection, ...],
        origins: OriginsOf,
        is_current: IsCurrent = lambda one: True,
    ) -> bool:
        """Note all that an edge refuses now; say whether quarantine or faults changed.

        An edge repeats what Envoy said of an older content until Envoy has judged the newer one: by then the culprit may have
        been taken out, and whoever is left would be blamed for it.
        """
        before = (self.faults, dict(self.quarantine))
        self._refused.pop(edge, None)
        published = self._published.get(version, self._step)
        standing = []
        for one in rejections:
            suspects = _suspects(one, origins)
            is_old = published < self._blamed_at.get(one.ref, 0) or not is_current(one)
            guilty = () if is_old else self._guilty(suspects, published)
            self._accuse(guilty, one.ref, f"edge {edge} refuses it: {one.message}", self._fresh(suspects, published))
            # Suspects that have all changed since are on their way, and none of them is guilty.
            is_on_its_way = is_old or all(self._changed.get(key, 0) > published for key in suspects)
            if not (suspects and (guilty or is_on_its_way) and one.ref.type_url == LISTENER):
                standing.append(one)
        if standing:
            self._refused[edge] = tuple(standing)
        return before != (self.faults, self.quarantine)

    def forget_edge(self, edge: str) -> bool:
        """An edge is gone, and its faults with it; say whether it had any."""
        return self._refused.pop(edge, None) is not None

    def _guilty(self, origins: tuple[ObjectKey, ...], published: int) -> tuple[ObjectKey, ...]:
        fresh = self._fresh(origins, published)
        newest = max((self._changed[key] for key in fresh), default=0)
        standing = tuple(key for key in origins if self._changed.get(key, 0) <= published)
        accused = tuple(key for key in fresh if self._changed[key] == newest)
        policies = tuple(key for key in accused or standing if key.startswith(_POLICIES))
        return policies or accused or tuple(key for key in standing if not key.startswith(_STREAMS))

    def _fresh(self, origins: tuple[ObjectKey, ...], published: int) -> tuple[ObjectKey, ...]:
        # What has changed after that version was built is on its way already, and may be right. Who is blamed already is not in it.
        return tuple(
            key
            for key in origins
            if self._accepted < self._changed.get(key, 0) <= published and key not in self.quarantine
        )

    def _accuse(self, guilty: tuple[ObjectKey, ...], ref: Ref, reason: str, fresh: tuple[ObjectKey, ...]) -> None:
        self._let_go(guilty, ref)
        if 0 < len(guilty) < len(fresh):
            self._step += 1
            self._blamed.update(dict.fromkeys(guilty, ref))
            self._blamed_at[ref] = self._step
        for key in guilty:
            self.quarantine.setdefault(key, reason)

    def _let_go(self, guilty: tuple[ObjectKey, ...], ref: Ref) -> None:
        oldest = min((self._changed.get(key, 0) for key in guilty), default=0)
        for key, of in tuple(self._blamed.items()):
            if of == ref and oldest and self._changed.get(key, 0) > oldest:
                del self._blamed[key]
                self.quarantine.pop(key, None)


def _suspects(one: Rejection, origins: OriginsOf) -> tuple[ObjectKey, ...]:
    """Name whom a refusal may be about. All of a listener is ours and known to work, but for native filters and streams."""
    found = _origins(one.ref, origins)
    if one.ref.type_url != LISTENER:
        return found
    return () if _NO_PORT in one.message else tuple(key for key in found if key.startswith((*_NATIVE, *_STREAMS)))


def _origins(ref: Ref, origins: OriginsOf) -> tuple[ObjectKey, ...]:
    known = origins(ref)
    if not known and ref.type_url == SECRET and ref.name.startswith("Secret/"):
        return (ObjectKey(ref.name),)
    return known
