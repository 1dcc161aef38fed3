"""Answers: how the console's API speaks: JSON, errors in a sentence, bodies with a bound."""

from collections.abc import Awaitable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from seawall.kit.errors import ConfigError, UnavailableError

Json = dict[str, Any]


def json(data: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status_code=status, media_type="application/json")


def error(status: int, message: str, hint: str = "") -> Response:
    return json({"error": message, "hint": hint} if hint else {"error": message}, status)


async def body_of(request: Request, largest: int) -> bytes | None:
    """Read a body; None if it is larger than `largest` bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            return None
    return body


async def answered(asked: Awaitable[object], absent: str = "") -> Response:
    """Wait for the answer to a question. What nobody can say now is a 503; what makes no sense a 400; with `absent`, None
    is a 404 that says so."""
    try:
        found = await asked
    except UnavailableError as exc:
        return error(503, str(exc))
    except ConfigError as exc:
        return error(400, exc.message, exc.hint)
    except msgspec.DecodeError as exc:
        return error(400, str(exc))
    return error(404, absent) if absent and found is None else json(found)
