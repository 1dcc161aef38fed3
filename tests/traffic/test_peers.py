"""What addresses do below HTTP, from the lines of connections that have ended and from the requests' own."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.traffic.entry import COLUMNS, SEPARATOR, Entries
from seawall.traffic.peers import (
    FAILED,
    FLOODS,
    HANDSHAKES,
    MOST_PEERS,
    OPENED,
    REQUESTS,
    RESETS,
    UNASKED,
    added,
    behaviour,
    connections,
    conspicuous,
)

PLAIN = {"tls": "-", "failure": "-", "protocol": "HTTP/1.1", "flags": "-", "received": "27", "sent": "118"}
# As Envoy 1.40 wrote them for clients of each kind.
SEEN = {
    "asks over TLS": ({"tls": "TLSv1.3"}, {OPENED, HANDSHAKES}),
    "opens and closes": ({"protocol": "-", "received": "0", "sent": "0"}, {OPENED, UNASKED}),
    "handshake alone": (
        {"tls": "TLSv1.3", "protocol": "-", "received": "0", "sent": "0"},
        {OPENED, HANDSHAKES, UNASKED},
    ),
    "no TLS on a TLS port": (
        {"tls": "TLSv1.2", "failure": "TLS_error:|26843", "protocol": "-", "received": "0", "sent": "0"},
        {OPENED, HANDSHAKES, FAILED, UNASKED},
    ),
    "pings": (
        {"protocol": "-", "flags": "DPE", "received": "340033", "sent": "0"},
        {OPENED, UNASKED, FLOODS},
    ),
    "settings": (
        {"protocol": "HTTP/2", "flags": "DPE", "received": "180033", "sent": "55"},
        {OPENED, UNASKED, FLOODS},
    ),
    "continuations": ({"protocol": "-", "flags": "DPE", "received": "46", "sent": "50"}, {OPENED, UNASKED, FLOODS}),
    "no HTTP at all": ({"protocol": "-", "flags": "DPE", "received": "13", "sent": "156"}, {OPENED, UNASKED, FLOODS}),
}


def line(address: str = "192.0.2.1", at: float = 1_700_000_000.5, values: dict[str, str] | None = None) -> bytes:
    row = PLAIN | (values or {})
    columns = (f"{at:.6f}", "2", address, *(row[field] for field in PLAIN))
    return (SEPARATOR.join(columns) + "\n").encode()


def requests(count: int, flags: str = "-", status: str = "200", route: str = "shop") -> Entries:
    given = {"address": "192.0.2.1", "flags": flags, "status": status, "route": route}
    columns: dict[str, Sequence[str]] = {field: [given.get(field, "")] * count for field in (*COLUMNS, "flags")}
    return Entries(columns=columns, ended=[1.0] * count, seconds=[0.1] * count)


@pytest.mark.parametrize("kind", SEEN)
def test_each_kind_of_connection_is_told_apart(kind: str) -> None:
    values, expected = SEEN[kind]

    found, refused = connections(line(values=values))

    assert refused == 0
    assert {place for place, count in enumerate(found[1_700_000_000]["192.0.2.1"]) if count} == expected


def test_connections_are_counted_by_second_and_address() -> None:
    data = line() * 3 + line(at=1_700_000_001.0) + line("192.0.2.2")

    found, _ = connections(data)

    counted = {second: {one: counts[OPENED] for one, counts in peers.items()} for second, peers in found.items()}
    assert counted == {1_700_000_000: {"192.0.2.1": 3, "192.0.2.2": 1}, 1_700_000_001: {"192.0.2.1": 1}}


def test_streams_that_are_reset_stand_beside_all_that_were_asked() -> None:
    mixed = Entries(
        columns={
            "address": ["a", "a", "a", "b"],
            "flags": ["DR", "-", "DR,UF", "-"],
            "status": ["200"] * 4,
            "route": ["shop"] * 4,
        },
        ended=[1.0] * 4,
        seconds=[0.1] * 4,
    )

    (found,) = behaviour(mixed, 2.0).items()

    assert (found[0], found[1][RESETS], found[1][REQUESTS]) == ("a", 4.0, 6.0)


def test_headers_that_never_end_ask_nothing_and_a_backend_that_waits_is_not_the_client() -> None:
    assert behaviour(requests(5, status="408", route="-"), 1.0)["192.0.2.1"][UNASKED] == 5
    assert behaviour(requests(5, flags="DR", status="0", route="-"), 1.0)["192.0.2.1"][UNASKED] == 5
    assert behaviour(requests(5, flags="DR", status="0"), 1.0)["192.0.2.1"][UNASKED] == 0
    assert behaviour(requests(5, status="408"), 1.0) == {}


def test_only_so_many_are_told_and_those_are_the_worst() -> None:
    bad = {f"10.0.{n // 250}.{n % 250}": (1.0, 0.0, 0.0, float(n), 0.0, 0.0, 0.0) for n in range(1, 4 * MOST_PEERS)}
    good = {"192.0.2.1": (1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)}

    kept = conspicuous(bad | good)

    assert len(kept) == MOST_PEERS
    assert min(one[UNASKED] for one in kept.values()) == 3 * MOST_PEERS
    assert conspicuous(good) == {}


def test_parts_of_a_second_add_up_and_what_is_no_peer_is_left_out() -> None:
    one = (1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0)

    assert added({"a": one}, {"a": one, "b": one, "c": (1.0,)}) == {"a": tuple(2 * each for each in one), "b": one}


@given(st.binary(max_size=200))
def test_any_bytes_are_counted_or_refused(data: bytes) -> None:
    found, refused = connections(line() + data + b"\n" + line())

    assert found[1_700_000_000]["192.0.2.1"][OPENED] >= 1
    assert refused >= 0
