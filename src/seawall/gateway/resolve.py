"""Resolve: objects → graph and statuses, at the cost of what changed.

Pure. The rules below, in this order, are all there is: each is a function of what it looks at (`gateway.view`), so the
full rebuild is a new `Resolver` that is given everything, and an update computes only what looked at something changed.

    certificates · grants ─▶ addresses ─▶ gateways ─▶ listeners ─▶ sockets ─▶ parents
    perimeter · native filters ──────────────────▶┘
        policies ─▶ backends ─▶ streams ─▶ what is opened · routes ─▶ hosts · clusters ─▶ statuses

Next room: `envoy.build`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from seawall.gateway.access import ACCESS, ACCESS_FOR, ACCESS_OF_LISTENER
from seawall.gateway.addresses import ADDRESSES, ASSIGNED
from seawall.gateway.attach import PARENT
from seawall.gateway.backends import BACKEND, CLUSTER, ENDPOINTS, OWN_TLS, RESOLUTION
from seawall.gateway.certificates import Checked
from seawall.gateway.gateways import ADMISSION, FRONTEND, GATEWAY
from seawall.gateway.grants import GRANT
from seawall.gateway.graph import (
    Cluster,
    ClusterName,
    Endpoints,
    Graph,
    GraphChange,
    HostKey,
    Listener,
    ListenerName,
    ObjectKey,
    Perimeter,
    Protection,
    RateLimit,
    RuntimeValue,
    SecretName,
    TlsSecret,
    VirtualHost,
)
from seawall.gateway.indexes import ALL, SUGGESTION, publish_object
from seawall.gateway.limits import FLEET_SLOTS, LIMITS, OF_LISTENER, QUOTA
from seawall.gateway.listeners import CLAIM
from seawall.gateway.manners import MANNER, REVOCATION
from seawall.gateway.native import CHECK_FILTER, LISTENER_FILTERS, POLICY_FILTERS, CheckFilter
from seawall.gateway.objects import Object
from seawall.gateway.opened import OPENED, Opened
from seawall.gateway.perimeters import OVER, PERIMETER, RUNTIME, over
from seawall.gateway.policies import POLICY, WINNER
from seawall.gateway.protection import PROTECTION
from seawall.gateway.reports import SET_ATTACHED, STATUS, USE
from seawall.gateway.rivals import HAS_GRPC
from seawall.gateway.routes import GRPC_CLAIM, GRPC_ROUTE, HOST, HTTP_ROUTE
from seawall.gateway.secrets import BUNDLE, CERTIFICATE, CLOCK, QUARANTINE, SECRET, Bundle
from seawall.gateway.settings import SETTINGS, Settings
from seawall.gateway.sockets import OVERLAPS, OWNER, SOCKET
from seawall.gateway.status import Status
from seawall.gateway.streams import CHOSEN, STREAM_ROUTE
from seawall.gateway.traffic import BACKEND_WINNER, MERGED, TRAFFIC_OF_LISTENER, TRAFFIC_WINNER, TREATMENT
from seawall.gateway.verdicts import FAULTS, VERDICTS
from seawall.gateway.view import Cells, Rule
from seawall.kit.units import Instant

RULES: Final[tuple[Rule[Any, Any], ...]] = (
    PERIMETER,
    PROTECTION,
    RUNTIME,
    CERTIFICATE,
    BUNDLE,
    SUGGESTION,
    GRANT,
    ASSIGNED,
    ADDRESSES,
    GATEWAY,
    FRONTEND,
    ADMISSION,
    CLAIM,
    POLICY_FILTERS,
    LISTENER_FILTERS,
    SOCKET,
    OWNER,
    OVERLAPS,
    PARENT,
    WINNER,
    POLICY,
    OWN_TLS,
    FLEET_SLOTS,
    LIMITS,
    OF_LISTENER,
    QUOTA,
    ACCESS,
    ACCESS_FOR,
    ACCESS_OF_LISTENER,
    TRAFFIC_WINNER,
    TRAFFIC_OF_LISTENER,
    MERGED,
    BACKEND_WINNER,
    TREATMENT,
    RESOLUTION,
    BACKEND,
    STREAM_ROUTE,
    CHOSEN,
    REVOCATION,
    MANNER,
    OPENED,
    GRPC_CLAIM,
    HAS_GRPC,
    HTTP_ROUTE,
    GRPC_ROUTE,
    HOST,
    CLUSTER,
    ENDPOINTS,
    SECRET,
    USE,
    VERDICTS,
    SET_ATTACHED,
    STATUS,
)

_SOON: Final = 7 * 86_400.0


class Resolver:
    """Follows a set of objects and holds what they amount to."""

    def __init__(self, settings: Settings | None = None, check_filter: CheckFilter | None = None) -> None:
        """Make an empty one.

        Args:
            check_filter: says whether Envoy can read the configuration of a native filter; None takes any.
        """
        self._cells = Cells(RULES, publish_object)
        self._cells.set_facts(SETTINGS, {"": settings or Settings(), CHECK_FILTER: check_filter})
        self._listeners: dict[ListenerName, Listener] = {}
        self._hosts: dict[HostKey, VirtualHost] = {}
        self._clusters: dict[ClusterName, Cluster] = {}
        self._endpoints: dict[ClusterName, Endpoints] = {}
        self._secrets: dict[SecretName, TlsSecret] = {}
        self._runtime: dict[str, RuntimeValue] = {}
        self._quotas: dict[ObjectKey, RateLimit] = {}
        self._perimeters: dict[str, Perimeter] = {}
        self._protections: dict[str, Protection] = {}
        self._statuses: dict[ObjectKey, Status] = {}
        self._dates: dict[ObjectKey, Checked] = {}
        self._at = Instant(0.0)
        self._graph = Graph(
            listeners=self._listeners,
            hosts=self._hosts,
            clusters=self._clusters,
            endpoints=self._endpoints,
            secrets=self._secrets,
            runtime=self._runtime,
            quotas=self._quotas,
        )

    @property
    def graph(self) -> Graph:
        """All of it, as it is now."""
        return self._graph

    @property
    def statuses(self) -> Mapping[ObjectKey, Status]:
        """What we say of each object, as it is now."""
        return self._statuses

    @property
    def computed(self) -> int:
        """Count the cells computed since the beginning: the measure of work that does not depend on the machine."""
        return self._cells.computed

    def update(
        self,
        put: Iterable[Object] = (),
        remove: Iterable[ObjectKey] = (),
        quarantine: Mapping[ObjectKey, str] | None = None,
        faults: Mapping[ListenerName, str] | None = None,
        at: Instant | None = None,
    ) -> GraphChange:
        """Take in changes and return the names of what they change.

        Args:
            put: objects that appeared or changed.
            remove: objects that vanished.
            quarantine: everything that Envoy refuses, with what it says; None leaves this as it is.
            faults: every socket that an edge could not open, with why; None leaves this as it is.
            at: the time, to tell which certificates have expired and which switches are over; None leaves this as it is.
        """
        for key in remove:
            self._cells.remove(key)
        for obj in put:
            self._cells.put(obj)
        if quarantine is not None:
            self._cells.set_facts(QUARANTINE, quarantine)
        if faults is not None:
            self._cells.set_facts(FAULTS, faults)
        changes = self._cells.settle()
        if self._tell_time(changes, at):
            changes |= self._cells.settle()
        return self._take(changes)

    def _tell_time(self, changes: Mapping[Any, tuple[Any, Any]], at: Instant | None) -> bool:
        """Note what the time says about certificates in use and switches; say whether somebody may have to know."""
        for (rule, key), (_, now) in changes.items():
            if rule is CERTIFICATE or rule is BUNDLE:
                checked = now.checked if isinstance(now, Bundle) else now
                if isinstance(checked, Checked) and not checked.fault:
                    self._dates[key] = checked
                else:
                    self._dates.pop(key, None)
        if at is not None:
            self._at = at
        if not self._at:
            return False
        said = {key: words for key, checked in self._dates.items() if (words := _dated(checked, self._at))}
        self._cells.set_facts(CLOCK, said)
        _, found = changes.get((PERIMETER, ALL), (None, self._perimeters.get(ALL)))
        self._cells.set_facts(OVER, over(found.spec.switches, self._at) if isinstance(found, Perimeter) else {})
        return True

    def _take(self, changes: Mapping[Any, tuple[Any, Any]]) -> GraphChange:
        changed: dict[Rule[Any, Any], set[Any]] = {rule: set() for rule in self._kept}
        for (rule, key), (_, now) in changes.items():
            kept = self._kept.get(rule)
            if kept is None:
                continue
            value = now.listener if isinstance(now, Opened) else now
            if value == kept.get(key):
                continue
            changed[rule].add(key)
            if value is None:
                del kept[key]
            else:
                kept[key] = value
        if changed[PROTECTION]:
            self._graph = msgspec.structs.replace(self._graph, protection=self._protections.get(ALL))
        if changed[PERIMETER]:
            self._graph = msgspec.structs.replace(self._graph, perimeter=self._perimeters.get(ALL))
        return GraphChange(
            listeners=frozenset(changed[OPENED]),
            hosts=frozenset(changed[HOST]),
            clusters=frozenset(changed[CLUSTER]),
            endpoints=frozenset(changed[ENDPOINTS]),
            secrets=frozenset(changed[SECRET]),
            statuses=frozenset(changed[STATUS]),
            runtime=frozenset(changed[RUNTIME]),
            perimeter=bool(changed[PERIMETER]),
        )

    @property
    def _kept(self) -> dict[Rule[Any, Any], dict[Any, Any]]:
        return {
            OPENED: self._listeners,
            HOST: self._hosts,
            CLUSTER: self._clusters,
            ENDPOINTS: self._endpoints,
            SECRET: self._secrets,
            STATUS: self._statuses,
            RUNTIME: self._runtime,
            QUOTA: self._quotas,
            PERIMETER: self._perimeters,
            PROTECTION: self._protections,
        }


def _dated(checked: Checked, at: Instant) -> str:
    if at >= checked.not_after:
        return "has expired"
    if at < checked.not_before:
        return "is not valid yet"
    return "expires within 7 days" if at >= checked.not_after - _SOON else ""
