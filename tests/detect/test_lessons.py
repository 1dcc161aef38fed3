"""Lessons: what is under a verdict, or in excess, is never learned."""

from tests.detect.world import AT, bots, learned, people, slot

from seawall.detect.baseline import Baseline
from seawall.detect.lessons import RATES_WAIT, VALUES_WAIT, Lessons, without
from seawall.detect.matcher import Matcher
from seawall.detect.scope import scope
from seawall.detect.seen import Seen
from seawall.detect.sight import Slot
from seawall.kit.units import Instant

NOBODY = Matcher(())


def test_a_second_waits_before_it_is_learned() -> None:
    baseline = Baseline()
    lessons = Lessons(baseline, Seen())
    for at in range(RATES_WAIT + 1):
        lessons.take(slot(*people(10), at=at), NOBODY)

    assert baseline.normal("requests", "route", "shop", AT).learned == 1.0
    assert baseline.normal("requests", "route", "", AT).peak >= 30.0


def test_mitigated_traffic_is_never_learned() -> None:
    baseline = Baseline()
    lessons = Lessons(baseline, Seen())
    held = Matcher([("v", scope("", {"agent": "bot/1"}))])
    for at in range(2 * VALUES_WAIT):
        lessons.take(slot(*people(10), *bots(200), at=at), held)

    then = Instant(AT + 2 * VALUES_WAIT)
    assert baseline.normal("requests", "route", "shop", then).peak < 40.0
    assert baseline.normal("requests", "agent", "bot/1", then).peak == 0.0
    assert baseline.normal("requests", "agent", "Chrome/156", then).peak >= 30.0
    assert baseline.sample("shop", then).impact(scope("", {"agent": "bot/1"})) == 0.0


def test_an_excess_is_cut_out_but_a_new_normal_is_learned() -> None:
    def peak(seconds: int) -> float:
        baseline = learned(100)
        lessons = Lessons(baseline, Seen())
        for at in range(seconds):
            lessons.note(("shop",), Instant(AT + at))
            lessons.take(Slot(at=Instant(AT + at), totals={"shop": 1000.0}), NOBODY)
        return baseline.normal("requests", "route", "shop", Instant(AT + seconds)).peak

    assert peak(120) < 200.0
    assert peak(1000) >= 1000.0


def test_requests_leave_with_what_they_cost() -> None:
    one = Slot(at=AT, rows=slot(*bots(3)).rows, totals={"shop": 10.0}, costs={"shop": 1.0}, errors={"shop": 2.0})

    left = without(one, ["v", "", "v"], set())

    assert len(left.rows) == 1 and left.totals == {"shop": 8.0} and left.costs["shop"] < 1.0
    assert without(one, ["", "", ""], {"shop"}).totals == {}
