"""Client: asks a running instance over its console socket.

Speaks HTTP on a unix socket with the standard library alone: a command that prints three lines must not load a framework.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from seawall.app.rundir import CONTROL_SOCKET, default_run_dir
from seawall.kit.errors import ConfigError, UnavailableError

_TIMEOUT = 10.0


class Client:
    """One running instance, named by `--name` or found in `--run-dir`; or whoever serves `socket_file`. `absent` says what to
    do if nobody does."""

    def __init__(
        self, name: str, run_dir: Path | None = None, *, socket_file: Path | None = None, absent: str = ""
    ) -> None:
        self._name = name
        self._socket = socket_file or (run_dir or default_run_dir(name)) / CONTROL_SOCKET
        self._absent = absent or (
            "start one with `seawall up PATH`, or say which one is meant with --name or --run-dir"
        )

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        """Raises UnavailableError if nobody is there, ConfigError if the question was wrong."""
        connection = _UnixConnection(self._socket)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            raise UnavailableError(
                f"no instance named {self._name!r} answers on {self._socket}: {self._absent}."
            ) from exc
        finally:
            connection.close()
        if answer.status != 200:
            raise ConfigError(
                _field(raw, "error") or f"the instance answered {answer.status}.", hint=_field(raw, "hint")
            )
        return json.loads(raw)


def _field(raw: bytes, name: str) -> str:
    try:
        return str(json.loads(raw).get(name, ""))
    except (ValueError, AttributeError):
        return raw.decode(errors="replace") if name == "error" else ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("seawall", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))
