"""Bootstrap: what an Envoy is started with: who it is, where its agent listens, how much it may use.

Pure: settings in, a JSON-able mapping out; the agent writes the file. Everything else reaches Envoy over ADS.
Next room: `seawall.agent.process` starts an Envoy on it.
"""

from typing import Any

import msgspec

from seawall.envoy.stats import HISTOGRAM_BUCKETS_MS, KEPT_STATS
from seawall.gateway.regex import MOST_PROGRAM
from seawall.kit.errors import ConfigError
from seawall.kit.units import Seconds

MIB = 1 << 20
HEAP_SHARE = 0.80
"""Envoy's heap may take this much of the memory limit: the rest is for what the heap does not count (stacks, page
tables, the fragmentation of the allocator, kernel socket buffers), which grow just when the heap does."""
HEAP_RESERVE = 256 * MIB
"""And at least this much stays free, however small the limit is."""
SMALLEST_HEAP = 64 * MIB
"""An idle Envoy with a small configuration takes about 60 MiB of memory; a smaller heap would shed from the first
request."""

_AGENT = "seawall_agent"
REFUSED_FILE = "admission/refused"
"""In an edge's folder: the share of new requests that its Envoy turns away, as a number from 0 to 1."""
RUNTIME_LAYER = "seawall"
"""The name of the RTDS layer, and so of the one Runtime resource that Envoy asks for."""

Json = dict[str, Any]


class BootstrapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from edge to edge.

    `admin` and `ads` are paths of unix sockets; `max_heap` comes from `allowed_heap`. `watches_cgroup` says that
    Envoy's own monitor can read the control group that limits it. `reconnect` bounds how long Envoy waits for a
    restarted agent. `refused` is the file that says what share of new requests is turned away; empty for none.
    """

    edge: str
    admin: str
    ads: str
    max_heap: int
    cluster: str = "seawall"
    max_connections: int = 50_000
    watches_cgroup: bool = False
    memory_limit: int = 0
    reconnect: Seconds = Seconds(1.0)
    refused: str = ""


def allowed_heap(limit: int, wanted: int = 0) -> int:
    """Return the heap that Envoy gets under a memory limit; `wanted` 0 means as much as the rule allows.

    Raises ConfigError where the rule (at most 0.8 of the limit, at least 256 MiB free) cannot be kept: an Envoy
    whose heap limit lies above its memory limit is killed by the kernel before it sheds load, again and again.
    """
    most = min(int(limit * HEAP_SHARE), limit - HEAP_RESERVE)
    if most < SMALLEST_HEAP:
        needed = SMALLEST_HEAP + HEAP_RESERVE
        raise ConfigError(
            f"the memory limit of this edge is {limit // MIB} MiB, which leaves no heap for Envoy: "
            f"256 MiB of it must stay free and the heap needs at least {SMALLEST_HEAP // MIB} MiB.",
            hint=f"Raise the limit of the container or service to {needed // MIB} MiB or more.",
        )
    if wanted > most:
        raise ConfigError(
            f"max_heap is {wanted // MIB} MiB but the memory limit of this edge is {limit // MIB} MiB: the heap may "
            f"take at most {most // MIB} MiB (0.8 of the limit, and 256 MiB must stay free).",
            hint=f"Lower max_heap to {most // MIB} MiB, leave it out, or raise the memory limit.",
        )
    if 0 < wanted < SMALLEST_HEAP:
        raise ConfigError(
            f"max_heap is {wanted // MIB} MiB, but Envoy alone needs {SMALLEST_HEAP // MIB} MiB.",
            hint=f"Set it to {SMALLEST_HEAP // MIB} MiB or more, or leave it out.",
        )
    return wanted or most


def bootstrap(settings: BootstrapSettings) -> Json:
    """Build the bootstrap in the protobuf JSON mapping. Equal settings give equal results."""
    return {
        "node": {"id": settings.edge, "cluster": settings.cluster},
        # No public address, ever: whoever reaches the admin endpoint owns the edge.
        "admin": {"address": {"pipe": {"path": settings.admin, "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": _AGENT, "retry_policy": _reconnect(settings)}}],
            },
            # 0 waits for ever: the agent is beside us and answers at once; opening without configuration helps nobody.
            "lds_config": _ads(fetch_timeout="0s"),
            "cds_config": _ads(fetch_timeout="0s"),
        },
        "static_resources": {"clusters": [_agent_cluster(settings.ads)]},
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": _STATIC_RUNTIME},
                {
                    "name": RUNTIME_LAYER,
                    "rtds_layer": {"name": RUNTIME_LAYER, "rtds_config": _ads(fetch_timeout="2s")},
                },
                # What the agent beside it turns by itself, such as the share of requests that is logged.
                {"name": "agent", "admin_layer": {}},
            ]
        },
        "overload_manager": _overload_manager(settings),
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": list(KEPT_STATS)}},
            "histogram_bucket_settings": [
                {"match": {"safe_regex": {"regex": ".*"}}, "buckets": list(HISTOGRAM_BUCKETS_MS)}
            ],
        },
        # Counters of a cluster are made when its first request comes: memory follows use, not configuration.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        # No sink takes them: merge histograms when somebody looks, not every five seconds.
        "stats_flush_on_admin": True,
    }


_STATIC_RUNTIME: Json = {
    # HTTP/2 rapid reset: close a connection that resets most of its streams before a second has passed. Envoy's own
    # values, written down so that the next release of Envoy cannot change them under us.
    "overload": {"premature_reset_total_stream_count": 500, "premature_reset_min_stream_lifetime_seconds": 1},
    # Envoy refuses expressions of more than 100 instructions, which a path with a UUID has. What is too much is refused before,
    # where it is written; what we make of an expression may be a little larger.
    "re2": {"max_program_size": {"error_level": 2 * MOST_PROGRAM}},
}


def _ads(*, fetch_timeout: str) -> Json:
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": fetch_timeout}


def _reconnect(settings: BootstrapSettings) -> Json:
    """Envoy's default backs off to 30 s: for so long a restarted agent would have no say."""
    return {"retry_back_off": {"base_interval": "0.05s", "max_interval": f"{settings.reconnect:g}s"}}


def _agent_cluster(ads: str) -> Json:
    return {
        "name": _AGENT,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        # A hung agent looks like a silent one; without pings Envoy would wait for TCP, that is for
                        # ever.
                        "connection_keepalive": {"interval": "10s", "timeout": "5s"},
                    }
                },
            }
        },
        "load_assignment": {
            "cluster_name": _AGENT,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": ads}}}}]}],
        },
    }


def _overload_manager(settings: BootstrapSettings) -> Json:
    """Shed in steps, gentlest first.

    The control group's own count includes the page cache, which the kernel fills up to the limit and gives back: it
    would turn requests away on a healthy edge, so it drives only the harmless first step. The heap drives the others.
    """
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    monitors = [
        _monitor(heap, "fixed_heap.v3.FixedHeapConfig", {"max_heap_size_bytes": str(settings.max_heap)}),
        _monitor(
            connections,
            "downstream_connections.v3.DownstreamConnectionsConfig",
            {"max_active_downstream_connections": str(settings.max_connections)},
        ),
    ]
    shrink, refuse = [_at(heap, 0.85)], [_at(heap, 0.95)]
    if settings.refused:
        # What the agent says is a pressure of its own: at 0.7 Envoy turns away seven new requests of ten, at random.
        injected = "envoy.resource_monitors.injected_resource"
        monitors.append(
            _monitor(injected, "injected_resource.v3.InjectedResourceConfig", {"filename": settings.refused})
        )
        refuse.append(_between(injected, 0.0, 1.0))
    if settings.watches_cgroup:
        cgroup = "envoy.resource_monitors.cgroup_memory"
        limit = {"max_memory_bytes": str(settings.memory_limit)} if settings.memory_limit else {}
        monitors.append(_monitor(cgroup, "cgroup_memory.v3.CgroupMemoryConfig", limit))
        shrink.append(_at(cgroup, 0.85))
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": monitors,
        "actions": [
            {"name": "envoy.overload_actions.shrink_heap", "triggers": shrink},
            {"name": "envoy.overload_actions.disable_http_keepalive", "triggers": [_at(heap, 0.90)]},
            {"name": "envoy.overload_actions.reset_high_memory_stream", "triggers": [_between(heap, 0.92, 0.98)]},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": refuse},
            {"name": "envoy.overload_actions.stop_accepting_connections", "triggers": [_at(heap, 0.98)]},
        ],
        # Streams are counted from 1 MiB of buffers on: the greediest are reset first.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
    }


def _monitor(name: str, message: str, fields: Json) -> Json:
    kind = f"type.googleapis.com/envoy.extensions.resource_monitors.{message}"
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def _at(monitor: str, value: float) -> Json:
    return {"name": monitor, "threshold": {"value": value}}


def _between(monitor: str, start: float, full: float) -> Json:
    return {"name": monitor, "scaled": {"scaling_threshold": start, "saturation_threshold": full}}
