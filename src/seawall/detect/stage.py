"""Stage: how a verdict moves: from its canary to everywhere, up while it leaks, on while it is hit, down when it is quiet, out.

Pure. Previous room: `detect.ledger` keeps them. Next room: `detect.guard` calls this once a second.
"""

import msgspec

from seawall.detect import ladder
from seawall.detect.events import ActionToDo, Publish, Withdraw
from seawall.detect.finding import Finding
from seawall.detect.judge import Proposal, propose
from seawall.detect.ladder import LADDER
from seawall.detect.ledger import Ledger, until
from seawall.detect.sight import Sight
from seawall.detect.verdict import Measured, Mode, Verdict
from seawall.kit.digest import digest
from seawall.kit.units import Instant, Seconds, duration

CANARY = Seconds(1.0)
CANARY_SHARE = 0.05
MOST_HARM = 0.005
"""Of the requests that somebody vouches for; a canary that hits more of them ends."""
STILL = 0.1
"""A scope is attacked while it sees this share of the attack."""
LEAK, LEAKS = 0.1, 3
QUIET = Seconds(60.0)
"""A signature without hits for so long is no more worth its place."""
DECAY = Seconds(45.0)
FRESH = Seconds(10.0)
SURER = 0.1


class Tally(msgspec.Struct, kw_only=True):
    """What a verdict saw in one second, and how many requests were vouched for at all."""

    hits: float = 0.0
    refused: float = 0.0
    vouched: float = 0.0


def begin(
    ledger: Ledger, proposal: Proposal, at: Instant, edges: tuple[str, ...], *, enforces: bool
) -> list[ActionToDo]:
    """Put a proposal into force, or raise the verdict that stands on its scope already."""
    held = ledger.of(proposal.scope)
    if held is not None:
        return _raised(ledger, held, proposal, at) if proposal.rung > held.rung and held.author == "auto" else []
    relapses = ledger.relapses(proposal.scope, at)
    mode: Mode = "observe" if not enforces else "canary" if proposal.rung >= 2 else "enforce"
    finding = proposal.finding
    verdict = Verdict(
        id=ledger.next_id(proposal.scope),
        generation=1,
        created=at,
        since=at,
        expires=Instant(at + ladder.ttl(proposal.rung, relapses)),
        mode=mode,
        scope=proposal.scope,
        action=proposal.action,
        rung=proposal.rung,
        most=finding.most,
        confidence=finding.score,
        evidence=finding.evidence,
        expected=proposal.expected,
        measured=Measured(last_hit=at),
        guards=proposal.guards,
        detector=finding.detector,
        reason=finding.reason,
        relapses=relapses,
    )
    ledger.put(verdict)
    again = f", for the {relapses}. time again within a day" if relapses else ""
    said = f"{LADDER[verdict.rung].title} ({mode}) for {duration(verdict.expires - at)}{again}: {verdict.reason}."
    return [publish(verdict, edges), ledger.record(at, "created", verdict.id, said)]


def publish(verdict: Verdict, edges: tuple[str, ...]) -> Publish:
    """Say where a verdict acts: a canary on one edge, always the same for one verdict, or on a share of the only one."""
    if verdict.mode != "canary":
        return Publish(verdict=verdict)
    if len(edges) > 1:
        chosen = min(edges, key=lambda edge: digest(verdict.id.encode(), edge.encode()))
        return Publish(verdict=verdict, edges=(chosen,))
    return Publish(verdict=verdict, share=CANARY_SHARE)


def measure(verdict: Verdict, tally: Tally, at: Instant, seconds: float = 1.0) -> Verdict:
    """Write down what a verdict has done in a second."""
    before, expected = verdict.measured, verdict.expected
    rate = tally.hits / seconds
    left = max(tally.hits - tally.refused, 0.0) / seconds
    is_attacked = rate >= max(STILL * expected.attack_rps, 2 * expected.benign_rps + 0.2)
    tolerated = 1.5 * verdict.action.rate if verdict.action.kind == "limit" and not verdict.action.per_client else 0.0
    is_leak = verdict.mode == "enforce" and at - verdict.since >= 2 and left > max(tolerated, LEAK * rate)
    measured = Measured(
        hits=before.hits + tally.hits,
        hits_rps=rate,
        left_rps=left,
        vouched=before.vouched + tally.vouched,
        last_hit=at if is_attacked else before.last_hit,
        leaks=before.leaks + 1 if is_leak else 0,
    )
    return msgspec.structs.replace(verdict, measured=measured)


def advance(ledger: Ledger, verdict: Verdict, sight: Sight, edges: tuple[str, ...], harm: float) -> list[ActionToDo]:
    """Move one automatic verdict along. `harm`: the share of all vouched requests that it hits."""
    at = sight.at
    if verdict.mode == "canary" and at - verdict.since >= CANARY:
        is_about_them = bool(verdict.scope.fields & {"token", "account"}) or verdict.rung <= 2
        if harm > MOST_HARM and not is_about_them:
            said = f"its canary hit {harm:.1%} of the requests that somebody vouches for; {MOST_HARM:.1%} are allowed."
            return end(ledger, verdict, at, said, was_aborted=True)
        return _switched(ledger, verdict, "enforce", at, edges)
    quiet = at - verdict.measured.last_hit
    if verdict.measured.leaks >= LEAKS and verdict.rung >= 2:
        raised = _escalated(ledger, verdict, sight)
        if raised:
            return raised
        # Nothing more may be done about it; ask again when it has leaked for as long once more.
        patient = msgspec.structs.replace(verdict, measured=msgspec.structs.replace(verdict.measured, leaks=0))
        ledger.put(patient)
        verdict = patient
    if quiet <= FRESH and verdict.expires - at <= 0.5 * ladder.ttl(verdict.rung, verdict.relapses):
        return _renewed(ledger, verdict, at, edges)
    return []


def expire(ledger: Ledger, at: Instant, edges: tuple[str, ...]) -> list[ActionToDo]:
    """End what is over; what was clean goes down one rung, for a little while, before it is gone."""
    actions: list[ActionToDo] = []
    for verdict in list(ledger.book.verdicts.values()):
        if verdict.acts(at):
            actions += _quiet(ledger, verdict, at, edges)
        # What ended long ago, while nobody was there, has been clean for long enough.
        elif verdict.author == "human" or verdict.rung <= 1 or at - verdict.expires > DECAY:
            actions += end(ledger, verdict, at, "its time is over.")
        else:
            actions += _lowered(ledger, verdict, at, edges)
    return actions


def _quiet(ledger: Ledger, verdict: Verdict, at: Instant, edges: tuple[str, ...]) -> list[ActionToDo]:
    """Lower, or end, an automatic verdict that has not been hit for a minute, though its time is not over."""
    quiet = at - max(verdict.measured.last_hit, verdict.since)
    if verdict.author == "human" or verdict.rung < 2 or quiet < QUIET:
        return []
    if verdict.scope.is_by_network:
        return _lowered(ledger, verdict, at, edges)
    return end(ledger, verdict, at, f"its signature was not hit for {duration(quiet)}.")


def switch(ledger: Ledger, at: Instant, edges: tuple[str, ...], *, enforces: bool) -> list[ActionToDo]:
    """Let all automatic verdicts act, or none of them."""
    actions: list[ActionToDo] = []
    for verdict in list(ledger.book.verdicts.values()):
        if verdict.author == "human" or not verdict.acts(at) or (verdict.mode != "observe") == enforces:
            continue
        mode: Mode = "observe" if not enforces else "canary" if verdict.rung >= 2 else "enforce"
        actions += _switched(ledger, verdict, mode, at, edges)
    return actions


def _lowered(ledger: Ledger, verdict: Verdict, at: Instant, edges: tuple[str, ...]) -> list[ActionToDo]:
    """Go down one rung for a little while: what comes back is seen at once, and goes up again."""
    lower = ladder.built(verdict.rung - 1)
    lowered = msgspec.structs.replace(
        verdict,
        generation=verdict.generation + 1,
        rung=lower,
        action=ladder.action(lower, allowed=verdict.action.rate or 1.0, per_client=verdict.action.per_client),
        since=at,
        expires=Instant(at + DECAY),
    )
    ledger.put(lowered)
    said = f"it was quiet: now {LADDER[lower].title}, for {duration(DECAY)}."
    return [publish(lowered, edges), ledger.record(at, "lowered", verdict.id, said)]


def _switched(ledger: Ledger, verdict: Verdict, mode: Mode, at: Instant, edges: tuple[str, ...]) -> list[ActionToDo]:
    changed = msgspec.structs.replace(verdict, generation=verdict.generation + 1, mode=mode, since=at)
    ledger.put(changed)
    said = {
        "enforce": "its canary hurt nobody: it acts everywhere.",
        "observe": "it only watches.",
        "canary": "it acts.",
    }
    return [
        publish(changed, edges),
        ledger.record(at, "enforced" if mode == "enforce" else "switched", verdict.id, said[mode]),
    ]


def _raised(ledger: Ledger, held: Verdict, proposal: Proposal, at: Instant) -> list[ActionToDo]:
    mode: Mode = held.mode if held.rung >= 2 or held.mode == "observe" else "canary"
    raised = msgspec.structs.replace(
        held,
        generation=held.generation + 1,
        rung=proposal.rung,
        action=proposal.action,
        confidence=max(held.confidence, proposal.finding.score),
        evidence=proposal.finding.evidence,
        expected=proposal.expected,
        guards=proposal.guards,
        reason=proposal.finding.reason,
        most=max(held.most, proposal.finding.most),
        mode=mode,
        since=at,
        expires=Instant(at + ladder.ttl(proposal.rung, held.relapses)),
        measured=msgspec.structs.replace(held.measured, last_hit=at, leaks=0),
    )
    ledger.put(raised)
    said = f"raised from {LADDER[held.rung].title} to {LADDER[raised.rung].title}: {raised.reason}."
    return [publish(raised, ()), ledger.record(at, "raised", held.id, said)]


def _escalated(ledger: Ledger, verdict: Verdict, sight: Sight) -> list[ActionToDo]:
    """Ask the guards for a higher rung: what is refused and comes on all the same is no accident."""
    finding = Finding(
        detector=verdict.detector,
        scope=verdict.scope,
        score=min(verdict.confidence + SURER, 0.99),
        reason=verdict.reason,
        evidence=verdict.evidence,
        excess=verdict.expected.attack_rps,
        coverage=verdict.expected.coverage,
        most=verdict.most,
        allowed=verdict.action.rate,
    )
    proposal = propose(sight, finding, ledger.standing(sight.at, ()), (), verdict.relapses)
    if proposal is None or proposal.scope != verdict.scope or proposal.rung <= verdict.rung:
        return []
    return _raised(ledger, verdict, proposal, sight.at)


def _renewed(ledger: Ledger, verdict: Verdict, at: Instant, edges: tuple[str, ...]) -> list[ActionToDo]:
    renewed = msgspec.structs.replace(verdict, generation=verdict.generation + 1, expires=until(verdict, at))
    ledger.put(renewed)
    said = f"still hit {verdict.measured.hits_rps:.0f} times a second: holds for {duration(renewed.expires - at)} more."
    return [publish(renewed, edges), ledger.record(at, "renewed", verdict.id, said)]


def end(ledger: Ledger, verdict: Verdict, at: Instant, said: str, *, was_aborted: bool = False) -> list[ActionToDo]:
    ledger.end(verdict, at, said, was_aborted=was_aborted)
    withdraw = Withdraw(verdict=verdict.id, generation=verdict.generation, reason=said)
    return [withdraw, ledger.record(at, "aborted" if was_aborted else "ended", verdict.id, said)]
