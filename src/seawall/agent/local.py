"""Local: what an operator on this host can ask and tell an edge, with no control plane at all: `seawall edge`.

Serves HTTP and JSON on a unix socket in the run folder, mode 0600: whoever can read the folder owns the edge anyway.

    GET  /v1/edge    what runs, what is wanted, what is kept
    POST /v1/back    {"bundle": "a1b2"}: run a kept bundle, the newest last-known-good one if none is named, until unpinned
    POST /v1/unpin   obey the control plane again
    POST /v1/trust   {"key": "…"}: obey the control plane with this key and no other
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seawall.agent.delivery import Delivery
from seawall.agent.health import Health
from seawall.agent.intake import Trust
from seawall.agent.parts import Parts
from seawall.agent.web import serving
from seawall.fleet.bundle import Assignment
from seawall.kit.errors import ConfigError
from seawall.store.kept import Held

LOCAL_SOCKET = "agent.sock"
_LONGEST = 4096
_Body = dict[str, Any]


class Local:
    """Answers for one edge."""

    def __init__(self, parts: Parts, delivery: Delivery, health: Health, trust: Trust) -> None:
        self._parts = parts
        self._delivery = delivery
        self._health = health
        self._trust = trust

    def edge(self) -> _Body:
        """Say how the edge is. Times are seconds since 1970."""
        beat, memo, wanted = self._health.heartbeat(), self._parts.keeper.memo(), self._delivery.wanted
        try:
            trusted, problem = sorted(self._trust.keys()), ""
        except ConfigError as exc:
            trusted, problem = [], f"{exc} {exc.hint}"
        return {
            "edge": self._parts.settings.edge,
            "state": beat.envoy,
            "ready": beat.is_ready,
            "unready": self._health.unready(),
            "connected": self._parts.uplink.is_connected,
            "running": {"bundle": beat.bundle, "version": beat.running},
            "wanted": {} if wanted is None else _order(wanted.bundle.name, wanted.bundle.version, wanted.assignment),
            "tasting": self._delivery.is_tasting,
            "kept": [self._kept(held, memo.good) for held in self._delivery.kept()],
            "pinned": memo.pinned,
            "fence": memo.fence,
            "fallback": beat.fallback,
            "refusal": self._delivery.refusal,
            "deaths": beat.deaths,
            "envoy_pid": self._parts.supervisor.pid,
            "problem": beat.problem or problem,
            "trusted": trusted,
        }

    def _kept(self, held: Held, good: tuple[str, ...]) -> _Body:
        bundle = held.bundle
        return {
            "bundle": bundle.name,
            "version": bundle.version,
            "good": bundle.name in good,
            "running": bundle.version == self._parts.keeper.current().version,
            "kept_since": held.saved_at,
            "created_at": bundle.created_at,
            "reason": bundle.reason,
            "resources": len(held.snapshot),
        }

    def back(self, body: _Body) -> _Body:
        held = self._delivery.back(str(body.get("bundle") or ""))
        return {"pinned": held.bundle.name, "version": held.bundle.version}

    def unpin(self, _: _Body) -> _Body:
        return {"unpinned": self._delivery.unpin()}

    def trust(self, body: _Body) -> _Body:
        self._trust.replace(str(body.get("key") or ""))
        return {"trusted": sorted(self._trust.keys())}


async def serve_local(socket_file: Path, local: Local) -> None:
    """Serve until cancelled."""

    async def show(_: Request) -> Response:
        return _json(local.edge())

    routes = [
        Route("/v1/edge", show),
        Route("/v1/back", _told(local.back), methods=["POST"]),
        Route("/v1/unpin", _told(local.unpin), methods=["POST"]),
        Route("/v1/trust", _told(local.trust), methods=["POST"]),
    ]
    bound = _bind(socket_file)
    try:
        async with serving(Starlette(routes=routes), bound, "agent-local"):
            await asyncio.Event().wait()
    finally:
        _remove(socket_file)


def _told(carry_out: Callable[[_Body], _Body]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        raw = await request.body()
        try:
            body = msgspec.json.decode(raw[:_LONGEST], type=dict[str, Any]) if raw else {}
            return _json(carry_out(body))
        except (msgspec.DecodeError, msgspec.ValidationError) as exc:
            return _json({"error": f"the request is no JSON object: {exc}."}, status=400)
        except ConfigError as exc:
            return _json({"error": f"{exc.message}", "hint": exc.hint}, status=409)

    return answer


def _json(data: _Body, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status_code=status, media_type="application/json")


def _order(bundle: str, version: str, assignment: Assignment) -> _Body:
    return {
        "bundle": bundle,
        "version": version,
        "fence": assignment.fence,
        "rollout": assignment.rollout,
        "stage": assignment.stage,
        "proven": assignment.is_proven,
        "taste": assignment.taste,
    }


def _bind(file: Path) -> socket.socket:
    _remove(file)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(file))
        file.chmod(0o600)
    except OSError as exc:
        bound.close()
        raise ConfigError(f"{file} cannot be made: {exc.strerror}.", hint="See to the run folder.") from exc
    bound.listen(16)
    bound.setblocking(False)
    return bound


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
