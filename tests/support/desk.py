"""A console with a rollout machine behind it that plays its part under a fake clock: for what asks the console.

The machine is the real one (`tests.rollout.play`), and so are the socket and the HTTP; only the fleet is made up.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from seawall.app.statuses import rfc3339
from seawall.console.answers import Json
from seawall.console.api import Question, api
from seawall.console.rollouts import Command
from seawall.console.server import serving
from seawall.kit.errors import ConfigError
from seawall.rollout.change import ChangeReport, Override
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Answer, Assign, Commanded, Decide, Finish, Proposed, Verb
from tests.rollout.play import Play


class PlayedDesk:
    """Answers from a `Play`. `report` is what `diff` says."""

    def __init__(self, play: Play, report: ChangeReport | None = None) -> None:
        self.play = play
        self.report = report
        self.problem = ""
        self.is_leader = True

    def rollouts(self) -> Json:
        view = self.play.conductor.view(self.play.at)
        said = [one for one in self.play.actions if isinstance(one, Decide)]
        return {
            "view": msgspec.to_builtins(view),
            "leader": self.is_leader,
            "holder": "here",
            "history": {"problem": self.problem, "waiting": 3 if self.problem else 0},
            "said": self._decisions(said[-200:]),
            "report": self._proposed(view.rollout.rollout if view.rollout else ""),
        }

    async def rollout(self, name: str) -> Json | None:
        own = [one for one in self.play.actions if getattr(one, "rollout", "") == name]
        if not own:
            return None
        end = next((one for one in own if isinstance(one, Finish)), None)
        return {
            "rollout": name,
            "report": self._proposed(name),
            "decisions": self._decisions([one for one in own if isinstance(one, Decide)]),
            "orders": [msgspec.to_builtins(one) for one in own if isinstance(one, Assign)],
            "outcome": end.outcome if end else "",
            "reason": end.reason if end else "",
        }

    async def replay(self, name: str) -> Json | None:
        then = [one for one in self.play.actions if isinstance(one, Decide) and one.rollout == name]
        if not then:
            return None
        conductor, now = Conductor(), []
        for event in self.play.events:
            now += [one for one in conductor.handle(event) if isinstance(one, Decide) and one.rollout == name]
        return {
            "isSame": now == then,
            "events": len(self.play.events),
            "difference": "",
            "decisions": self._decisions(then),
        }

    async def command(self, command: Command) -> Json:
        if command.verb not in get_args(Verb):
            raise ConfigError(f"{command.verb!r} is no command.", hint="There are others.")
        until = self.play.now + command.seconds if command.seconds else 0.0
        said = Commanded(
            at=self.play.at,
            verb=cast(Verb, command.verb),
            who=command.who,
            reason=command.reason,
            rollout=command.rollout,
            bundle=command.bundle,
            until=type(self.play.at)(until),
            request=command.request,
        )
        if command.guard:
            lifted = Override(guard=command.guard, who=command.who, reason=command.reason, until=said.until)
            said = msgspec.structs.replace(said, override=lifted)
        (answer,) = [one for one in self.play.do(said) if isinstance(one, Answer)]
        return {
            "isAccepted": answer.is_accepted,
            "answers": [answer.reason],
            "request": answer.request,
            "rollout": answer.rollout,
        }

    async def bundles(self) -> list[Json]:
        view = self.play.conductor.view(self.play.at)
        return [
            {
                "name": name,
                "createdAt": rfc3339(self.play.at),
                "savedAt": rfc3339(self.play.at),
                "isGood": True,
                "isRunning": name == view.running,
                "isPinned": view.pin is not None and view.pin.bundle == name,
                "resources": 12,
                "bytes": 34567,
                "reason": "shop/api.yaml",
                "software": "seawall",
            }
            for name in view.goods
        ]

    def diff(self) -> Json:
        if self.report is None:
            raise ConfigError("nothing has been compiled yet.", hint="Wait a second and ask again.")
        return cast(Json, msgspec.to_builtins(self.report))

    async def diff_path(self, path: str) -> Json:
        if "nowhere" in path:
            raise ConfigError(f"{path} does not exist.", hint="Name a folder of manifests.")
        return self.diff()

    def _decisions(self, said: list[Decide]) -> list[Json]:
        return [{"at": rfc3339(self.play.at), **msgspec.to_builtins(one)} for one in said]

    def _proposed(self, name: str) -> Json | None:
        found = [one for one in self.play.events if isinstance(one, Proposed) and one.rollout == name]
        return msgspec.to_builtins(found[0].report) if found else None


class Nothing:
    """An instance that has nothing to tell but its rollouts."""

    def objects(self) -> list[Json]:
        return []

    def object(self, kind: str, namespace: str, name: str) -> Json | None:
        return None

    def edges(self) -> list[Json]:
        return []

    def status(self) -> Json:
        return {}

    def explain(self, question: Question) -> Json:
        return {}

    def metrics(self) -> str:
        return ""


@contextmanager
def answering(desk: Any, run_dir: Path) -> Iterator[Path]:
    """Answer on the control socket of a run dir, on a thread of its own, until the block ends."""
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(api(Nothing(), desk), run_dir / "control.sock"):
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield run_dir
    finally:
        ended.set()
        thread.join(10)
