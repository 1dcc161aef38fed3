"""Desk: what the console is told of rollouts, and what it may ask for. Implements `console.rollouts.RolloutDesk`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec

from seawall.app.ledger import STREAM, Ledger
from seawall.app.rollouts import Rollouts
from seawall.app.shelf import Shelf
from seawall.app.statuses import rfc3339
from seawall.console.rollouts import Command
from seawall.kit.errors import ConfigError
from seawall.kit.units import Instant
from seawall.rollout.change import Override
from seawall.rollout.events import Action, Assign, Commanded, Decide, Event, Finish, Proposed, Verb
from seawall.store.history import Entry, KeptBundle

Json = dict[str, Any]
_VERBS = frozenset(get_args(Verb))
_SHORTEST = 6
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_action: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)


class Desk:
    """Answers for one control plane."""

    def __init__(
        self, rollouts: Rollouts, ledger: Ledger, shelf: Shelf, holder: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._rollouts = rollouts
        self._ledger = ledger
        self._shelf = shelf
        self._holder = holder
        self._clock = clock

    def rollouts(self) -> Json:
        view = self._rollouts.conductor.view(Instant(self._clock()))
        return {
            "view": msgspec.to_builtins(view),
            "leader": self._rollouts.is_leader,
            "holder": self._holder,
            "history": {"problem": self._ledger.scribe.problem, "waiting": self._ledger.scribe.waiting},
            "said": [{"at": rfc3339(at), **msgspec.to_builtins(one)} for at, one in self._rollouts.said],
            "report": _plain(self._rollouts.conductor.report),
        }

    async def rollout(self, name: str) -> Json | None:
        entries = await self._ledger.entries(name)
        if not entries or name == STREAM:
            return None
        found = [_decoded(entry) for entry in entries]
        # What waited was compared anew with what ran when its turn came: the last word counts.
        report = next((one.report for one in reversed(found) if isinstance(one, Proposed)), None)
        end = next((one for one in reversed(found) if isinstance(one, Finish)), None)
        said = zip(entries, found, strict=True)
        return {
            "rollout": name,
            "report": _plain(report),
            "decisions": [{"at": rfc3339(entry.at), **_plain(one)} for entry, one in said if isinstance(one, Decide)],
            "orders": [_plain(one) for one in found if isinstance(one, Assign)],
            "outcome": end.outcome if end is not None else "",
            "reason": end.reason if end is not None else "",
        }

    async def replay(self, name: str) -> Json | None:
        found = await self._ledger.replay(name)
        if found is None:
            return None
        return {
            "isSame": found.is_same,
            "events": found.events,
            "difference": found.difference,
            "decisions": [{"at": rfc3339(at), **_plain(one)} for at, one in found.decisions],
        }

    async def command(self, command: Command) -> Json:
        """Raises ConfigError for what makes no sense, UnavailableError if nobody can be told."""
        answer = await self._rollouts.command(await self._commanded(command))
        return {
            "isAccepted": answer.is_accepted,
            "answers": [answer.reason],
            "request": answer.request,
            "rollout": answer.rollout,
        }

    async def bundles(self) -> list[Json]:
        kept = await self._ledger.scribe.call(lambda history: history.bundles())
        view = self._rollouts.conductor.view(Instant(self._clock()))
        return [_bundle(one, view.running, view.pin.bundle if view.pin is not None else "") for one in kept]

    def diff(self) -> Json:
        report = self._rollouts.report
        if report is None:
            raise ConfigError("nothing has been compiled yet.", hint="Wait a second and ask again.")
        return _document(report)

    async def diff_path(self, path: str) -> Json:
        return _document(self._rollouts.compare(Path(path)))

    async def _commanded(self, command: Command) -> Commanded:
        if command.verb not in _VERBS:
            raise ConfigError(f"{command.verb!r} is no command.", hint=f"There are {', '.join(sorted(_VERBS))}.")
        if not command.who.strip():
            raise ConfigError("a command needs somebody who gives it.", hint="Say who you are: --as NAME.")
        now = Instant(self._clock())
        until = Instant(now + command.seconds) if command.seconds else Instant(0.0)
        bundle = await self._bundle_named(command.bundle)
        override = None
        if command.verb == "override":
            override = Override(
                guard=command.guard.upper(), who=command.who, reason=command.reason, until=until, candidate=bundle
            )
        return Commanded(
            at=now,
            verb=command.verb,  # type: ignore[arg-type]  # checked against the same list above
            who=command.who,
            reason=command.reason,
            rollout=command.rollout,
            bundle=bundle,
            until=until,
            request=command.request,
            override=override,
        )

    async def _bundle_named(self, name: str) -> str:
        """Complete the first digits of a version's name. Raises ConfigError where they fit none, or several."""
        if not name:
            return ""
        names = set(self._shelf.names)
        if name in names:
            return name
        if not self._ledger.scribe.problem:
            names |= {one.bundle.name for one in await self._ledger.scribe.call(lambda history: history.bundles())}
        found = [one for one in names if one.startswith(name.lower())] if len(name) >= _SHORTEST else []
        if len(found) == 1:
            return found[0]
        what = "fits several kept versions" if found else "is no kept version"
        raise ConfigError(f"{name} {what}.", hint="See them: seawall rollout versions. Six digits or more name one.")


def _plain(record: object) -> Any:
    return msgspec.to_builtins(record) if record is not None else None


def _document(record: msgspec.Struct) -> Json:
    return dict(msgspec.to_builtins(record))


def _decoded(entry: Entry) -> Event | Action | None:
    try:
        match entry.kind:
            case "event":
                return _event.decode(entry.body)
            case "action":
                return _action.decode(entry.body)
            case _:
                return None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _bundle(kept: KeptBundle, running: str, pinned: str) -> Json:
    name = kept.bundle.name
    return {
        "name": name,
        "createdAt": rfc3339(kept.bundle.created_at),
        "savedAt": rfc3339(kept.saved_at),
        "isGood": bool(kept.good_since),
        "isRunning": name == running,
        "isPinned": name == pinned,
        "resources": kept.resources,
        "bytes": kept.bytes,
        "reason": kept.bundle.reason,
        "software": kept.bundle.software,
    }
