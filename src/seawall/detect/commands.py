"""Commands: what people say about verdicts: add one, remove one, allow somebody. Pure. Next room: `detect.guard`."""

from seawall.detect import stage
from seawall.detect.events import ActionToDo, Commanded
from seawall.detect.ladder import LADDER, LONGEST
from seawall.detect.ledger import Ledger
from seawall.detect.scope import Scope
from seawall.detect.settings import Settings
from seawall.detect.verdict import Action, Kind, Verdict
from seawall.kit.units import Instant, duration

LONGEST_BY_HAND = 30 * LONGEST


def command(ledger: Ledger, event: Commanded, settings: Settings) -> list[ActionToDo]:
    """Do what a person says, or say why not."""
    if event.verb == "remove":
        return _remove(ledger, event)
    problem = _problem(ledger, event, settings)
    if problem:
        return [ledger.record(event.at, "refused", str(event.scope), problem)]
    actions = _add(ledger, event, Action(kind="allow") if event.verb == "allow" else event.action)
    return [*actions, *_overlaps(ledger, event, settings)]


def _overlaps(ledger: Ledger, event: Commanded, settings: Settings) -> list[ActionToDo]:
    """Say which of the two counts where somebody is both allowed and refused."""
    if event.verb == "allow":
        denied = [
            one
            for one in ledger.book.verdicts.values()
            if one.author == "human" and one.action.refuses and _meet(one.scope, event.scope)
        ]
        return [
            ledger.record(
                event.at,
                "overlaps",
                one.id,
                f"{one.who} refuses {one.scope}, which goes before an allow: remove it too.",
            )
            for one in denied[:1]
        ]
    allowed = [*settings.allow, *(one.scope for one in ledger.book.verdicts.values() if one.action.kind == "allow")]
    met = next((one for one in allowed if _meet(one, event.scope)), None)
    if met is None:
        return []
    counts = "this goes before it" if event.action.refuses else "that goes before this"
    return [ledger.record(event.at, "overlaps", str(event.scope), f"{met} is allowed: {counts}.")]


def _meet(one: Scope, other: Scope) -> bool:
    return one.contains(other) or other.contains(one)


def _problem(ledger: Ledger, event: Commanded, settings: Settings) -> str:
    """Say why a verdict by hand cannot be: it would hit everybody, never end, or not fit."""
    if not event.scope.match:
        return "A verdict needs at least one value to match: without one it would be about everybody."
    if any(not one.value for one in event.scope.match):
        return "A verdict by hand may not match an empty value: it would be about all who do not send it."
    if any(one.field == "address" and one.value.endswith("/0") for one in event.scope.match):
        return "A network of length 0 is everybody: name a narrower one."
    if not 0 < event.ttl <= LONGEST_BY_HAND:
        return f"A verdict holds for more than 0 s and at most {duration(LONGEST_BY_HAND)}: give such a time."
    if len(ledger) >= settings.hard_entries:
        return f"{len(ledger)} verdicts are in force, {settings.hard_entries} are possible: remove some first."
    return ""


def _add(ledger: Ledger, event: Commanded, action: Action) -> list[ActionToDo]:
    held = ledger.of(event.scope)
    actions: list[ActionToDo] = []
    if held is not None:
        actions += stage.end(ledger, held, event.at, f"{event.who} has decided otherwise.")
    verdict = Verdict(
        id=ledger.next_id(event.scope),
        generation=1,
        created=event.at,
        since=event.at,
        expires=Instant(event.at + event.ttl),
        mode="enforce",
        scope=event.scope,
        action=action,
        rung=rung_of(action.kind),
        author="human",
        who=event.who,
        reason=event.reason or f"{event.who} says so",
    )
    ledger.put(verdict)
    said = f"{action.kind} {event.scope} for {duration(event.ttl)}, by {event.who}: {verdict.reason}."
    return [*actions, stage.publish(verdict, ()), ledger.record(event.at, "created", verdict.id, said)]


def rung_of(kind: Kind) -> int:
    """Return the lowest rung of a kind."""
    return next(rung.number for rung in LADDER if rung.name == kind) if kind != "labyrinth" else 4


def _remove(ledger: Ledger, event: Commanded) -> list[ActionToDo]:
    held = ledger.get(event.verdict) or ledger.of(event.scope)
    if held is None:
        said = f"No verdict {event.verdict or event.scope} is in force: see `seawall attacks` for those that are."
        return [ledger.record(event.at, "refused", event.verdict, said)]
    # What a person removes is not made again at once: as if its canary had failed.
    was_auto = held.author == "auto"
    return stage.end(
        ledger, held, event.at, f"{event.who} has removed it. {event.reason}".strip(), was_aborted=was_auto
    )
