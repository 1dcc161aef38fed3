"""Holdings: what one client holds of one type, and what it may hold because an answer is still out.

Pure. Doubt counts on the careful side: a resource can be relied on only once it was acknowledged, and what it refers to
stays in use until its successor was. Next room: `xds.subscription`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from seawall.xds.resource import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    LISTENER,
    ROUTE,
    SCOPE,
    SECRET,
    Ref,
    Resource,
    ResourceName,
    TypeUrl,
)

_RANK = {SECRET: 0, ENDPOINTS: 0, CLUSTER: 1, EXTENSION: 2, ROUTE: 3, SCOPE: 4, LISTENER: 5}
"""A type refers only to types of lower rank."""
_MOST_DOUBTS = 8
"""So many unsettled versions of one name are remembered; the oldest is forgotten first."""


def needs(resource: Resource) -> tuple[Ref, ...]:
    """Return what a resource refers to. A cluster that does not say so uses the endpoints of its own name."""
    if resource.type_url == CLUSTER and not any(ref.type_url == ENDPOINTS for ref in resource.refs):
        return (*resource.refs, Ref(ENDPOINTS, resource.name))
    return resource.refs


class Uses:
    """Counts how many resources at the client refer to each resource, over all types of a stream."""

    def __init__(self) -> None:
        self._counts: Counter[Ref] = Counter()
        self._unknown: Counter[TypeUrl] = Counter()
        self._freed: list[Ref] = []
        self._is_cleared = False

    def begin(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self._counts[ref] += 1

    def end(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self._counts[ref] -= 1
            if self._counts[ref] <= 0:
                del self._counts[ref]
                self._freed.append(ref)

    def begin_unknown(self, type_url: TypeUrl) -> None:
        """Note a resource of which we know the version but not the content: it may refer to anything below it."""
        self._unknown[type_url] += 1

    def end_unknown(self, type_url: TypeUrl) -> None:
        self._unknown[type_url] -= 1
        if self._unknown[type_url] <= 0:
            del self._unknown[type_url]
            self._is_cleared = True

    def is_used(self, ref: Ref) -> bool:
        if ref in self._counts:
            return True
        rank = _RANK.get(ref.type_url, 0)
        return any(_RANK.get(type_url, 0) > rank for type_url in self._unknown)

    def take_freed(self) -> list[Ref]:
        """Return, once, what nobody refers to any more."""
        freed, self._freed = self._freed, []
        return freed

    def take_cleared(self) -> bool:
        """Say, once, that the last resource with unknown references of a type has gone: anything may be free now."""
        is_cleared, self._is_cleared = self._is_cleared, False
        return is_cleared


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, or its removal (None), that the client has not acknowledged."""

    nonce: str
    resource: Resource | None


class Holdings:
    """What the client holds of one type; keeps `Uses` in step."""

    def __init__(self, type_url: TypeUrl, uses: Uses) -> None:
        self._type_url = type_url
        self._uses = uses
        self._held: dict[ResourceName, Resource] = {}
        self._unknown: set[ResourceName] = set()
        self._outstanding: dict[ResourceName, tuple[_Sent, ...]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[ResourceName]:
        """Every name that the client holds or may hold."""
        yield from self._held
        yield from (name for name in self._outstanding if name not in self._held)

    def versions(self) -> dict[ResourceName, str]:
        """Return what is acknowledged, by name."""
        return {name: resource.version for name, resource in self._held.items()}

    def get(self, name: ResourceName) -> Resource | None:
        """Return what the client has acknowledged; a body without bytes stands for content we do not know."""
        return self._held.get(name)

    def content(self, name: ResourceName) -> Resource | None:
        """Return what the client has acknowledged if we could send it again."""
        return None if name in self._unknown else self._held.get(name)

    def fallback(self, name: ResourceName, refused: str) -> Resource | None:
        """Return what the client can be taken back to: what it holds or, if it has acknowledged none, may hold."""
        if name in self._held:
            return self.content(name)
        sent = (item.resource for item in reversed(self._outstanding.get(name, ())))
        return next((resource for resource in sent if resource is not None and resource.version != refused), None)

    def newest(self, name: ResourceName) -> Resource | None:
        """Return the last that was sent or, if nothing is out, what is held."""
        sent = self._outstanding.get(name)
        return sent[-1].resource if sent else self._held.get(name)

    def is_usable(self, name: ResourceName) -> bool:
        """Say whether others may refer to it: acknowledged and not on its way out."""
        sent = self._outstanding.get(name, ())
        return name in self._held and all(item.resource is not None for item in sent)

    def is_settled(self, name: ResourceName, version: str = "") -> bool:
        """Say whether the client certainly holds `name`, in this version if one is given."""
        held = self._held.get(name)
        return held is not None and name not in self._outstanding and version in ("", held.version)

    def is_leaving(self, name: ResourceName) -> bool:
        """Say whether its removal was the last that was sent."""
        sent = self._outstanding.get(name, ())
        return len(sent) > 0 and sent[-1].resource is None

    def may_hold(self, name: ResourceName) -> bool:
        return name in self._held or name in self._outstanding

    def assume(self, name: ResourceName, version: str, content: Resource | None) -> None:
        """Take the client's word for what it holds from an earlier stream, and for what that is if nobody knows."""
        if content is not None:
            self._hold(name, content)
            return
        self._held[name] = Resource(type_url=self._type_url, name=name, version=version, body=b"")
        self._unknown.add(name)
        self._uses.begin_unknown(self._type_url)

    def send(self, name: ResourceName, nonce: str, resource: Resource | None) -> None:
        if resource is not None:
            self._uses.begin(needs(resource))
        sent = (*self._outstanding.get(name, ()), _Sent(nonce=nonce, resource=resource))
        self._drop(sent[:-_MOST_DOUBTS])
        self._outstanding[name] = sent[-_MOST_DOUBTS:]

    def acknowledge(self, name: ResourceName, nonce: str) -> None:
        sent = self._outstanding.get(name, ())
        at = next((i for i, item in enumerate(sent) if item.nonce == nonce), None)
        if at is None:
            return
        # The references of the new are counted before those of the old end: none of them looks free in between.
        self._hold(name, sent[at].resource)
        self._drop(sent[: at + 1])
        self._keep_outstanding(name, sent[at + 1 :])

    def refuse(self, name: ResourceName, nonce: str, *, is_alone: bool) -> None:
        """Note a NACK. Of many, some may have been taken, so doubt remains; alone, it is certain that it was not."""
        if not is_alone:
            return
        sent = self._outstanding.get(name, ())
        version = next((_version(item) for item in sent if item.nonce == nonce), None)
        if version is None:
            return
        gone = tuple(item for item in sent if _version(item) == version)
        self._drop(gone)
        self._keep_outstanding(name, tuple(item for item in sent if _version(item) != version))

    def forget(self, name: ResourceName) -> None:
        """The client has unsubscribed: it keeps nothing."""
        self._hold(name, None)
        self._drop(self._outstanding.pop(name, ()))

    def _hold(self, name: ResourceName, resource: Resource | None) -> None:
        if resource is not None:
            self._uses.begin(needs(resource))
        old = self._held.pop(name, None)
        if resource is not None:
            self._held[name] = resource
        if name in self._unknown:
            self._unknown.discard(name)
            self._uses.end_unknown(self._type_url)
        elif old is not None:
            self._uses.end(needs(old))

    def _drop(self, sent: Iterable[_Sent]) -> None:
        for item in sent:
            if item.resource is not None:
                self._uses.end(needs(item.resource))

    def _keep_outstanding(self, name: ResourceName, sent: tuple[_Sent, ...]) -> None:
        if sent:
            self._outstanding[name] = sent
        else:
            self._outstanding.pop(name, None)


def _version(sent: _Sent) -> str:
    return sent.resource.version if sent.resource is not None else ""
