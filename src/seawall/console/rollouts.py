"""Rollouts: what the console tells of them, and what it may be told.

Answers requests; decides nothing. `app.desk` is behind it, `cli.rollout` and `cli.diff` ask.

    GET  /v1/rollouts                    where the current one stands, what runs, what waits, the last ones
    GET  /v1/rollouts/{name}             one of them: its report, every decision and every order
    GET  /v1/rollouts/{name}/replay      handle its events once more: are the decisions the same?
    POST /v1/rollouts                    a command: {"verb", "who", "reason", …} → {"isAccepted", "answers": […], …}
    GET  /v1/bundles                     the kept versions, newest first
    GET  /v1/diff                        the manifests as they are now against what runs
    POST /v1/diff                        {"path"}: other manifests against what runs
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seawall.console.answers import Json, answered, body_of, error, json

_LARGEST = 1 << 16
_LONGEST = 10 * 365 * 86400.0
_T = TypeVar("_T")


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says. `seconds`: how long it holds, 0 for no end; the other fields as the verb needs them."""

    verb: str
    who: str
    reason: str = ""
    rollout: str = ""
    bundle: str = ""
    request: str = ""
    guard: str = ""
    seconds: Annotated[float, Meta(ge=0, le=_LONGEST)] = 0.0


class Path(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Manifests on the instance's host."""

    path: str


class RolloutDesk(Protocol):
    """What the console asks. All raise ConfigError for a question that makes no sense, UnavailableError if nobody can
    say now."""

    def rollouts(self) -> Json: ...

    async def rollout(self, name: str) -> Json | None: ...

    async def replay(self, name: str) -> Json | None: ...

    async def command(self, command: Command) -> Json: ...

    async def bundles(self) -> list[Json]: ...

    def diff(self) -> Json: ...

    async def diff_path(self, path: str) -> Json: ...


def routes(desk: RolloutDesk) -> list[Route]:
    """Make the routes of the API."""

    async def rollouts(_: Request) -> Response:
        return json(desk.rollouts())

    async def rollout(request: Request) -> Response:
        name = request.path_params["name"]
        return await answered(desk.rollout(name), f"there is no rollout {name} in the history (any more).")

    async def replay(request: Request) -> Response:
        name = request.path_params["name"]
        absent = f"there is nothing to replay of {name}: the history has no staged rollout of this name (any more)."
        return await answered(desk.replay(name), absent)

    async def command(request: Request) -> Response:
        return await _said(request, Command, desk.command)

    async def bundles(_: Request) -> Response:
        return await answered(desk.bundles())

    async def diff(_: Request) -> Response:
        return await answered(_now(desk.diff))

    async def diff_path(request: Request) -> Response:
        return await _said(request, Path, lambda said: desk.diff_path(said.path))

    return [
        Route("/v1/rollouts", rollouts),
        Route("/v1/rollouts", command, methods=["POST"]),
        Route("/v1/rollouts/{name}", rollout),
        Route("/v1/rollouts/{name}/replay", replay),
        Route("/v1/bundles", bundles),
        Route("/v1/diff", diff),
        Route("/v1/diff", diff_path, methods=["POST"]),
    ]


async def _said(request: Request, shape: type[_T], ask: Callable[[_T], Awaitable[Json]]) -> Response:
    """Read a body and hand it on."""
    body = await body_of(request, _LARGEST)
    if body is None:
        return error(413, f"this may have at most {_LARGEST} bytes.")
    try:
        said = msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as exc:
        return error(400, str(exc))
    return await answered(ask(said))


async def _now(ask: Callable[[], Json]) -> Json:
    return ask()
