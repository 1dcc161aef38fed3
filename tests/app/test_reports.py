"""Reports: what edges say becomes events; who is silent is said once, and nobody before we have listened for long enough."""

from seawall.app.reports import Reports
from seawall.fleet.wire import Heartbeat, Hello
from seawall.kit.units import Instant, Seconds
from seawall.rollout.events import Joined, Lost

SILENCE = Seconds(10.0)


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds)


def heard(reports: Reports, seconds: float) -> list[object]:
    beat = Heartbeat(at=0.0, running="v", is_ready=True, envoy="live", bundle="b")
    return [*reports.heard("e", Hello(edge="e"), at(seconds)), *reports.heard("e", beat, at(seconds))]


def reporting() -> Reports:
    return Reports(lambda edge, version: "")


def test_an_edge_joins_with_its_first_heartbeat_and_once() -> None:
    reports = reporting()

    first, second = heard(reports, 0), heard(reports, 1)

    assert [type(one) for one in first] == [Joined]
    assert second == []
    assert reports.joined == {"e"}


def test_silence_is_said_once_with_the_time_of_the_last_word() -> None:
    reports = reporting()
    heard(reports, 0)

    assert reports.lost(at(9), SILENCE, lambda edge: True) == []
    (lost,) = reports.lost(at(11), SILENCE, lambda edge: True)

    assert isinstance(lost, Lost)
    assert lost.heard_at == at(0)
    assert "for 11 s" in lost.reason
    assert reports.lost(at(12), SILENCE, lambda edge: True) == []


def test_a_stream_that_ended_is_said_before_silence() -> None:
    reports = reporting()
    heard(reports, 0)

    (lost,) = reports.lost(at(5), SILENCE, lambda edge: False)

    assert isinstance(lost, Lost)
    assert lost.reason == "its stream ended"


def test_for_a_new_leader_nobody_is_silent_before_it_has_listened() -> None:
    reports = reporting()
    reports.begin(at(100))
    # What another control plane wrote down of it, long before.
    heard(reports, 80)

    assert reports.lost(at(101), SILENCE, lambda edge: True) == []
    (lost,) = reports.lost(at(111), SILENCE, lambda edge: True)
    assert isinstance(lost, Lost)
    assert lost.heard_at == at(100)


def test_a_late_word_does_not_make_an_edge_older_than_it_is() -> None:
    reports = reporting()
    heard(reports, 20)
    heard(reports, 0)

    assert reports.lost(at(29), SILENCE, lambda edge: True) == []
