"""A second of the fleet, as detectors see it."""

from tests.detect.world import AT, learned

from seawall.detect.columns import FIELDS
from seawall.detect.scope import scope
from seawall.detect.shape import shape
from seawall.detect.sight import Sight
from seawall.detect.view import view
from seawall.kit.units import Instant
from seawall.traffic.delta import WindowDelta
from seawall.traffic.window import WindowSet


def merged() -> WindowSet:
    windows = WindowSet()
    delta = WindowDelta(
        edge="edge-1",
        run="r",
        number=1,
        at=AT,
        totals={"shop": 5000.0},
        errors={"shop": 2.0},
        costs={"shop": 9.0},
        columns={
            "address": ("192.0.2.7", "2001:db8:7:142::1", "nobody:::"),
            "path": ("/app.js", "/", "/"),
            "fetch": ("", "document", ""),
            "query": ("q", "", ""),
            "route": ("shop", "shop", "shop"),
        },
        weights=(4000.0, 900.0, 100.0),
        seconds=(0.1, 0.2, 0.3),
    )
    assert windows.add(delta, Instant(AT + 1))
    return windows


def test_a_second_keeps_its_exact_totals_and_its_weights() -> None:
    slot = view(merged(), int(AT))

    assert (slot.totals, slot.errors, slot.costs) == ({"shop": 5000.0}, {"shop": 2.0}, {"shop": 9.0})
    assert slot.rows.total == 5000.0
    assert slot.rows.columns.keys() <= FIELDS.keys()


def test_networks_and_parts_of_pages_are_told() -> None:
    rows = view(merged(), int(AT)).rows

    assert rows.column("net24")[0] == "192.0.2.0/24"
    assert [rows.column(field)[1] for field in ("net64", "net56", "net48")] == [
        "2001:db8:7:142::/64",
        "2001:db8:7:100::/56",
        "2001:db8:7::/48",
    ]
    assert [rows.column(field)[2] for field in ("net24", "net48")] == ["", ""]
    assert list(rows.column("fetch")) == ["script", "document", ""]
    assert rows.column("query_shape")[0] == "q"


def test_what_stands_for_many_counts_as_many() -> None:
    windows = merged()
    from_one = shape(_sight(windows), scope("", {"address": "192.0.2.7"}))

    assert from_one.requests == 4000.0 and from_one.busiest == 4000.0


def _sight(windows: WindowSet) -> Sight:
    return Sight([view(windows, int(AT))], baseline=learned(30))


def test_a_second_that_nobody_spoke_of_is_empty() -> None:
    slot = view(WindowSet(), int(AT))

    assert slot.totals == {} and len(slot.rows) == 0


def test_what_addresses_do_below_http_is_told() -> None:
    windows = merged()
    counts = (40.0, 40.0, 3.0, 38.0, 7.0, 1.0, 9.0)
    told = WindowDelta(edge="edge-1", run="r", number=2, at=AT, peers={"192.0.2.9": counts})
    assert windows.add(told, Instant(AT + 1))

    (peer,) = view(windows, int(AT)).peers.items()

    assert peer[0] == "192.0.2.9"
    assert (peer[1].opened, peer[1].without_request, peer[1].resets, peer[1].requests) == (40.0, 38.0, 7.0, 9.0)
