"""The table as text; that the kernel takes it `tests/agent/test_firewall.py` shows."""

from typing import Any

from seawall.fleet.nftables import Dropped, Limits, dropped, passed, removal, script, table_name
from seawall.fleet.verdicts import Entry
from seawall.kit.units import Instant

NOW = Instant(1000.0)


def entry(**fields: Any) -> Entry:
    plain = {"id": "v1", "generation": 1, "expires": Instant(1060.0), "kind": "drop"}
    return Entry(**{**plain, **fields})


def networks(*entries: Entry) -> list[str]:
    return [one.network for one in dropped(entries, NOW)]


def test_only_what_is_a_network_and_nothing_else_is_dropped() -> None:
    assert networks(entry(match={"address": "192.0.2.1"})) == ["192.0.2.1/32"]
    assert networks(entry(match={"net64": "2001:db8::/64"})) == ["2001:db8::/64"]
    assert networks(entry(match={"address": "192.0.2.1", "net24": "192.0.2.0/24"})) == ["192.0.2.1/32"]
    others: tuple[dict[str, Any], ...] = (
        {"kind": "deny"},
        {"route": "r"},
        {"share": 0.5},
        {"expires": Instant(999.0)},
        {"match": {"address": "192.0.2.1", "agent": "x"}},
        {"match": {}},
        {"match": {"address": "192.0.2.1; flush ruleset"}},
        {"match": {"address": "192.0.2.1", "net24": "198.51.100.0/24"}},
    )
    for fields in others:
        assert networks(entry(**{"match": {"address": "192.0.2.1"}, **fields})) == []


def test_a_network_in_another_waits_for_its_end() -> None:
    both = (
        entry(match={"net24": "192.0.2.0/24"}),
        entry(id="v2", match={"address": "192.0.2.1"}, expires=Instant(2000.0)),
    )

    assert networks(*both) == ["192.0.2.0/24"]
    assert [one.network for one in dropped(both, Instant(1061.0))] == ["192.0.2.1/32"]


def test_the_table_is_made_anew_in_one_go_and_looks_at_our_ports_only() -> None:
    drops = (
        Dropped(network="192.0.2.1/32", expires=Instant(1001.5)),
        Dropped(network="2001:db8::/64", expires=Instant(1002.0)),
    )
    allowed = passed([entry(kind="allow", match={"address": "192.0.2.9"})], NOW)

    text = script("seawall_e1", (443, 80), drops, allowed, Limits(), NOW)

    assert text.startswith(removal("seawall_e1"))
    assert "set ports { type inet_service; elements = { 80, 443 } }" in text
    assert "elements = { 192.0.2.1/32 timeout 1500ms }" in text
    assert "elements = { 2001:db8::/64 timeout 2000ms }" in text
    assert "elements = { 192.0.2.9/32 timeout 60000ms }" in text
    assert text.index("@pass4 return") < text.index("@drop4 counter drop")
    assert "th dport @ports jump judged" in text
    assert "ct count" not in text and "synproxy" not in text


def test_limits_are_per_address_and_of_ipv6_per_64() -> None:
    text = script("seawall_e1", (80,), (), (), Limits(connections=50, new_per_second=10, syn_proxy=True), NOW)

    assert "add @open4 { ip saddr ct count over 50 }" in text
    assert "update @new6 { ip6 saddr and ffff:ffff:ffff:ffff:: limit rate over 10/second burst 20 packets }" in text
    assert "notrack" in text and "synproxy" in text


def test_names_are_plain_and_one_each() -> None:
    assert table_name("eu_1") == "seawall_eu_1"
    names = {table_name(edge) for edge in ("eu-1", "eu.1", "eu_1", "eu 1; flush ruleset", "é")}
    assert len(names) == 5
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in names)
