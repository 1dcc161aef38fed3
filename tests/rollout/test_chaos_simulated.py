"""Hundreds of random lives of a fleet in virtual time, with the real flow: whoever dies when, the laws hold.

- every edge is in exactly one wave, and takes no step twice
- no edge runs what is unsigned, forged, or was refused by sandbox or taster
- what goes forward is in the history first: nothing is promoted while it is away
- a rollout that failed leaves every edge on the version before; in the end all run the same
- the history has no gap, and whoever reads it comes to the same state and the same decisions
"""

from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rollout.chaos import Sea
from tests.support import virtual

from seawall.app.ledger import replay
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Action, Decide, Event, Finish
from seawall.store.history import Entry

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_action: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)
SIZES = (1, 2, 3, 5, 8, 12)
SEEDS = st.integers(0, 2**32 - 1)


def live(folder: Path, seed: int, *, planes: int) -> Sea:
    """Let a fleet live for some minutes; return it when all is calm. `luck` decides everything: a seed is a life."""
    luck = Random(seed)
    folder.mkdir(exist_ok=True)
    (folder / "history.db").unlink(missing_ok=True)
    for rest in folder.iterdir():
        rest.unlink()
    with structlog.testing.capture_logs():
        sea = Sea(folder, luck, edges=luck.choice(SIZES), planes=planes)
        virtual.run(sea.story(changes=5, faults=14), luck)
    return sea


def broken(sea: Sea) -> list[str]:
    """Name the laws that did not hold: those that were seen to break on the way, and those that show at the end."""
    entries = sea.history().log(limit=1_000_000)
    events = [(entry, _event.decode(entry.body)) for entry in entries if entry.kind == "event"]
    actions = [_action.decode(entry.body) for entry in entries if entry.kind == "action"]
    said = list(sea.broken)
    # Its front may have been let go, with the bundles that it told of.
    if [entry.number - entries[0].number for entry in entries] != list(range(len(entries))):
        said.append("the history has a gap")
    return [*said, *_state(sea, entries, events), *_steps(actions), *_ends(sea, events, actions)]


def _state(sea: Sea, entries: tuple[Entry, ...], events: list[tuple[Entry, Event]]) -> list[str]:
    """Whoever reads the history comes to the leader's state, and to the same decisions."""
    starts = [(0, Conductor())] if entries[0].number == 1 else []
    if (kept := sea.history().state()) is not None:
        starts.append((kept[0], Conductor.restore(kept[1])))
    assert sea.end is not None
    said = []
    for number, conductor in starts:
        for entry, event in events:
            if entry.number > number:
                conductor.handle(event)
        if conductor.view(sea.ended_at) != sea.end.view(sea.ended_at):
            said.append(f"whoever reads the history after entry {number} comes to another state")
    for stream in sorted({entry.stream for entry in entries if entry.kind == "state"}):
        found = replay(_of(stream, entries), stream)
        if not found.is_same:
            said.append(f"{stream} is decided otherwise when it is replayed: {found.difference}")
    return said


def _of(stream: str, entries: tuple[Entry, ...]) -> list[Entry]:
    own = [entry.number for entry in entries if entry.stream == stream]
    first = next(entry.number for entry in entries if entry.stream == stream and entry.kind == "state")
    return [entry for entry in entries if first <= entry.number <= own[-1]]


def _steps(actions: list[Action]) -> list[str]:
    """No step is taken twice."""
    steps = Counter((one.rollout, one.stage, one.decision) for one in actions if isinstance(one, Decide))
    said = [
        f"{rollout}: {decision} in {stage} {times} times"
        for (rollout, stage, decision), times in steps.items()
        if times > 1 and decision in ("begin", "advance", "complete", "roll_back")
    ]
    ends = Counter(one.rollout for one in actions if isinstance(one, Finish))
    return [*said, *(f"{rollout} ended {times} times" for rollout, times in ends.items() if times > 1)]


def _ends(sea: Sea, events: list[tuple[Entry, Event]], actions: list[Action]) -> list[str]:
    """All run the same, and it is nothing that failed."""
    assert sea.end is not None
    running, failed = sea.end.running, set(sea.end.view(sea.ended_at).blocked)
    strays = {edge.place.edge: edge.runs[:6] for edge in sea.edges if edge.runs != running and not edge.has_fallen_back}
    said = [f"all should run {running[:6]}, but {strays}"] if strays else []
    return [*said, *(["the fleet runs what failed"] if running in failed else [])]


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_one_control_plane_and_everything_else_may_die_at_any_moment(tmp_path: Path, seed: int) -> None:
    assert broken(live(tmp_path / "life", seed, planes=1)) == []


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_of_two_control_planes_any_may_die_at_any_moment(tmp_path: Path, seed: int) -> None:
    assert broken(live(tmp_path / "life", seed, planes=2)) == []
