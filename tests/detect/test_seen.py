"""Who was seen before, in bounded memory."""

from seawall.detect import seen as subject
from seawall.detect.seen import RIPENS, Seen
from seawall.kit.units import Instant


def test_a_client_is_known_only_after_a_while() -> None:
    seen = Seen()
    seen.add(["a"], Instant(100.0))
    early = "a" in seen
    seen.add(["b"], Instant(100.0 + RIPENS))

    assert not early and "a" in seen and "b" not in seen


def test_a_million_clients_are_bounded() -> None:
    seen = Seen()
    for part in range(40):
        seen.add((f"{part}-{number}" for number in range(30_000)), Instant(part * RIPENS))

    assert len(seen) <= 4 * subject.MOST
