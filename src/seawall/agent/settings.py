"""Settings of an agent: what one edge host needs to know. Read once, passed down."""

import msgspec

from seawall.fleet.nftables import Limits
from seawall.kit.units import Seconds
from seawall.server.tls import TlsFiles


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edge.

    Args:
        edge: its name: the node id for Envoy, the name in its certificate.
        state_dir: what survives a reboot: the snapshots.
        run_dir: what need not: sockets, the bootstrap, Envoy's log. At most 90 bytes long (unix sockets lie in it).
        control: addresses of the control plane, tried in turn: `host:port` or `unix:/path`; empty for none.
        tls: needed for every address that is not a unix socket, unless `is_insecure`.
        is_insecure: speak plain HTTP/2 to loopback addresses: for a laptop, nothing else.
        envoy: path of the binary; found on PATH if empty.
        concurrency: worker threads of Envoy; 0 for one per core.
        max_heap: bytes; 0 for as much as the memory limit allows.
        drain: how long connections get to finish when the agent stops.
        metrics: `address:port` for /metrics, /ready and /live; empty for none. Loopback unless you mean it.
        trusted: public keys (hexadecimal) of the control planes that are obeyed.
        trust_file: a file of such keys, one on each line, `#` begins a comment. Without either, the first key that comes
            is kept in `state_dir`, and only that one is obeyed from then on.
        restart_spread: an Envoy that must be started anew (other limits) waits for a random part of this before.
        tally_interval: how often what Envoy counts is reported; the control plane may say otherwise (`Watch`).
        kernel: what the kernel allows each client, where nft is installed and we may use it. It drops whom verdicts name anyway.
        is_bound: Envoy dies with the agent, however the agent dies. Otherwise it lives on and the next agent adopts it.
    """

    edge: str
    state_dir: str
    run_dir: str
    control: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    is_insecure: bool = False
    labels: dict[str, str] = {}
    envoy: str = ""
    concurrency: int = 0
    max_heap: int = 0
    max_connections: int = 50_000
    max_series: int = 20_000
    drain: Seconds = Seconds(10.0)
    metrics: str = "127.0.0.1:0"
    kernel: Limits = Limits()
    is_bound: bool = False
    heartbeat: Seconds = Seconds(5.0)
    trusted: tuple[str, ...] = ()
    trust_file: str = ""
    restart_spread: Seconds = Seconds(5.0)
    tally_interval: Seconds = Seconds(1.0)
