"""Quota: a limit that four edges share: how exact, how fair, and what it costs beside a service that is asked each time.

Real edges in network namespaces under constant demand; then one Envoy with no limit, with ours, and with a gRPC rate limit
service in Python and Redis behind it, in interleaved rounds.
"""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from tests.support.envoy import running_envoy
from tests.support.fleet import PORT, Ask, Fleet, Mix, Place
from tests.support.manifests import Json, gateway, route

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.load import Round, backend, hammer, need
from bench.support.numbers import spread
from bench.support.programs import Failure, free_port, listens, running, wait_for
from seawall.agent.prices import prepare
from seawall.envoy.filters import POLICY_PLACE
from seawall.envoy.limits import table_filters
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import Limit, Limited, ObjectKey, RateLimit, Respond, Route, RouteMatch
from seawall.kit.units import Seconds

QUESTION = "how exact and how fair is a limit that four edges share, and what does it cost a request?"
EDGES = ("a", "b", "c", "d")
RATE = 400
HOST = "a.example"
PHASES: tuple[tuple[str, dict[str, float]], ...] = (
    ("the same everywhere, twice the limit", dict.fromkeys(EDGES, 200.0)),
    ("one edge is flooded", {"a": 600.0, "b": 40.0, "c": 40.0, "d": 40.0}),
    ("the flood moves to another edge", {"a": 40.0, "b": 600.0, "c": 40.0, "d": 40.0}),
    ("half of the limit", dict.fromkeys(EDGES, 50.0)),
)
_TYPE = "type.googleapis.com/"
_HTTP = "envoy.extensions.filters.http."


async def run(options: Options) -> Result:
    """Measure both."""
    exact, overs, steps, fairness = await _exactness(options)
    cost, rates = await _cost(options)
    return Result(
        bench="quota",
        question=QUESTION,
        tables=(exact, cost),
        verdicts=(
            goal("overshoot in steady state, worst phase", overs, 5, "%"),
            goal("overshoot in the second after a step, worst", steps, 10, "%"),
            goal("fairness of equal edges (Jain)", fairness, 0.95, "", at_least=True),
            goal("requests/s against the service that is asked each time", rates, 2, "×", at_least=True),
        ),
        figures={"overshoot": overs, "step_overshoot": steps, "fairness": fairness, "against_service": rates},
    )


# ── exactness ────────────────────────────────────────────────────────────────────────────────────────────────────


async def _exactness(options: Options) -> tuple[Table, float, float, float]:
    places = tuple(Place(edge=edge, region="eu", cell=f"cell-{edge}") for edge in EDGES)
    rows: list[tuple[str, ...]] = []
    overs, steps, fairness = 0.0, 0.0, 1.0
    async with Fleet({"shop": _manifests()}, places=places) as fleet:
        for number, (title, demand) in enumerate(PHASES):
            say(title)
            for edge in EDGES:
                mix = Mix(asks=(Ask(host=HOST, status=302),), connections=4, reuse=10**6, rate=demand[edge])
                await fleet.load(mix, [edge])
            step = await _passed(fleet, 1)
            await asyncio.sleep(3)
            steady = await _passed(fleet, options.pick(15, 3))
            over = max(0.0, 100 * (sum(steady.values()) / RATE - 1))
            step_over = max(0.0, 100 * (sum(step.values()) / RATE - 1)) if number else 0.0
            overs, steps = max(overs, over), max(steps, step_over)
            if len(set(demand.values())) == 1:
                fairness = min(fairness, _jain(list(steady.values())))
            passed = " / ".join(f"{steady[edge]:.0f}" for edge in EDGES)
            asked = " / ".join(f"{demand[edge]:.0f}" for edge in EDGES)
            first = f"{sum(step.values()):.0f}" if number else "–"
            rows.append((title, asked, passed, f"{sum(steady.values()):.0f}", first, f"{over:.1f} %"))
    heads = ("demand", "asked on a / b / c / d", "passed", "in all", "in the first second", "over")
    note = f"Requests a second; the limit is {RATE} in all with a burst of {RATE // 10}."
    return Table(title="One limit, four edges", heads=heads, rows=tuple(rows), note=note), overs, steps, fairness


def _manifests() -> list[Json]:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    limits = [{"name": "all", "requests": RATE, "window": "1s", "burst": RATE // 10}]
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "a"}
    policy = {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "RateLimitPolicy",
        "metadata": {"name": "p", "namespace": "test"},
        "spec": {"targetRefs": [target], "limits": limits, "scope": "fleet"},
    }
    return [*gateway(PORT), route("a", [HOST], [rule]), policy]


async def _passed(fleet: Fleet, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    await fleet.recount()
    began = loop.time()
    await asyncio.sleep(seconds)
    counted = await fleet.recount()
    took = loop.time() - began
    return {edge: (one.sent - one.failures) / took for edge, one in counted.items()}


def _jain(values: list[float]) -> float:
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


# ── cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _cost(options: Options) -> tuple[Table, float]:
    names = ("no limit", "shared by the fleet, ours", "asked each time: gRPC service, Redis")
    found: dict[str, list[Round]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with backend(folder) as origin, _service(folder) as service:
            async with _envoy(folder, origin, service) as ports:
                for turn in range(options.pick(5, 1)):
                    say(f"round {turn + 1}")
                    for name, port in zip(names, ports, strict=True):
                        seconds = options.pick(5, 1)
                        seen = await asyncio.to_thread(hammer, port, HOST, seconds, connections=32)
                        found[name].append(seen)
    rates = {name: spread([one.rate for one in rounds]).median for name, rounds in found.items()}
    rows = tuple(
        (
            name,
            f"{rates[name]:.0f}",
            f"{rates[name] / rates[names[0]]:.2f}",
            f"{spread([one.p50 for one in rounds]).median:.2f}",
            f"{spread([one.p99 for one in rounds]).median:.2f}",
            f"{sum(one.errors for one in rounds)}",
        )
        for name, rounds in found.items()
    )
    heads = ("limit", "requests/s", "ratio", "p50 ms", "p99 ms", "refused")
    note = "Medians of interleaved rounds, 32 connections, one Envoy worker; the limit is never reached."
    table = Table(title="What a limit costs a request", heads=heads, rows=rows, note=note)
    return table, rates[names[1]] / rates[names[2]]


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[int]:
    redis, socket, port = need("redis-server", "redis-server"), folder / "redis.sock", free_port()
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder)
    with running([redis, *(str(one) for one in options)], folder / "redis.log"):
        wait_for("redis", socket.exists, 10, folder / "redis.log")
        command = [need("python3", "python3"), "-m", "bench.support.rls", str(port), str(socket), "1000000000"]
        with running(command, folder / "rls.log"):
            wait_for("the rate limit service", lambda: listens(port), 20, folder / "rls.log")
            yield port


@contextlib.asynccontextmanager
async def _envoy(folder: Path, origin: int, service: int) -> AsyncIterator[tuple[int, ...]]:
    prepare(folder)
    bootstrap = {
        "node": {"id": "bench", "cluster": "bench"},
        "static_resources": {
            "listeners": [
                _listener("none", {}, []),
                _listener("ours", _ours(folder), []),
                _listener("rls", {}, _rls()),
            ],
            "clusters": [_cluster("origin", origin), _cluster("rls", service, is_http2=True)],
        },
    }
    async with running_envoy(bootstrap, folder) as envoy:
        yield tuple([await envoy.listener_port(name) for name in ("none", "ours", "rls")])
        # Envoy lets pass what nobody answers for, at full speed: that would be the figure of another thing.
        failed = await envoy.stats("ratelimit.error$")
        if any(failed.values()):
            raise Failure(f"the rate limit service has failed: {failed}")


def _ours(folder: Path) -> Json:
    limit = Limit(name="all", requests=1_000_000, window=Seconds(1), burst=1_000_000, max_keys=100_000)
    by = RateLimit(name="a/p", origin=ObjectKey("RateLimitPolicy/a/p"), limits=(limit,), slot=0)
    one = Route(
        name="r",
        origin=ObjectKey("o"),
        path="$",
        match=RouteMatch(),
        action=Respond(status=200),
        limited=Limited(by=by),
    )
    filled = table_filters([one], has_others=False)[POLICY_PLACE]
    per_route = f"{_HTTP}composite.v3.CompositePerRoute"
    shown = {"@type": _TYPE + per_route, **as_json(decode(per_route, filled["value"]))}
    # An Envoy of an edge runs in its folder; this one does not.
    text = json.dumps(shown).replace('"quota/', f'"{folder}/quota/')
    return {POLICY_PLACE: json.loads(text)}


def _rls() -> list[Json]:
    service = {"grpc_service": {"envoy_grpc": {"cluster_name": "rls"}}, "transport_api_version": "V3"}
    config = {
        "@type": f"{_TYPE}{_HTTP}ratelimit.v3.RateLimit",
        "domain": "bench",
        "timeout": "1s",
        "rate_limit_service": service,
        "rate_limits": [{"actions": [{"generic_key": {"descriptor_value": "all"}}]}],
    }
    return [{"name": "ratelimit", "typed_config": config}]


def _listener(name: str, places: Json, filters: list[Json]) -> Json:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
    manager: dict[str, Any] = {
        "@type": f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}],
            "typed_per_filter_config": places,
        },
        "http_filters": [
            {"name": POLICY_PLACE, "typed_config": {"@type": f"{_TYPE}{_HTTP}composite.v3.Composite"}},
            *filters,
            {"name": "router", "typed_config": {"@type": f"{_TYPE}{_HTTP}router.v3.Router"}},
        ],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(name: str, port: int, *, is_http2: bool = False) -> Json:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **({"typed_extension_protocol_options": http2} if is_http2 else {}),
    }
