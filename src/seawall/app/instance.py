"""Instance: what the console is told about a running control plane. Reads, never changes.

Next room: `console.api` asks, `cli.status` shows.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from seawall.app.deliver import Deliver
from seawall.app.problems import ProblemBook, place_text
from seawall.app.rollouts import Rollouts
from seawall.app.scribe import Scribe
from seawall.app.statuses import rfc3339
from seawall.console.api import Question
from seawall.console.metrics import Metric, counter, gauge, text
from seawall.fleet.edges import EdgeStatus
from seawall.gateway.explain import explain
from seawall.gateway.matching import parse_request
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.kinds import SHAPES
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService

Json = dict[str, Any]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a running control plane is made of, as far as it is asked about."""

    name: str
    path: str
    deliver: Deliver
    edges: EdgeService
    problems: ProblemBook
    rollouts: Rollouts
    scribe: Scribe


class RunningInstance:
    """Implements `console.api.Instance`."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._deliver, self._service, self._problems = parts.deliver, parts.edges, parts.problems
        self._clock = clock
        self._started = clock()
        self.more: Callable[[], list[Metric]] = list
        """Metrics of others."""

    def objects(self) -> Iterator[Json]:
        """Describe one after the other, file by file; those that vanish meanwhile are left out."""
        for key in sorted(self._deliver.objects, key=lambda key: (self._problems.file_of(key) or "", key)):
            if key in self._deliver.objects:
                yield self._object(self._deliver.objects[key])

    def object(self, kind: str, namespace: str, name: str) -> Json | None:
        found = self._deliver.objects.get(object_key(kind, namespace, name))
        return self._object(found) if found is not None else None

    def edges(self) -> list[Json]:
        now = Instant(self._clock())
        return [_edge(edge, edge.is_well(now)) for edge in self._service.edges.list(now)]

    def status(self) -> Json:
        """Say in short how all of it is."""
        statuses = self._deliver.resolver.statuses.values()
        found = [problem for status in statuses for problem in status.problems]
        in_files = self._problems.in_files()
        severities = [*(one.severity for one in found), *(one["severity"] for one in in_files)]
        edges = self.edges()
        errors = severities.count("error")
        held = self._held()
        is_refused = any(one["verdict"] == "refuse" for one in held)
        return {
            "name": self._parts.name,
            "path": self._parts.path,
            "pid": os.getpid(),
            "startedAt": rfc3339(self._started),
            "version": self._deliver.builder.snapshot.version,
            "objects": len(self._deliver.objects),
            "errors": errors,
            "warnings": severities.count("warning"),
            "fileProblems": in_files,
            "edges": {"connected": len(edges), "well": sum(edge["isWell"] for edge in edges)},
            "held": held,
            "isWell": not errors and not is_refused and bool(edges) and all(edge["isWell"] for edge in edges),
        }

    def _held(self) -> list[Json]:
        """Say which guards keep the newest configuration from going out; none if it is out."""
        report, base = self._parts.rollouts.report, self._parts.rollouts.base
        if report is None or (base is not None and base.bundle.version == self._deliver.builder.snapshot.version):
            return []
        stopping = (one for one in report.guards if one.verdict in ("hold", "refuse") and not one.override)
        return [
            {"guard": one.guard, "verdict": one.verdict, "message": f"{one.message} {one.remedy}".strip()}
            for one in stopping
        ]

    def explain(self, question: Question) -> Json:
        request = parse_request(question.method, question.url, question.headers, question.sni, question.client)
        found = explain(self._deliver.resolver.graph, request, place_text(self._problems.place_of))
        return dict(msgspec.to_builtins(found))

    def metrics(self) -> str:
        return text(self._metrics())

    def _refusals(self) -> list[Metric]:
        counts = self._service.callers.counts
        return [
            counter("edge_streams_refused_total", "Streams of edges beyond the limits.", counts["refused_streams"]),
            counter("edge_greetings_refused_total", "Edges that came back too often.", counts["refused_greetings"]),
            counter("edge_messages_slowed_total", "Messages of edges beyond their rate.", counts["slowed_messages"]),
        ]

    def _metrics(self) -> list[Metric]:
        counters, status = self._deliver.counters, self.status()
        snapshot = self._deliver.builder.snapshot
        age = self._clock() - counters.published_at if counters.published_at else 0.0
        return [
            *self._rollout_metrics(),
            *self.more(),
            gauge("objects", "Objects in force.", status["objects"]),
            gauge("errors", "Errors in manifests and refusals of edges.", status["errors"]),
            gauge("warnings", "Warnings about manifests.", status["warnings"]),
            gauge("pending_objects", "Changed objects that wait for the next step.", self._deliver.pending),
            gauge("snapshot_resources", "Envoy resources in the newest snapshot.", len(snapshot)),
            gauge("snapshot_age_seconds", "Time since the newest snapshot was published.", age),
            gauge("edges_connected", "Edges with an open stream.", status["edges"]["connected"]),
            gauge("edges_well", "Edges that run the newest snapshot, all of it.", status["edges"]["well"]),
            *self._refusals(),
            counter("steps_total", "Times that pending changes were carried through.", counters.steps),
            counter("snapshots_total", "Snapshots published.", counters.published),
            counter("changed_objects_total", "Changes of objects that came in.", counters.objects),
            counter("resolve_seconds_total", "Time spent in resolving.", counters.resolve_seconds),
            counter("build_seconds_total", "Time spent in building Envoy's messages.", counters.build_seconds),
        ]

    def _rollout_metrics(self) -> list[Metric]:
        now = Instant(self._clock())
        view, outcomes = self._parts.rollouts.conductor.view(now), self._parts.rollouts.outcomes
        course = view.rollout
        edges = self._service.edges.list(now)
        stages = [one.stage for one in course.stages] if course is not None else []
        return [
            gauge("leader", "1 if this control plane decides.", int(self._parts.rollouts.is_leader)),
            gauge("rollout_running", "1 while a change goes out.", int(course is not None)),
            gauge("rollout_stage", "Where it stands, 0 to 8.", stages.index(course.stage) if course is not None else 0),
            gauge(
                "rollout_held", "1 while it waits for more than its clock.", int(course is not None and course.is_held)
            ),
            gauge("rollout_queued", "1 if another change waits.", int(bool(view.waiting))),
            gauge("rollout_pinned", "1 after `rollout back`, until `unpin`.", int(view.pin is not None)),
            gauge("rollout_frozen", "1 while nothing is promoted.", int(bool(view.frozen))),
            gauge("rollout_requests", "Commands that wait for a second person.", len(view.requests)),
            gauge("bundles_good", "Last-known-good versions.", len(view.goods)),
            gauge("objects_held_back", "Objects held at what they were.", len(self._deliver.undo.held)),
            gauge("edges_pinned", "Edges that a local operator has pinned.", sum(_is_pinned(one) for one in edges)),
            gauge("edges_fallen_back", "Edges on their last proven state.", sum(_has_fallen(one) for one in edges)),
            gauge("edges_refusing", "Edges that refused what they were told.", sum(_refuses(one) for one in edges)),
            gauge("history_away", "1 while the history cannot be written.", int(bool(self._parts.scribe.problem))),
            gauge("history_waiting", "Entries of the log that are not written yet.", self._parts.scribe.waiting),
            counter("history_lost_total", "Entries lost while the history was away.", self._parts.scribe.lost),
            counter("rollouts_completed_total", "Changes that went out.", outcomes["completed"]),
            counter("rollouts_rolled_back_total", "Changes that went back.", outcomes["rolled_back"]),
            counter("rollouts_refused_total", "Changes that reached no edge.", outcomes["refused"]),
            counter("rollouts_aborted_total", "Changes that somebody ended.", outcomes["aborted"]),
            counter("rollouts_superseded_total", "Changes that a newer one replaced.", outcomes["superseded"]),
        ]

    def _object(self, obj: Object) -> Json:
        status = self._deliver.resolver.statuses.get(obj.key)
        shape = SHAPES[obj.kind]
        meta: Json = {
            "name": obj.meta.name,
            **({"namespace": obj.meta.namespace} if obj.meta.namespace else {}),
            "generation": obj.meta.generation,
            "creationTimestamp": rfc3339(obj.meta.created),
            "labels": dict(obj.meta.labels),
            "annotations": dict(obj.meta.annotations),
        }
        return {
            "apiVersion": shape.api_version,
            "kind": obj.kind,
            "metadata": meta,
            "status": self._deliver.statuses.body(status) if status is not None else {},
            "problems": [self._problems.one(obj.key, one) for one in status.problems] if status is not None else [],
        }


def _edge(edge: EdgeStatus, is_well: bool) -> Json:
    heartbeat = edge.heartbeat
    return {
        "edge": edge.edge,
        "isConnected": edge.is_connected,
        "isWell": is_well,
        "state": _state(edge),
        "since": rfc3339(edge.since),
        "heardAt": rfc3339(edge.heard_at),
        "software": edge.software,
        "envoy": edge.envoy,
        "wanted": edge.sent,
        "applied": edge.applied,
        "running": heartbeat.running if heartbeat is not None else "",
        "took": edge.took,
        "fallback": heartbeat.fallback if heartbeat is not None else "",
        "deaths": heartbeat.deaths if heartbeat is not None else 0,
        "region": edge.region,
        "cell": edge.cell,
        "assigned": edge.assigned,
        "bundle": heartbeat.bundle if heartbeat is not None else "",
        "kept": list(heartbeat.kept) if heartbeat is not None else [],
        "pinned": heartbeat.pinned if heartbeat is not None else "",
        "fence": heartbeat.fence if heartbeat is not None else 0,
        "refused": {"by": edge.refused.by, "reason": edge.refused.reason} if edge.refused is not None else None,
        "rejections": [
            {"type": one.ref.type_url.rsplit(".", 1)[1], "name": one.ref.name, "message": one.message}
            for one in edge.rejections
        ],
    }


def _is_pinned(edge: EdgeStatus) -> bool:
    return edge.heartbeat is not None and bool(edge.heartbeat.pinned)


def _has_fallen(edge: EdgeStatus) -> bool:
    return edge.heartbeat is not None and bool(edge.heartbeat.fallback)


def _refuses(edge: EdgeStatus) -> bool:
    return edge.refused is not None and edge.refused.bundle == edge.assigned


def _state(edge: EdgeStatus) -> str:
    """Say in a word or two what is most wrong with an edge."""
    if not edge.is_connected:
        return "gone"
    if edge.heartbeat is None:
        return "starting"
    if edge.heartbeat.envoy != "live":
        return edge.heartbeat.envoy
    if edge.heartbeat.pinned:
        return "pinned here"
    if edge.refused is not None and edge.refused.bundle == edge.assigned:
        return f"refused by its {edge.refused.by}"
    if edge.rejections:
        return f"refuses {len(edge.rejections)}"
    if edge.applied != edge.sent:
        return "catching up"
    return "ready" if edge.heartbeat.is_ready else "not ready"
