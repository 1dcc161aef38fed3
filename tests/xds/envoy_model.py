"""A model of an Envoy as xDS client, slow at will: what it holds, what it asks for, when it answers.

It behaves as the real one was seen to: clusters warm until their endpoints come; while any warms, answers about clusters
are held back (and, on a new stream, so is the question); a name of which it knows the endpoints is not asked for again; of
a refused response about clusters the good ones are taken, of one about scopes nothing; a refused cluster is counted as
warming until its name is replaced or removed. A body that begins with "bad" is refused.
"""

import msgspec

from seawall.kit.units import Instant
from seawall.xds.events import Acked, Action, Event, Nacked, Send, SnapshotChanged, Subscribed, Ticked
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import Change, Snapshot
from seawall.xds.stream import DeltaStream

_GHOST = "refused"
_START = 7_654_321.5


class ModelEnvoy:
    """Client, network and clock around a `DeltaStream`. Each method is one step of one of them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.history = {(r.ref, r.version): r for r in snapshot.all()}
        self.now = _START
        self.clusters: dict[ResourceName, Resource] = {}
        self.warming: dict[ResourceName, Resource | str] = {}
        self.endpoints: dict[ResourceName, str] = {}
        self.watched_endpoints: set[ResourceName] = set()
        self.listeners: dict[ResourceName, str] = {}
        self.scopes: dict[ResourceName, Resource] = {}
        self.accepted: dict[TypeUrl, dict[ResourceName, str]] = {t: {} for t in (CLUSTER, ENDPOINTS, LISTENER, SCOPE)}
        self.said: list[Action] = []
        self.connect()

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Begin a new stream; what was under way is lost."""
        self.stream = DeltaStream(self.snapshot, recall=lambda ref, version: self.history.get((ref, version)))
        self.inbox: list[Send] = []
        self.outbox: list[Event] = []
        self.held_back: list[Event] = []
        self.asked: set[TypeUrl] = set()
        # A new stream with an old ghost would never hear of clusters; the model does not go there.
        self.warming = {name: found for name, found in self.warming.items() if found is not _GHOST}
        self.is_paused = bool(self.warming)
        self._ask(CLUSTER)
        if self.watched_endpoints:
            self._ask(ENDPOINTS, tuple(sorted(self.watched_endpoints)))
        if self.listeners:
            self._ask(LISTENER)
            self._ask(SCOPE)

    def change(self, change: Change) -> None:
        self.snapshot = self.snapshot.apply(change)
        self.history |= {(r.ref, r.version): r for r in change.put}
        self._feed(SnapshotChanged(at=Instant(self.now), snapshot=self.snapshot, change=change))

    def tick(self, duration: float) -> None:
        self.now += duration
        self._feed(Ticked(at=Instant(self.now)))

    def deliver(self) -> bool:
        """Bring one request to the server."""
        if not self.outbox:
            return False
        self._feed(self.outbox.pop(0))
        return True

    def read(self) -> bool:
        """Let the client read one response."""
        if not self.inbox:
            return False
        send = self.inbox.pop(0)
        assert len({r.name for r in send.resources} | set(send.removed)) == len(send.resources) + len(send.removed)
        match send.type_url:
            case t if t == CLUSTER:
                error = self._take_clusters(send)
            case t if t == ENDPOINTS:
                error = self._take_endpoints(send)
            case t if t == LISTENER:
                error = self._take_listeners(send)
            case _:
                error = self._take_scopes(send)
        self._answer(send, error)
        self.check()
        return True

    def drain(self) -> None:
        """Let everything happen that is going to happen."""
        for _ in range(10_000):
            if self.deliver() or self.read():
                continue
            wake_at = self.stream.wake_at()
            if wake_at is None:
                return
            self.now = max(self.now, wake_at)
            self._feed(Ticked(at=Instant(self.now)))
            following = self.stream.wake_at()
            assert following is None or following > self.now or self.inbox
        raise AssertionError("the stream never comes to rest")

    def check(self) -> None:
        """No route that the client runs names a cluster that it does not have."""
        for scope in self.scopes.values():
            for target in scope.refs:
                assert target.name in self.clusters, f"{scope.name} names {target.name}, which is not there"

    # ── the client ───────────────────────────────────────────────────────────────────────────────────────────────

    def _take_clusters(self, send: Send) -> str:
        refused: list[str] = []
        fresh: list[ResourceName] = []
        is_counted = bool(send.removed)
        for resource in send.resources:
            if resource.body.startswith(b"bad"):
                refused.append(resource.name)
                self.warming[resource.name] = _GHOST
            elif self.warming.get(resource.name, self.clusters.get(resource.name)) != resource:
                self.warming[resource.name] = resource
                is_counted = True
                if resource.name not in self.watched_endpoints:
                    fresh.append(resource.name)
        dropped = [name for name in send.removed if name in self.watched_endpoints]
        for name in send.removed:
            self.clusters.pop(name, None)
            self.warming.pop(name, None)
            self.endpoints.pop(name, None)
            self.accepted[ENDPOINTS].pop(name, None)
        self.watched_endpoints |= set(fresh)
        self.watched_endpoints -= set(dropped)
        if fresh or dropped:
            self._ask(ENDPOINTS, tuple(fresh), tuple(dropped))
        if is_counted:
            self._count()
        if self.clusters and not self.warming:
            self._ask_for_listeners()
        return f"Error adding/updating cluster(s) {', '.join(refused)}" if refused else ""

    def _take_endpoints(self, send: Send) -> str:
        for name in (*(r.name for r in send.resources), *send.removed):
            warm = self.warming.get(name)
            if isinstance(warm, Resource):
                self.clusters[name] = warm
                del self.warming[name]
        self.endpoints.update((r.name, r.version) for r in send.resources)
        self._count()
        if not self.warming:
            self._ask_for_listeners()
        return ""

    def _take_listeners(self, send: Send) -> str:
        self.listeners.update((r.name, r.version) for r in send.resources)
        for name in send.removed:
            self.listeners.pop(name, None)
        if self.listeners and SCOPE not in self.asked:
            self._ask(SCOPE)
        return ""

    def _take_scopes(self, send: Send) -> str:
        if any(r.body.startswith(b"bad") for r in send.resources):
            return "something is bad"
        self.scopes.update((r.name, r) for r in send.resources)
        for name in send.removed:
            self.scopes.pop(name, None)
        return ""

    def _ask_for_listeners(self) -> None:
        if LISTENER not in self.asked:
            self._ask(LISTENER)

    def _ask(self, type_url: TypeUrl, add: tuple[ResourceName, ...] = (), drop: tuple[ResourceName, ...] = ()) -> None:
        initial = {} if type_url in self.asked else dict(self.accepted[type_url])
        self.asked.add(type_url)
        request = Subscribed(
            at=Instant(self.now), type_url=type_url, subscribe=add, unsubscribe=drop, initial_versions=initial
        )
        if type_url == CLUSTER and self.is_paused:
            self.held_back.append(request)
        else:
            self.outbox.append(request)

    def _answer(self, send: Send, error: str) -> None:
        answer: Event
        if error:
            answer = Nacked(at=Instant(self.now), type_url=send.type_url, nonce=send.nonce, message=error)
        else:
            answer = Acked(at=Instant(self.now), type_url=send.type_url, nonce=send.nonce)
            accepted = self.accepted[send.type_url]
            accepted.update((r.name, r.version) for r in send.resources)
            for name in send.removed:
                accepted.pop(name, None)
        if send.type_url == CLUSTER and self.is_paused:
            self.held_back.append(answer)
        else:
            self.outbox.append(answer)

    def _count(self) -> None:
        """Hold back, while anything warms, what is said about clusters."""
        self.is_paused = bool(self.warming)
        if not self.is_paused:
            self.outbox += self.held_back
            self.held_back = []

    def _feed(self, event: Event) -> None:
        event = msgspec.structs.replace(event, at=Instant(self.now))
        actions = self.stream.handle(event)
        self.said += actions
        self.inbox += [action for action in actions if isinstance(action, Send)]
