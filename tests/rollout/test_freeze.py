"""When nothing may be promoted."""

from tests.rollout.play import spec

from seawall.kit.units import Instant
from seawall.rollout.freeze import Freeze, frozen_because

WINDOWS = spec('{"freeze": [{"from": "2024-12-24T00:00Z", "until": "2024-12-27T00:00Z", "reason": "holidays"}]}').freeze
CHRISTMAS = Instant(1_735_120_800.0)


def test_a_window_freezes_between_its_times() -> None:
    assert "holidays" in frozen_because(WINDOWS, [], CHRISTMAS)


def test_a_window_freezes_nothing_before_and_after() -> None:
    outside = (Instant(CHRISTMAS - 3 * 86400), Instant(CHRISTMAS + 3 * 86400))
    assert [frozen_because(WINDOWS, [], at) for at in outside] == ["", ""]


def test_a_freeze_without_an_end_lasts_until_it_is_thawed() -> None:
    freeze = Freeze(who="ann", reason="incident 7", begun_at=Instant(1.0))
    assert frozen_because((), [freeze], Instant(1e9)) == (
        "ann has frozen the perimeter until somebody thaws it: incident 7."
    )


def test_a_freeze_ends_at_its_time() -> None:
    freeze = Freeze(who="ann", reason="x", begun_at=Instant(1.0), until=Instant(100.0))
    assert frozen_because((), [freeze], Instant(100.0)) == ""
