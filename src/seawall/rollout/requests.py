"""Requests: what one person asks for and another one must approve.

Pure. Which commands need it stands in the `Perimeter` (`approvals`). Going back to a last-known-good never does.
"""

import msgspec

from seawall.gateway.resources.perimeter import Approvals
from seawall.kit.units import Instant, Seconds
from seawall.rollout.events import Commanded

EXPIRES_AFTER = Seconds(3600.0)
MOST_REQUESTS = 50


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command that waits for a second person."""

    id: str
    command: Commanded
    expires_at: Instant


class RefusedError(Exception):
    """A command cannot be obeyed; the message is the sentence for whoever gave it."""


def is_needed(approvals: Approvals, command: Commanded) -> bool:
    return approvals.required > 1 and command.verb in approvals.verbs


def ask(requests: list[Request], number: int, command: Commanded) -> tuple[list[Request], Request]:
    """Keep a command until somebody else approves it. The oldest of too many goes."""
    request = Request(id=f"request-{number}", command=command, expires_at=Instant(command.at + EXPIRES_AFTER))
    return [*requests, request][-MOST_REQUESTS:], request


def approve(requests: list[Request], approval: Commanded) -> tuple[list[Request], Commanded]:
    """Take the approved command out. Raises RefusedError for the same person, and for what is not there (any more)."""
    found = next((each for each in requests if each.id == approval.request), None)
    if found is None:
        waiting = ", ".join(each.id for each in requests) or "none"
        raise RefusedError(f"there is no request {approval.request or '(empty)'}; waiting: {waiting}.")
    if found.command.who == approval.who:
        raise RefusedError(
            f"{approval.who} has asked for {found.id} and cannot approve it: it takes another person to say yes."
        )
    command = msgspec.structs.replace(
        found.command, at=approval.at, who=f"{found.command.who} and {approval.who}", request=found.id
    )
    return [each for each in requests if each.id != found.id], command


def unexpired(requests: list[Request], at: Instant) -> list[Request]:
    return [each for each in requests if at < each.expires_at]
