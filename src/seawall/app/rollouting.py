"""Rollouting: the parts of the CHANGE flow, wired for one control plane: key, history, shelf, flow, desk."""

import os
import socket
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import msgspec

from seawall.app.config import ServeSettings
from seawall.app.desk import Desk
from seawall.app.ledger import Ledger
from seawall.app.proposals import Origins, Proposals, Surroundings
from seawall.app.rehearsal import Rehearsal
from seawall.app.rollouts import Rollouts
from seawall.app.scribe import Scribe
from seawall.app.shelf import Shelf
from seawall.app.signer import Signer, load_signing_key, signing_key
from seawall.kit.errors import ConfigError
from seawall.server.edges import EdgeService
from seawall.store.history import RolloutHistory

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
    ) -> "Rollouting":
        """Raises ConfigError for a key or a history that cannot be used."""
        folder = settings.state_dir or settings.run_dir / "state"
        key = (
            load_signing_key(settings.signing_key)
            if settings.signing_key is not None
            else signing_key(folder / "bundle.key")
        )
        holder = f"{settings.name}@{socket.gethostname()}:{os.getpid()}"
        scribe = Scribe(_history(settings.history, folder), holder, time.time)
        ledger = Ledger(scribe, is_shared=bool(settings.history))
        shelf = Shelf(key, software=_software())
        proposals = Proposals(shelf, origins, surroundings)
        rollouts = Rollouts(shelf, ledger, Signer(key), edges, proposals)
        rollouts.hooks.sandbox = Rehearsal(settings.run_dir / "sandbox")
        desk = Desk(rollouts, ledger, shelf, holder)
        return cls(rollouts=rollouts, desk=desk, scribe=scribe, public_key=key.public)


def _history(address: str, folder: Path) -> RolloutHistory:
    if not address:
        from seawall.store.sqlite_history import SqliteHistory  # noqa: PLC0415 - the other one is not needed then

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteHistory(folder / "history.db")
    if not address.startswith(_POSTGRES):
        raise ConfigError(f"{address!r} is no history.", hint="Write postgresql://user@host/database.")
    from seawall.store.postgres_history import PostgresHistory  # noqa: PLC0415 - psycopg is an extra

    return PostgresHistory(address)


def _software() -> str:
    return metadata.version("seawall")
