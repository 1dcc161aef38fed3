"""Config: the tree of everybody's settings. Each record belongs to the package that uses it; here they come together.

The command line makes one of these (`cli.serve`, `cli.up`); nothing else reads options or the environment.
"""

from pathlib import Path

import msgspec

from seawall.agent.settings import AgentSettings
from seawall.envoy.listeners import EdgeDefaults
from seawall.gateway.settings import Settings
from seawall.server.tls import TlsFiles
from seawall.source.settings import SourceSettings


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A control plane.

    Args:
        door: limits at the door, the same on every listener.
        edges: `host:port` where agents call, besides the unix socket in the run dir; empty for only that.
        xds: `host:port` of plain delta ADS for Envoys without an agent; empty for none.
        tls: certificates for `edges`; needed unless it is on loopback and `is_insecure`.
        console: `address:port` on loopback for the console, besides its unix socket; empty for only that.
        state_dir: what survives a restart (generations and creation times of objects, the history of rollouts, the signing
            key); None: what survives lies in `run_dir`.
        history: `postgresql://…` where several control planes share one history; empty for a file in the state folder.
        signing_key: the key that signs what edges run; None: one in the state folder, made on first use.
        vault_key: a file of 32 bytes or more: private keys are encrypted with it in the history; None: they are not.
    """

    path: Path
    run_dir: Path
    name: str = "default"
    state_dir: Path | None = None
    gateway: Settings = Settings()
    door: EdgeDefaults = EdgeDefaults()
    source: SourceSettings = SourceSettings()
    edges: str = ""
    xds: str = ""
    tls: TlsFiles | None = None
    is_insecure: bool = False
    console: str = ""
    history: str = ""
    signing_key: Path | None = None
    vault_key: Path | None = None


class UpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A control plane and one edge in one process."""

    serve: ServeSettings
    edge: AgentSettings
