"""Defaults: what each of our defaults costs a request, by taking it away.

The same race as `bench.throughput`, between the edge as it is, the edge without one thing at a time, and bare Envoy; but
the lowest of the rounds counts, for whatever else a machine does can only make a request dearer. The edge as it is runs
three times, as three processes; how far the three lie apart is the noise.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

from bench import throughput
from bench.options import Options
from bench.report import Result, Table
from bench.support import edits
from bench.support.ads import Ads
from bench.support.envoys import bare_envoy, fed_envoy
from bench.support.load import backend
from bench.support.numbers import short, times
from bench.support.programs import free_port
from bench.throughput import LOAD_CORES, PROXY_CORES, Contender

QUESTION = "what does each of our defaults cost a request?"

_SAME = 3
_PATHS = ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_trailing_host_dot")
_TIMERS = ("request_headers_timeout", "request_timeout", "stream_idle_timeout", "common_http_protocol_options")

WITHOUT: dict[str, edits.Edit] = {
    "path normalisation": edits.of_manager(edits.without(*_PATHS)),
    "client identity (X-Forwarded-For)": edits.of_manager(edits.without("use_remote_address")),
    "internal address settings": edits.of_manager(edits.without("internal_address_config")),
    "timers and header limits": edits.of_manager(edits.without(*_TIMERS)),
    "Server header passed through": edits.of_manager(edits.without("server_header_transformation")),
    "upgrades": edits.of_manager(edits.without("upgrade_configs")),
    "CORS and the empty places": edits.of_manager(edits.without_places),
    "rescope": edits.of_manager(edits.without_rescope),
    "every filter but the router": edits.of_manager(edits.only_router),
    "scopes, and every filter but the router": edits.one_table,
    "removal of the scope header": edits.of_scopes(edits.keep_scope_header),
    "safe retries": edits.of_clusters(edits.without_safe_retries),
    "cluster limits and retry budget": edits.of_clusters(edits.without("circuit_breakers")),
    "least request (round robin)": edits.of_clusters(edits.without("lb_policy")),
    "cluster protocol options": edits.of_clusters(edits.without("typed_extension_protocol_options")),
    "buffer limits": edits.both(
        edits.of_listeners(edits.without("per_connection_buffer_limit_bytes")),
        edits.of_clusters(edits.without("per_connection_buffer_limit_bytes")),
    ),
}
"""Edits of the snapshot."""

BOOTSTRAP: dict[str, Mapping[str, Any]] = {
    "overload manager": {"overload_manager": None},
    "statistics settings": {"stats_config": None, "deferred_stat_options": None, "stats_flush_on_admin": None},
}


async def run(options: Options) -> Result:
    """Race all variants at once."""
    with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
        folder = Path(name)
        with backend(folder, LOAD_CORES) as port:
            async with AsyncExitStack() as stack:
                contenders = [
                    await _variant(stack, folder, port, "the edge as it is", lambda snapshot: snapshot, {})
                    for _ in range(_SAME)
                ]
                contenders.append(_bare(stack, folder, port))
                for what, edit in list(WITHOUT.items())[: options.pick(99, 1)]:
                    contenders.append(await _variant(stack, folder, port, f"without {what}", edit, {}))
                for what, settings in BOOTSTRAP.items():
                    contenders.append(
                        await _variant(stack, folder, port, f"without {what}", lambda snapshot: snapshot, settings)
                    )
                await asyncio.to_thread(throughput.race, contenders, options.pick(9, 1), 1)
    return _result(contenders)


async def _variant(
    stack: AsyncExitStack, folder: Path, backend_port: int, name: str, edit: edits.Edit, settings: Mapping[str, Any]
) -> Contender:
    port = free_port()
    ads = Ads(edit(throughput.snapshot(port, backend_port)))
    child = await stack.enter_async_context(fed_envoy(folder / str(port), ads, port, PROXY_CORES, settings))
    return Contender(name=name, port=port, pid=child.pid)


def _bare(stack: AsyncExitStack, folder: Path, backend_port: int) -> Contender:
    port = free_port()
    child = stack.enter_context(bare_envoy(folder, port, backend_port, PROXY_CORES))
    return Contender(name="bare Envoy", port=port, pid=child.pid)


def _result(contenders: list[Contender]) -> Result:
    ours = [(each.name, min(each.cpu_us)) for each in contenders]
    same = [cost for _, cost in ours[:_SAME]]
    full, noise = fmean(same), max(same) - min(same)
    rows = [("the edge as it is", full), *ours[_SAME:]]
    table = Table(
        title="One thing taken away at a time",
        heads=("configuration", "CPU µs/request, lowest round", "difference", "edge / this"),
        rows=tuple((name, short(cost), f"{cost - full:+.1f}", times(full / cost)) for name, cost in rows),
        note=f"A negative difference is what the default costs. Three processes of the same configuration lay {noise:.1f} µs "
        "apart: smaller differences are noise.",
    )
    return Result(bench="defaults", question=QUESTION, tables=(table,), figures={**dict(rows), "noise µs": noise})
