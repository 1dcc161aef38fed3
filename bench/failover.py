"""Failover: one of four pods resets TCP for a while and heals, again and again; how many requests does that cost?

The test of gateway-api-bench in file mode: 256 paths (16 routes of 16 rules) to one Service of 4 pods, one of which resets
every connection for 22 s and is well for 22 s, five times, under steady load. Four times side by side in one `seawall up`, each
with a hostname, a Service and pods of its own: without retries and without a policy, without retries and with a policy of
ten lines, with a policy that asks for retries and says no more of them, and without any policy.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
from tests.support.clients import Ask, Counted, Load, Mix
from tests.support.manifests import GATEWAY_API, Json, gateway
from tests.support.origins import Answer, Asked, Origin
from tests.support.seawall import free_port, seawall_up

from bench.options import Options, say
from bench.report import Result, Table, goal

QUESTION = "how many requests does a pod cost that resets TCP for 22 s and heals, five times?"
ROUTES = RULES = 16
PODS = 4
RATE = 205.0
"""Requests a second to each Service: so many come to one pod of four in the published runs (some 51)."""
_GROUP = "gateway.networking.k8s.io"
_BACKEND: Json = {
    "healthCheck": {"http": {"path": "/health"}, "interval": "200ms", "timeout": "200ms", "unhealthy": 1},
}
_NO_RETRIES: Json = {"retry": {"attempts": 0}}


class Pod(Origin):
    """A pod that can stop: its port is closed, so that the kernel resets whoever comes, and what was open is reset."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.served = self.probes = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/health":
            self.probes += 1
        else:
            self.served += 1
        return Answer()

    async def heal(self) -> None:
        self._server = await asyncio.start_server(self._keep, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def fail(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self.serve(reader, writer)
        finally:
            self._open.discard(writer)
            self.asked.clear()


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One way to be configured: what a policy says of the route and of the Service."""

    name: str
    title: str
    route: Json = {}
    backend: Json = {}


LANES = (
    Lane(name="bare", title="no retries, no policy", route=_NO_RETRIES),
    Lane(name="policy", title="no retries; checks and ejection", route=_NO_RETRIES, backend=_BACKEND),
    Lane(name="retries", title="`retry: {}`", route={"retry": {}}),
    Lane(name="default", title="as it is without any policy"),
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests of a lane. `probes`: a second, to all of its pods."""

    sent: int
    failed: int
    served: int
    probes: float


async def run(options: Options) -> Result:
    """Measure all lanes at once."""
    down, cycles = options.pick(22, 1), options.pick(5, 1)
    async with _pods() as pods:
        port = free_port()
        files = {"gateway": gateway(port), **{lane.name: list(_manifests(lane, pods[lane.name])) for lane in LANES}}
        async with seawall_up(files), asyncio.TaskGroup() as group:
            loads = {lane.name: Load(_mix(lane, port)) for lane in LANES}
            tasks = [group.create_task(load.run(), name=name) for name, load in loads.items()]
            await asyncio.sleep(options.pick(5, 1))
            seen = await _flap(loads, pods, down, cycles)
            for task in tasks:
                task.cancel()
    return _result(seen)


@contextlib.asynccontextmanager
async def _pods() -> AsyncIterator[dict[str, list[Pod]]]:
    pods = {lane.name: [Pod() for _ in range(PODS)] for lane in LANES}
    for each in pods.values():
        for pod in each:
            await pod.heal()
    try:
        yield pods
    finally:
        for each in pods.values():
            for pod in each:
                pod.fail()


async def _flap(loads: dict[str, Load], pods: dict[str, list[Pod]], down: int, cycles: int) -> dict[str, Seen]:
    """Let the first pod of every lane fail and heal, and count from the first failure to the end."""
    began = time.monotonic()
    before = {name: _count(load.counted, pods[name]) for name, load in loads.items()}
    for cycle in range(cycles):
        say(f"cycle {cycle + 1} of {cycles}")
        for each in pods.values():
            each[0].fail()
        await asyncio.sleep(down)
        for each in pods.values():
            await each[0].heal()
        await asyncio.sleep(down)
    took = time.monotonic() - began
    found = {}
    for name, load in loads.items():
        now, then = _count(load.counted, pods[name]), before[name]
        sent, failed, served, probes = (one - other for one, other in zip(now, then, strict=True))
        found[name] = Seen(sent=sent, failed=failed, served=served, probes=probes / took)
    return found


def _count(counted: Counted, pods: list[Pod]) -> tuple[int, int, int, int]:
    return counted.sent, counted.failures, pods[0].served, sum(pod.probes for pod in pods)


def _result(seen: dict[str, Seen]) -> Result:
    rows = tuple(
        (
            lane.title,
            f"{seen[lane.name].sent:,}",
            f"{seen[lane.name].failed:,}",
            f"{seen[lane.name].served:,}",
            f"{seen[lane.name].probes:.1f}",
        )
        for lane in LANES
    )
    table = Table(
        title="Requests while one pod of four fails and heals",
        heads=("how", "sent", "failed", "served by that pod", "checks a second"),
        rows=rows,
        note=(
            "As published by gateway-api-bench, failed / served by that pod, without retries: Envoy Gateway 5,636 / 5,542, with "
            "active checks 118 / 5,548 (and about 1,000 checks a second); Istio 5,580 / 5,442, with ejection 162 / 1,012; "
            "agentgateway 1,394 / 5,224. With retries: Envoy Gateway 334, agentgateway 10, Istio 5, Nginx 0 failed."
        ),
    )
    policy = seen["policy"]
    return Result(
        bench="failover",
        question=QUESTION,
        tables=(table,),
        verdicts=(
            goal("failed without retries, with the policy", policy.failed, 118, "requests"),
            goal("served by that pod, with the policy", policy.served, 5548, "requests", at_least=True),
            goal("checks, with the policy", policy.probes, 20, "a second"),
            goal("failed with `retry: {}`", seen["retries"].failed, 0, "requests"),
            goal("failed without any policy", seen["default"].failed, 0, "requests"),
        ),
        figures={
            f"{name}_{what}": float(value)
            for name, one in seen.items()
            for what, value in (("failed", one.failed), ("served", one.served), ("probes", one.probes))
        },
    )


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────


def _mix(lane: Lane, port: int) -> Mix:
    asks = (
        Ask(host=f"{lane.name}.example", path=f"/{route}/{rule}") for route in range(ROUTES) for rule in range(RULES)
    )
    return Mix(asks=tuple(asks), connections=32, reuse=10**9, rate=RATE, port=port)


def _manifests(lane: Lane, pods: list[Pod]) -> Iterator[Json]:
    yield _object("v1", "Service", lane.name, {"spec": {"ports": [{"name": "http", "port": 80}]}})
    for number, pod in enumerate(pods):
        # A slice for each pod: all of a slice have the same ports, and loopback has one address that works everywhere.
        body = {
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod.port}],
            "endpoints": [{"addresses": ["127.0.0.1"]}],
        }
        label = {"kubernetes.io/service-name": lane.name}
        yield _object("discovery.k8s.io/v1", "EndpointSlice", f"{lane.name}-{number}", body, labels=label)
    for number in range(ROUTES):
        yield _object(GATEWAY_API, "HTTPRoute", f"{lane.name}-{number}", {"spec": _route(lane, number)})
    routes = [{"group": _GROUP, "kind": "HTTPRoute", "name": f"{lane.name}-{number}"} for number in range(ROUTES)]
    if lane.route:
        spec = {"targetRefs": routes, **lane.route}
        yield _object("seawall.dev/v1alpha1", "TrafficPolicy", f"{lane.name}-routes", {"spec": spec})
    if lane.backend:
        spec = {"targetRefs": [{"group": "", "kind": "Service", "name": lane.name}], **lane.backend}
        yield _object("seawall.dev/v1alpha1", "TrafficPolicy", lane.name, {"spec": spec})


def _route(lane: Lane, number: int) -> Json:
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": f"/{number}/{rule}"}}],
            "backendRefs": [{"name": lane.name, "port": 80}],
        }
        for rule in range(RULES)
    ]
    return {"parentRefs": [{"name": "edge"}], "hostnames": [f"{lane.name}.example"], "rules": rules}


def _object(version: str, kind: str, name: str, body: Json, labels: dict[str, str] | None = None) -> Json:
    metadata = {"name": name, "namespace": "test", **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}
