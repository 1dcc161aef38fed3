"""Rollouting: the parts of the CHANGE flow, wired for one control plane: key, history, shelf, flow, desk."""

import os
import socket
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import msgspec
import structlog

from seawall.app.config import ServeSettings
from seawall.app.desk import Desk
from seawall.app.ledger import Ledger
from seawall.app.proposals import Newest, Origins, Proposals, Surroundings
from seawall.app.rehearsal import Rehearsal
from seawall.app.rollouts import Rollouts
from seawall.app.scribe import Scribe
from seawall.app.shelf import Shelf
from seawall.app.signer import Signer, load_signing_key, signing_key
from seawall.app.traffic import Traffic
from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret
from seawall.server.edges import EdgeService
from seawall.store.history import RolloutHistory
from seawall.store.vault import Vault

log = structlog.get_logger(__name__)

_POSTGRES = ("postgresql://", "postgres://")


class Rollouting(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs together. `public_key` is what edges must trust."""

    rollouts: Rollouts
    desk: Desk
    scribe: Scribe
    public_key: str

    @classmethod
    def make(
        cls,
        settings: ServeSettings,
        edges: EdgeService,
        surroundings: Callable[[], Surroundings],
        origins: Origins,
        traffic: Traffic,
        newest: Newest,
    ) -> "Rollouting":
        """Raises ConfigError for a key or a history that cannot be used."""
        folder = settings.state_dir or settings.run_dir / "state"
        file = settings.signing_key or folder / "bundle.key"
        key = load_signing_key(file) if settings.signing_key is not None else signing_key(file)
        holder = f"{settings.name}@{socket.gethostname()}:{os.getpid()}"
        scribe = Scribe(open_history(settings, folder), holder, time.time)
        ledger = Ledger(scribe, is_shared=bool(settings.history))
        shelf = Shelf(key, software=_software())
        proposals = Proposals(shelf, origins, surroundings, edges.edges.connections, traffic.share, newest)
        rollouts = Rollouts(shelf, ledger, Signer(key), edges, proposals)
        rollouts.hooks.sandbox = Rehearsal(settings.run_dir / "sandbox", seen=traffic.sample)
        desk = Desk(rollouts, ledger, shelf, holder)
        return cls(rollouts=rollouts, desk=desk, scribe=scribe, public_key=key.public)


def open_history(settings: ServeSettings, folder: Path) -> RolloutHistory:
    """Open the history of these settings; a file lies in `folder`. Raises ConfigError, UnavailableError."""
    vault = load_vault(settings.vault_key) if settings.vault_key is not None else None
    if not settings.history:
        from seawall.store.sqlite_history import SqliteHistory  # noqa: PLC0415 - the other one is not needed then

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteHistory(folder / "history.db", vault)
    if not settings.history.startswith(_POSTGRES):
        # It may be a password without an address: it is not shown.
        raise ConfigError("--history is no address of a PostgreSQL.", hint="Write postgresql://user@host/database.")
    from seawall.store.postgres_history import PostgresHistory  # noqa: PLC0415 - psycopg is an extra

    if vault is None:
        log.warning("private_keys_stored_readable", where="the database and its backups", remedy="--vault-key FILE")
    return PostgresHistory(settings.history, vault)


def load_vault(file: Path) -> Vault:
    """Read the key for the history's secrets. Raises ConfigError for a file that cannot be it, or that others may read."""
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"others may read the vault key {file}.", hint=f"chmod 600 {file}")
        return Vault(Secret(file.read_bytes()))
    except OSError as exc:
        raise ConfigError(
            f"the vault key {file} cannot be read: {exc.strerror}.",
            hint=f"Make one, the same for every control plane: (umask 077; openssl rand -out {file} 32)",
        ) from exc


def _software() -> str:
    return metadata.version("seawall")
