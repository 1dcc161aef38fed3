"""Which part of a scope becomes a key, a network or a predicate; that Envoy sees it so `test_verdicts` shows."""

from pathlib import Path

from seawall.envoy.seen import BLIND, EXACT, NETWORKS, Sight, key_format, sight
from seawall.traffic.entry import SEPARATOR


def test_fields_become_one_key_in_one_order() -> None:
    found = sight("r", {"path": "/login", "agent": "x", "ja4": "t13d1516h2_8daaf6152771"})

    assert isinstance(found, Sight)
    assert found.fields == ("agent", "ja4", "path", "route")
    assert found.keys == (SEPARATOR.join(("x", "t13d1516h2_8daaf6152771", "/login", "r")),)
    assert key_format(found.fields).split(SEPARATOR)[1] == "%FILTER_STATE(seawall.verdict.ja4:PLAIN):23%"


def test_what_is_absent_may_be_a_dash() -> None:
    found = sight("", {"agent": "", "language": ""})

    assert isinstance(found, Sight) and len(found.keys) == 4
    assert isinstance(sight("", dict.fromkeys(("agent", "fetch", "host", "language", "method"), "")), str)


def test_a_network_alone_is_looked_up_and_with_others_asked() -> None:
    alone = sight("", {"net24": "192.0.2.7/24"})
    with_others = sight("", {"net24": "192.0.2.0/24", "agent": "x"})
    address = sight("", {"address": "2001:DB8::0:1", "agent": "x"})

    assert isinstance(alone, Sight) and alone.network == ("192.0.2.0", 24) and not alone.fields
    assert isinstance(with_others, Sight) and with_others.network is None and len(with_others.predicates) == 1
    assert isinstance(address, Sight) and address.keys == (SEPARATOR.join(("2001:db8::1", "x")),)


def test_no_field_is_both_seen_and_not() -> None:
    assert not set(BLIND) & (set(EXACT) | set(NETWORKS))
    for field, why in BLIND.items():
        said = sight("", {field: "x"})
        assert isinstance(said, str) and field in said and why in said


def test_the_reference_has_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/enforcement.md").read_text(encoding="utf-8")

    for field in (*EXACT, *NETWORKS, *BLIND, "query", "query_shape", "headers", "referer"):
        assert f"`{field}`" in page, field
