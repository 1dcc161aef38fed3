"""A stream under test with a clock, and small resources whose bodies are their versions."""

from collections.abc import Mapping

from seawall.kit.units import Instant, Seconds
from seawall.xds.client import StreamSettings
from seawall.xds.events import Acked, Action, Event, Nacked, Rejected, Send, SnapshotChanged, Subscribed, Ticked
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, SECRET, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot
from seawall.xds.stream import DeltaStream

START = 7_654_321.5


def res(type_url: TypeUrl, name: str, version: str = "1", *refs: Ref) -> Resource:
    return Resource(type_url=type_url, name=ResourceName(name), version=version, body=version.encode(), refs=refs)


def ref(type_url: TypeUrl, name: str) -> Ref:
    return Ref(type_url, ResourceName(name))


def cluster(name: str, version: str = "1", *secrets: str) -> Resource:
    return res(CLUSTER, name, version, *(ref(SECRET, secret) for secret in secrets))


def endpoints(name: str, version: str = "1") -> Resource:
    return res(ENDPOINTS, name, version)


def scope(name: str, *clusters: str, version: str = "1") -> Resource:
    return res(SCOPE, name, version, *(ref(CLUSTER, target) for target in clusters))


def listener(name: str, version: str = "1", *refs: Ref) -> Resource:
    return res(LISTENER, name, version, *refs)


def names(*values: str) -> tuple[ResourceName, ...]:
    return tuple(ResourceName(value) for value in values)


class Play:
    """Feeds a stream and keeps what it said last."""

    def __init__(self, *resources: Resource, settings: StreamSettings | None = None) -> None:
        self.snapshot = Snapshot.of(resources) if resources else EMPTY
        self.stream = DeltaStream(self.snapshot, settings)
        self.now = START

    def feed(self, event: Event) -> list[Action]:
        return self.stream.handle(event)

    def subscribe(
        self,
        type_url: TypeUrl,
        *subscribe: str,
        unsubscribe: tuple[str, ...] = (),
        initial: Mapping[str, str] | None = None,
    ) -> list[Action]:
        return self.feed(
            Subscribed(
                at=Instant(self.now),
                type_url=type_url,
                subscribe=names(*subscribe),
                unsubscribe=names(*unsubscribe),
                initial_versions={ResourceName(name): version for name, version in (initial or {}).items()},
            )
        )

    def ack(self, send: Action) -> list[Action]:
        assert isinstance(send, Send)
        return self.feed(Acked(at=Instant(self.now), type_url=send.type_url, nonce=send.nonce))

    def nack(self, send: Action, message: str = "no") -> list[Action]:
        assert isinstance(send, Send)
        return self.feed(Nacked(at=Instant(self.now), type_url=send.type_url, nonce=send.nonce, message=message))

    def change(self, *put: Resource, remove: tuple[Ref, ...] = ()) -> list[Action]:
        change = Change(put=put, remove=remove)
        self.snapshot = self.snapshot.apply(change)
        return self.feed(SnapshotChanged(at=Instant(self.now), snapshot=self.snapshot, change=change))

    def wait(self, duration: float) -> list[Action]:
        """Let time pass, waking the stream whenever it asked to be."""
        end = self.now + duration
        actions: list[Action] = []
        while (due := self.stream.wake_at()) is not None and due <= end:
            self.now = max(self.now, due)
            actions += self.feed(Ticked(at=Instant(self.now)))
        self.now = end
        return [*actions, *self.feed(Ticked(at=Instant(self.now)))]

    def settle(self, actions: list[Action]) -> list[Action]:
        """Acknowledge everything, and what comes of it; return all that was said."""
        said: list[Action] = []
        while actions:
            said += actions
            actions = [answer for send in sends(actions) for answer in self.ack(send)]
        return said


def sends(actions: list[Action]) -> list[Send]:
    return [action for action in actions if isinstance(action, Send)]


def only(actions: list[Action]) -> Send:
    """Return the one response among the actions."""
    (send,) = sends(actions)
    return send


def sent(actions: list[Action]) -> list[tuple[str, list[str], list[str]]]:
    """Shorten responses to (kind, names, removed)."""
    return [
        (send.type_url.rsplit(".", 1)[-1], [resource.name for resource in send.resources], list(send.removed))
        for send in sends(actions)
    ]


def rejections(actions: list[Action]) -> list[Rejected]:
    return [action for action in actions if isinstance(action, Rejected)]


def booted(*resources: Resource, settings: StreamSettings | None = None) -> Play:
    """Return a stream whose client, an Envoy, has asked for everything and acknowledged it."""
    play = Play(*resources, settings=settings)
    eds = [r.name for r in resources if r.type_url == ENDPOINTS]
    sds = [r.name for r in resources if r.type_url == SECRET]
    play.settle(play.subscribe(CLUSTER))
    if eds:
        play.settle(play.subscribe(ENDPOINTS, *eds))
    if sds:
        play.settle(play.subscribe(SECRET, *sds))
    play.settle(play.subscribe(LISTENER))
    play.settle(play.subscribe(SCOPE))
    return play


SHORT = StreamSettings(barrier=Seconds(10), grace=Seconds(5))
