"""What people say about verdicts."""

import pytest
from tests.detect.world import AT

from seawall.detect.events import Commanded, Publish, Record, Withdraw
from seawall.detect.guard import Guard
from seawall.detect.scope import Scope, scope
from seawall.detect.verdict import Action
from seawall.kit.units import Instant, Seconds

ONE = scope("", {"address": "192.0.2.1"})


def said(guard: Guard, verb: str, about: Scope = ONE, **more: object) -> list[object]:
    event = Commanded(at=AT, verb=verb, who="ada", scope=about, **more)  # type: ignore[arg-type]
    return list(guard.handle(event))


def test_a_person_adds_and_removes_a_verdict() -> None:
    guard = Guard()
    added = said(guard, "add", reason="she attacks us")
    (held,) = guard.in_force(AT)
    removed = said(guard, "remove", Scope(), verdict=held.id)

    assert isinstance(added[0], Publish) and added[0].verdict.author == "human" and held.reason == "she attacks us"
    assert isinstance(removed[0], Withdraw) and guard.in_force(AT) == []


def test_a_verdict_by_hand_replaces_the_one_that_stands() -> None:
    guard = Guard()
    said(guard, "add")
    said(guard, "allow")

    assert [one.action.kind for one in guard.in_force(AT)] == ["allow"]


def test_a_verdict_by_hand_ends_by_itself_too() -> None:
    guard = Guard()
    said(guard, "add", ttl=Seconds(10.0), action=Action(kind="limit", rate=1.0))

    assert len(guard.in_force(Instant(AT + 9.9))) == 1
    assert guard.in_force(Instant(AT + 10)) == []


@pytest.mark.parametrize(
    ("about", "ttl", "words"),
    [
        (Scope(), 60.0, "everybody"),
        (Scope(route="shop"), 60.0, "everybody"),
        (scope("", {"agent": ""}), 60.0, "empty value"),
        (scope("", {"address": "0.0.0.0/0"}), 60.0, "length 0"),
        (ONE, 0.0, "0 s"),
        (ONE, 1e12, "at most"),
    ],
)
def test_what_would_hit_everybody_or_never_end_is_refused_with_a_reason(about: Scope, ttl: float, words: str) -> None:
    guard = Guard()
    (record,) = said(guard, "add", about, ttl=Seconds(ttl))

    assert isinstance(record, Record) and record.what == "refused" and words in record.said
    assert guard.in_force(AT) == []


def test_removing_what_is_not_there_says_so() -> None:
    (record,) = said(Guard(), "remove", Scope(), verdict="v-9")

    assert isinstance(record, Record) and "v-9" in record.said
