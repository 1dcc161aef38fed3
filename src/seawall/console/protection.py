"""Protection: what the console tells of attacks and verdicts, and what it may be told.

Answers requests; decides nothing. `app.watch_desk` is behind it, `cli.protection` asks.

    GET  /v1/protection              whether verdicts act, how it is configured, what edges hold, how much was lost on the way
    GET  /v1/attacks                 routes in excess now, the verdicts in force, what happened lately
    GET  /v1/top?seconds=8           who asks most, for what, by which client
    GET  /v1/why/{reference}         why a request was refused
    POST /v1/protection              {"verb": add | remove | allow | observe | enforce, "who", …} → what came of it
"""

from collections.abc import Awaitable
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seawall.console.answers import Json, answered, body_of, error, json

_LARGEST = 1 << 16


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says. `match`: fields and values that all have to match; `verdict`: the one to remove."""

    verb: Literal["add", "remove", "allow", "observe", "enforce"]
    who: str
    reason: str = ""
    route: str = ""
    match: Annotated[dict[str, str], Meta(max_length=16)] = {}
    kind: Literal["tag", "limit", "tarpit", "deny", "drop"] = "deny"
    rate: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    seconds: Annotated[float, Meta(gt=0)] = 3600.0
    verdict: str = ""


class ProtectionDesk(Protocol):
    """What the console asks."""

    def protection(self) -> Json: ...

    def attacks(self) -> Json: ...

    def top(self, seconds: int) -> Json: ...

    def why(self, reference: str) -> Json | None: ...

    async def order(self, order: Order) -> Json:
        """Raise ConfigError for what makes no sense."""


def routes(desk: ProtectionDesk) -> list[Route]:
    """Make the routes of the API."""

    async def protection(_: Request) -> Response:
        return json(desk.protection())

    async def attacks(_: Request) -> Response:
        return json(desk.attacks())

    async def top(request: Request) -> Response:
        said = request.query_params.get("seconds", "8")
        if not said.isdecimal() or not 1 <= int(said) <= 600:
            return error(400, "seconds is a whole number from 1 to 600.")
        return json(desk.top(int(said)))

    async def why(request: Request) -> Response:
        reference = request.path_params["reference"]
        found = desk.why(reference)
        absent = f"no verdict {reference[:64]} is in force, and none of lately had this reference."
        return json(found) if found is not None else error(404, absent)

    async def order(request: Request) -> Response:
        body = await body_of(request, _LARGEST)
        if body is None:
            return error(413, f"this may have at most {_LARGEST} bytes.")
        try:
            said = msgspec.json.decode(body, type=Order)
        except msgspec.DecodeError as exc:
            return error(400, str(exc))
        asked: Awaitable[Json] = desk.order(said)
        return await answered(asked)

    return [
        Route("/v1/protection", protection),
        Route("/v1/protection", order, methods=["POST"]),
        Route("/v1/attacks", attacks),
        Route("/v1/top", top),
        Route("/v1/why/{reference}", why),
    ]
