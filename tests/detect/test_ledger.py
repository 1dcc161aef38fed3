"""The ledger: nothing acts at its end, memory is bounded, what is over can still be found."""

from tests.detect.world import AT

from seawall.detect import ledger as subject
from seawall.detect.ledger import Ledger
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.detect.verdict import Action, Author, Kind, Verdict
from seawall.kit.units import Instant


def verdict(name: str, about: Scope, *, kind: Kind = "deny", author: Author = "auto", until: float = 60.0) -> Verdict:
    return Verdict(
        id=name,
        generation=1,
        created=AT,
        expires=Instant(AT + until),
        mode="enforce",
        scope=about,
        action=Action(kind=kind),
        rung=0 if kind == "allow" else 5,
        author=author,
    )


ONE = scope("", {"address": "192.0.2.1"})
REQUEST = {"address": "192.0.2.1", "agent": "x"}


def test_nothing_acts_at_its_end_or_later() -> None:
    ledger = Ledger()
    ledger.put(verdict("v", ONE))

    assert [one.id for one in ledger.in_force(Instant(AT + 59.9))] == ["v"]
    assert ledger.in_force(Instant(AT + 60.0)) == []
    assert ledger.ruling(REQUEST, Instant(AT + 60.0), Settings()) is None


def test_an_allow_beats_all_but_a_persons_deny() -> None:
    ledger = Ledger()
    ledger.put(verdict("auto", ONE))
    ledger.put(verdict("allow", scope("", {"agent": "x"}), kind="allow", author="human"))
    by_allow = ledger.ruling(REQUEST, AT, Settings())
    ledger.put(verdict("ban", scope("", {"address": "192.0.2.0/24"}), author="human"))

    assert by_allow is not None and by_allow.id == "allow"
    ruling = ledger.ruling(REQUEST, AT, Settings(allow=(ONE,)))
    assert ruling is not None and ruling.id == "ban"


def test_what_the_policy_allows_no_automatic_verdict_touches() -> None:
    ledger = Ledger()
    ledger.put(verdict("auto", ONE))

    assert ledger.ruling(REQUEST, AT, Settings(allow=(scope("", {"address": "192.0.2.0/24"}),))) is None


def test_what_is_over_is_bounded_and_can_be_found() -> None:
    ledger = Ledger()
    for number in range(subject.MOST_ENDED + 5):
        held = verdict(f"v{number}", scope("", {"agent": str(number)}))
        ledger.put(held)
        ledger.end(held, AT, "over.")

    assert len(ledger.book.ended) == subject.MOST_ENDED
    assert ledger.find("v0") == (None, None)
    ended = ledger.find("v9")[1]
    assert ended is not None and ended.reason == "over."


def test_records_are_bounded() -> None:
    ledger = Ledger()
    for number in range(subject.MOST_RECORDS + 1):
        ledger.record(AT, "created", str(number), "it is.")

    assert len(ledger.records()) <= subject.MOST_RECORDS
    assert len(ledger.records(str(subject.MOST_RECORDS))) == 1


def test_a_persons_verdict_is_no_relapse_and_neither_is_one_long_ago() -> None:
    ledger = Ledger()
    by_hand, auto = verdict("h", ONE, author="human"), verdict("a", scope("", {"agent": "x"}))
    ledger.end(by_hand, AT, "over.")
    ledger.end(auto, AT, "over.")

    assert ledger.relapses(ONE, AT) == 0
    assert ledger.relapses(auto.scope, AT) == 1
    assert ledger.relapses(auto.scope, Instant(AT + 2 * subject.RELAPSE)) == 0


def test_names_are_short_and_never_the_same() -> None:
    ledger = Ledger()
    names = {ledger.next_id(ONE) for _ in range(1000)}

    assert len(names) == 1000 and max(map(len, names)) <= 12


def test_denies_are_counted_against_their_routes_budget() -> None:
    ledger = Ledger()
    ledger.put(verdict("v", scope("shop", {"agent": "x"})))
    ledger.put(verdict("allow", ONE, kind="allow", author="human"))

    standing = ledger.standing(AT, ("edge-1",))

    assert standing.entries == 2 and "shop" in standing.denied and standing.allowed == (ONE,)
