"""Progress: how rollouts look on a terminal: where one stands, what it waits for, why it was decided so.

Prints what `GET /v1/rollouts` and `GET /v1/rollouts/{name}` say. Written for somebody who was just woken up: a line a stage,
and the sentence that matters last.
"""

import datetime
from collections.abc import Iterator
from typing import Any

from seawall.cli.output import Printer, Style

RISKS = {"R0": Style.GOOD, "R1": Style.GOOD, "R2": Style.WARNING, "R3": Style.ERROR}
_MARKS = {"done": "✓", "running": "▶", "waiting": "·", "skipped": "–"}
_STATES = {"done": Style.GOOD, "running": Style.STRONG, "waiting": Style.FAINT, "skipped": Style.FAINT}
_OUTCOMES = {
    "completed": Style.GOOD,
    "rolled_back": Style.ERROR,
    "refused": Style.ERROR,
    "aborted": Style.WARNING,
    "superseded": Style.FAINT,
}
_DECISIONS = {"roll_back": Style.ERROR, "refuse": Style.ERROR, "hold": Style.WARNING, "complete": Style.GOOD}
_MOST_GATES, _MOST_FINISHED, _MOST_WHY = 3, 5, 4


def show(printer: Printer, found: dict[str, Any]) -> None:
    """Print all of it: the rollout under way, the fleet, what stands in the way, what is over."""
    view = found["view"]
    if view["rollout"] is not None:
        _show_current(printer, view["rollout"], found["report"], view["at"])
    else:
        printer.line(f"No rollout is under way (strategy: {view['strategy']}).")
    printer.line()
    for line in _fleet(printer, view):
        printer.line(line)
    for line in _in_the_way(printer, found):
        printer.line(line)
    _show_requests(printer, view)
    _show_finished(printer, view)


def show_story(printer: Printer, story: dict[str, Any], *, is_full: bool = False) -> None:
    """Print why one rollout went as it went: every decision with its evidence, the outcome last."""
    report = story["report"]
    if report is not None:
        base = short(report["base"])
        risk = printer.paint(report["risk"], RISKS[report["risk"]])
        printer.line(f"{story['rollout']}: {short(report['candidate'])} instead of {base}, risk {risk}")
        for why in report["why"][:_MOST_WHY]:
            printer.line(f"  because {why}")
        _show_touched(printer, report["blast"])
    else:
        printer.line(f"{story['rollout']}:")
    for one in story["decisions"]:
        show_decision(printer, one, is_full=is_full)
    if story["outcome"]:
        printer.line(f"{outcome(printer, story['outcome'])}: {story['reason']}")
    else:
        printer.line("It is not over yet.")


def show_decision(printer: Printer, one: dict[str, Any], *, is_full: bool = False) -> None:
    """Print one decision; its numbers in short, or all of them."""
    word = one["decision"].replace("_", " ")
    padding = " " * max(0, 9 - len(word))
    shown = printer.paint(word, _DECISIONS.get(one["decision"], Style.STRONG))
    printer.line(f"  {one['at']}  {one['stage'] or '-':8}{shown}{padding}  {one['reason']}")
    numbers = one["evidence"]
    if numbers:
        listed = ", ".join(f"{key}={value:.4g}" for key, value in sorted(numbers.items()))
        printer.line(f"{'':24}{printer.paint(listed if is_full else evidence(numbers), Style.FAINT)}")


def evidence(numbers: dict[str, float]) -> str:
    """Say in a line what the gates have seen: how much speaks against the candidate, of how much that sends it back."""
    said = [f"{numbers.get('requests.new', 0.0):,.0f} requests in this stage"]
    if "e" not in numbers:
        return said[0]
    said.append(f"evidence against it {_e(numbers['e'])} of {_e(numbers.get('needed', 1000.0))}")
    suspects = sorted(
        ((value, key.removesuffix(".e")) for key, value in numbers.items() if key.endswith(".e") and value > 1),
        reverse=True,
    )
    for value, gate in suspects[:_MOST_GATES]:
        new, old = numbers.get(f"{gate}.new", 0.0), numbers.get(f"{gate}.old", 0.0)
        said.append(f"{gate} {_e(value)} ({_percent(new)} against {_percent(old)})")
    if not numbers.get("control", 1.0):
        said.append("no control to compare with")
    return ", ".join(said)


def outcome(printer: Printer, word: str) -> str:
    return printer.paint(word.replace("_", " "), _OUTCOMES.get(word, Style.STRONG))


def short(bundle: str) -> str:
    """Write a version as people read it."""
    return bundle[:12] or "nothing"


def many(edges: int) -> str:
    return "1 edge" if edges == 1 else f"{edges} edges"


def span(seconds: float) -> str:
    """Write a length of time."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_touched(printer: Printer, blast: dict[str, Any]) -> None:
    """Say whom it can hurt; nothing where nobody has counted requests."""
    if blast.get("share") is not None:
        printer.line(f"  touches {blast['hosts']} hosts, {blast['share']:.1%} of the last hour's requests")


def _show_current(printer: Printer, current: dict[str, Any], report: dict[str, Any] | None, at: float) -> None:
    risk = printer.paint(current["risk"], RISKS[current["risk"]])
    printer.line(
        f"{printer.paint(current['rollout'], Style.STRONG)}: {short(current['candidate'])} instead of "
        f"{short(current['base'])}, risk {risk}, {current['strategy']}, by {current['author']}, "
        f"for {span(max(0.0, at - current['begun_at']))}"
    )
    for why in (report or {}).get("why", ())[:_MOST_WHY]:
        printer.line(f"  because {why}")
    if report is not None:
        _show_touched(printer, report["blast"])
    if current["emergency_until"] > at:
        left = span(current["emergency_until"] - at)
        printer.line(f"  {printer.paint('emergency', Style.ERROR)}: short clocks for {left} more")
    # Without stages there is nothing to say of those that are skipped.
    is_staged = current["strategy"] == "staged"
    rows = [_stage_row(printer, current, one) for one in current["stages"] if is_staged or one["state"] != "skipped"]
    printer.table(("", "STAGE", "EDGES", "TIME", ""), rows)
    if current["evidence"]:
        printer.line(f"  Gates: {evidence(current['evidence'])}.")
    if current["held"]:
        word = printer.paint("Held", Style.WARNING) if current["is_held"] else "Waits"
        printer.line(f"  {word}: {current['held']}")


def _stage_row(printer: Printer, current: dict[str, Any], stage: dict[str, Any]) -> tuple[str, ...]:
    is_to_skip = stage["state"] == "waiting" and stage["note"] and not stage["edges"]
    state = "skipped" if is_to_skip else stage["state"]
    edges = f"{stage['applied']}/{stage['edges']}" if stage["edges"] else ""
    time = ""
    if state == "running" and stage["minimum"]:
        least = span(stage["minimum"])
        time = f"{span(stage['remaining'])} left of {least}" if stage["remaining"] else f"{least} are over"
    elif state == "waiting" and stage["minimum"]:
        time = span(stage["minimum"])
    notes = []
    if stage["note"]:
        notes.append(f"skipped: {stage['note']}" if state == "skipped" else stage["note"])
    elif stage["names"] and state != "waiting":
        notes.append(_listed(stage["names"], stage["edges"]))
    if stage["stage"] == "canary" and current["control"]:
        notes.append(f"compared with {current['control']}")
    style = _STATES[state]
    mark = printer.paint(_MARKS[state], style)
    return mark, printer.paint(stage["stage"], style), edges, time, ", ".join(notes)


def _listed(names: list[str], count: int, most: int = 3) -> str:
    more = count - len(names[:most])
    return ", ".join(names[:most]) + (f" and {more} more" if more else "")


def _fleet(printer: Printer, view: dict[str, Any]) -> Iterator[str]:
    away = view["edges"] - view["present"]
    there = f"{view['present']} of {many(view['edges'])} there" if away else f"{many(view['edges'])}, none away"
    if not view["edges"]:
        there = "no edge has been here yet"
    yield f"Fleet: {printer.paint(there, Style.WARNING) if away else there}"
    for bundle, count in sorted(view["bundles"].items(), key=lambda pair: -pair[1]):
        good = ", last-known-good" if bundle in view["goods"] else ""
        yield f"  {count} on {short(bundle)}{good}"
    yield f"  back leads to: {_way_back(view)}"


def _way_back(view: dict[str, Any]) -> str:
    """Say where `seawall rollout back` would lead, as `rollout.commands` chooses."""
    goods, told = view["goods"], list(view["bundles"])
    later = goods.index(told[0]) + 1 if len(told) == 1 and told[0] in goods else 0
    proven = [each for each in goods[later:] if each not in view["blocked"]]
    if proven:
        return short(proven[0])
    if view["rollout"] is not None:
        before = view["rollout"]["base"]
    else:
        before = next((one["base"] for one in view["finished"] if one["candidate"] == view["running"]), "")
    return f"{short(before)}, which ran before; it is not proven" if before else "nothing, there is no version before"


def _in_the_way(printer: Printer, found: dict[str, Any]) -> Iterator[str]:
    """Say what keeps changes from going out, and what would let them."""
    view = found["view"]
    if view["pin"] is not None:
        pin = view["pin"]
        word = printer.paint("Pinned", Style.WARNING)
        why = f": {pin['reason']}" if pin["reason"] else ""
        yield f"{word} to {short(pin['bundle'])} by {pin['who']} at {when(pin['at'])}{why}"
        yield "  → Let changes go out again: seawall rollout unpin"
    if view["frozen"]:
        more = len(view["freezes"]) - 1
        yield f"{printer.paint('Frozen', Style.WARNING)}: {view['frozen']}" + (f" And {more} more." if more > 0 else "")
    for one in view["overrides"]:
        left = span(max(0.0, one["until"] - view["at"]))
        scope = f" for {short(one['candidate'])}" if one["candidate"] else ""
        yield f"Guard {one['guard']} is lifted{scope} for {left} more by {one['who']}: {one['reason']}"
    if view["waiting"]:
        yield f"{view['waiting']} ({short(view['waiting_candidate'])}) waits its turn."
    if view["blocked"]:
        number = len(view["blocked"])
        what = "1 version" if number == 1 else f"{number} versions"
        yield f"{what} failed, or was given up, and will not be tried again by itself."
        name = next((one["rollout"] for one in view["finished"] if one["candidate"] in view["blocked"]), "ROLLOUT")
        yield f"  → Try it all the same: seawall rollout promote {name}"
    if found["history"]["problem"]:
        yield f"{printer.paint('History', Style.ERROR)}: {found['history']['problem']}"
        yield f"  {found['history']['waiting']} entries wait; nothing is promoted until they are written. Back works."
    if not found["leader"]:
        yield "This control plane follows; another one leads and decides."


def _show_requests(printer: Printer, view: dict[str, Any]) -> None:
    if not view["requests"]:
        return
    printer.line()
    printer.line(printer.paint("Waiting for a second person", Style.WARNING))
    rows = [
        (one["id"], one["who"], one["verb"], span(max(0.0, one["expires_at"] - view["at"])), one["reason"])
        for one in view["requests"]
    ]
    printer.table(("REQUEST", "ASKED BY", "FOR", "EXPIRES IN", "BECAUSE"), rows)
    printer.line(f"  → Somebody else says: seawall rollout approve {view['requests'][0]['id']}")


def _show_finished(printer: Printer, view: dict[str, Any]) -> None:
    if not view["finished"]:
        return
    printer.line()
    printer.line(printer.paint("Last ones", Style.STRONG))
    rows = [
        (one["rollout"], outcome(printer, one["outcome"]), when(one["at"]), one["reason"])
        for one in view["finished"][:_MOST_FINISHED]
    ]
    printer.table(("ROLLOUT", "OUTCOME", "AT", "BECAUSE"), rows)


def _e(value: float) -> str:
    if value >= 1e6:
        return "over 1,000,000"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
