"""Traffic: seconds once and in order, shares of the last hour, samples without secrets."""

import msgspec

from seawall.app.traffic import MOST_HEADS, Traffic
from seawall.fleet.wire import Traffic as Message
from seawall.kit.units import Instant
from seawall.traffic.delta import delta
from seawall.traffic.entry import FIELDS, SEPARATOR, parse

NOW = 1_700_000_000


def told(traffic: Traffic, now: float) -> list[tuple[float, float]]:
    return [(float(slot.at), sum(slot.totals.values())) for slot in traffic.slots(Instant(now))]


def message(number: int, second: int, *requests: dict[str, str], edge: str = "e1") -> Message:
    usual = {"ended": f"{second}.5", "took": "20", "address": "192.0.2.1", "method": "GET", "route": "shop"}
    text = "".join(
        SEPARATOR.join({**usual, "target": "/", **one}.get(field, "-") for field in FIELDS) + "\n" for one in requests
    )
    made = delta(parse(text.encode()), edge=edge, run="r", number=number, at=Instant(float(second)))
    return Message(delta=made)


def test_each_second_is_told_once_when_its_edges_had_time_to_report_it() -> None:
    traffic = Traffic()
    assert told(traffic, NOW + 2.0) == [(NOW, 0)]
    traffic.heard("e1", message(1, NOW + 1, {"host": "a"}, {"host": "a"}), Instant(NOW + 1.9))
    traffic.heard("e2", message(1, NOW + 1, {"host": "a"}), Instant(NOW + 2.1))

    assert told(traffic, NOW + 2.9) == []
    assert told(traffic, NOW + 3.1) == [(NOW + 1, 3)]
    assert told(traffic, NOW + 3.2) == []
    # Who slept does not go through it all again.
    assert len(told(traffic, NOW + 500.0)) == 1


def test_whose_traffic_it_is_says_the_stream() -> None:
    traffic = Traffic()
    for name in ("e1", "e2"):
        traffic.heard(name, message(1, NOW, {"host": "a"}, edge="e9"), Instant(float(NOW)))
    traffic.heard("e1", message(1, NOW, {"host": "a"}, edge="e9"), Instant(float(NOW)))

    assert traffic.windows.window(8, Instant(NOW + 1.0)).totals == {"shop": 2.0}
    assert traffic.windows.dropped["repeated"] == 1


def test_shares_are_of_the_last_hour_by_name_without_port() -> None:
    traffic = Traffic()
    assert traffic.share(["a.example"]) is None
    hosts = ["a.example:8080", "A.example", "b.example", "x.b.example"]
    traffic.heard("e1", message(1, NOW, *({"host": host} for host in hosts)), Instant(float(NOW)))

    assert traffic.share(["a.example"]) == 0.5
    assert traffic.share(["*.b.example"]) == 0.25
    assert traffic.share(["*"]) == 1.0
    later = NOW + 3700
    traffic.heard("e1", message(2, later, {"host": "c.example"}), Instant(float(later)))
    assert traffic.share(["a.example"]) == 0.0


def test_samples_only_read_keep_no_values_and_are_bounded() -> None:
    traffic = Traffic()
    requests = [
        {"host": "a.example", "target": "/find?token=s3cret&page=2", "agent": "curl/8"},
        {"host": "a.example", "method": "POST", "target": "/buy"},
    ]
    for number in range(2 * MOST_HEADS):
        traffic.heard("e1", message(number, NOW + number % 60, *requests), Instant(NOW + 60.0))

    sample = traffic.sample()
    assert len(sample) == MOST_HEADS
    assert {(one.method, one.target, one.agent) for one in sample} == {("GET", "/find?token=1&page=1", "curl/8")}


def test_an_edge_whose_clock_is_behind_is_looked_at_all_the_same() -> None:
    traffic = Traffic()
    seen: dict[float, float] = {}
    for second in range(NOW, NOW + 20):
        traffic.heard("e1", message(second, second - 9, {"host": "a"}), Instant(second + 0.4))
        seen |= dict(told(traffic, second + 0.5))

    assert [seen[second] for second in range(NOW + 10, NOW + 18)] == [1.0] * 8
    assert traffic.clocks.worst == 9
    assert 0 < traffic.unseen < 6


def test_metrics_are_bounded_whatever_edges_say() -> None:
    traffic = Traffic()
    quiet = len(traffic.metrics())
    strange = message(1, NOW, {"host": "a"})
    dropped = {f"reason-{number}": 1.0 for number in range(1_000)}
    strange = Message(delta=msgspec.structs.replace(strange.delta, dropped=dropped))
    traffic.heard("e1", strange, Instant(NOW + 1.0))

    assert len(traffic.metrics()) == quiet
    assert {one.name: one.samples[0][1] for one in traffic.metrics()}["traffic_dropped_other_total"] == 1_000
