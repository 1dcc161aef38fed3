"""Baselines: an hour of the week is remembered, memory is bounded, a state put away comes back the same."""

from hypothesis import given
from hypothesis import strategies as st
from tests.detect.world import AT, FIELDS, people, rows

from seawall.detect import baseline as subject
from seawall.detect.baseline import HOUR, Baseline, quantile
from seawall.detect.columns import Rows
from seawall.kit.units import Instant


@given(rates=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200), share=st.floats(0.01, 1.0))
def test_a_quantile_is_never_less_than_it_is_and_right_to_a_tenth(rates: list[float], share: float) -> None:
    learned = Baseline()
    for rate in rates:
        learned.read("requests", "route", "shop", rate, AT)
    exact = sorted(rates)[max(-(-int(share * len(rates) * 1000) // 1000) - 1, 0)]

    normal = learned.normal("requests", "route", "shop", AT)

    assert normal.peak >= max(rates) * 0.999
    assert normal.peak <= max(rates) * 1.1
    assert normal.p95 <= normal.p99 <= normal.peak
    assert exact > 0


def test_the_same_hour_of_last_week_counts() -> None:
    learned = Baseline()
    night = Instant(HOUR * 1000.0)
    for hour in range(168):
        rate = 200.0 if hour == 0 else 10.0
        for minute in range(60):
            learned.read("requests", "token", "batch", rate, Instant(night + hour * HOUR + minute * 60))

    assert learned.normal("requests", "token", "batch", Instant(night + 168 * HOUR)).p99 >= 200.0
    assert learned.normal("requests", "token", "batch", Instant(night + 180 * HOUR)).p99 < 20.0


def test_what_nobody_has_seen_is_zero() -> None:
    assert Baseline().normal("requests", "route", "shop", AT).p99 == 0.0
    assert not Baseline().sample("shop", AT).is_enough
    assert quantile({}, 0.5) == 0.0


def test_values_seen_once_get_no_meter_and_a_million_of_them_no_memory() -> None:
    learned = Baseline()
    for part in range(10):
        addresses = [f"a{part}-{number}" for number in range(20_000)]
        often = [f"o{part}-{number // 4}" for number in range(20_000)]
        learned.read_values(Rows(columns={"address": addresses, "path": often}, seconds=[0.0] * 20_000), AT, 8.0)

    assert len(learned) == 10 * subject.MOST_VALUES


def test_meters_are_bounded_and_the_oldest_makes_room() -> None:
    learned = Baseline()
    for number in range(subject.MOST_METERS + 10):
        learned.read("requests", "path", str(number), 1.0, AT)

    assert len(learned) == subject.MOST_METERS
    assert learned.normal("requests", "path", "0", AT).peak == 0.0


def test_kept_requests_are_bounded_and_can_be_replayed() -> None:
    learned = Baseline()
    for second in range(400):
        learned.keep("shop", rows(*people(40)), FIELDS, Instant(AT + second))
    for route in range(subject.MOST_SAMPLED_ROUTES):
        learned.keep(f"r{route}", rows(*people(2)), FIELDS, Instant(AT + 400))

    assert not learned.sample("shop", Instant(AT + 400)).is_enough, "the route asked longest ago makes room"
    assert len(learned.sample("r1", Instant(AT + 400))) <= subject.RECENT_REQUESTS


def test_a_state_put_away_comes_back_the_same() -> None:
    learned = Baseline()
    for number in range(100):
        learned.read("requests", "route", "shop", float(number), Instant(AT + number * 60))
        learned.keep("shop", rows(*people(3)), FIELDS, Instant(AT + number * 60))

    again = Baseline.restore(learned.state())

    at = Instant(AT + 6000)
    assert again.normal("requests", "route", "shop", at) == learned.normal("requests", "route", "shop", at)
    assert len(again.sample("shop", at)) == len(learned.sample("shop", at)) > 0
    assert again.state() == learned.state()
