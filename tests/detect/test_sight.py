"""Sights: windows, health, and which routes are in excess."""

import msgspec
from tests.detect.world import AT, learned, people, rows, sight, slot

from seawall.detect.sight import Peer, Slot, peers_of, slot_of
from seawall.kit.units import Instant


def busy(rate: float, at: float, errors: float = 0.0) -> Slot:
    return Slot(at=Instant(AT + at), totals={"shop": rate}, errors={"shop": errors})


def test_a_route_trips_after_two_seconds_or_one_that_is_tenfold() -> None:
    assert sight(busy(400, 0)).tripped == ()
    assert sight(busy(400, 0), busy(400, 1)).tripped == ("shop",)
    assert sight(busy(2000, 0)).tripped == ("shop",)
    assert sight(busy(2000, 0)).is_sudden("shop")


def test_a_route_that_nobody_knows_yet_does_not_trip() -> None:
    assert sight(busy(2000, 0), busy(2000, 1), baseline=learned(10)).tripped == ()


def test_health_is_the_share_of_errors_and_its_worst_is_remembered() -> None:
    seen = sight(*[busy(100, at, 90.0) for at in range(5)], *[busy(100, 5 + at) for at in range(10)])

    assert not seen.is_unhealthy("shop") and seen.worst_errors("shop", 60) == 0.9
    assert sight(busy(100, 0, 50.0)).is_ill
    assert sight(busy(100, 0, 50.0)).worst_errors("shop", 60) == 0.5


def test_windows_join_seconds() -> None:
    seen = sight(*[slot(*people(2), at=at) for at in range(5)])

    assert len(seen.last(3)) == 18 and len(seen.last(60)) == 30
    assert (seen.span(3), seen.span(60)) == (3.0, 5.0)
    assert seen.costs("shop") == [0.0] * 5


def test_peers_add_up_over_seconds() -> None:
    one = msgspec.structs.replace(slot(), peers={"a": Peer(opened=2), "b": Peer(resets=1)})

    assert peers_of([one, one])["a"].opened == 4.0


def test_a_second_counts_what_the_origin_answered() -> None:
    made = slot_of(AT, rows({"status": "503"}, {"status": "503", "refused": "v-1"}, {}, {"route": "blog"}))

    assert made.totals == {"shop": 3.0, "blog": 1.0} and made.errors == {"shop": 1.0}
    assert made.costs == {"shop": 0.04, "blog": 0.02} and made.peers == {}
