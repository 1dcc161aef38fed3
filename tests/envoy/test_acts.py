"""What is done is a constant; that it is done `test_verdicts` shows."""

from seawall.envoy import acts
from seawall.envoy.proto import as_json, decode

_COMPOSITE = "envoy.extensions.filters.http.composite.v3.Composite"


def test_whatever_can_be_noted_is_done() -> None:
    built = as_json(decode(_COMPOSITE, acts.act()["value"]))
    done = set(built["matcher"]["matcher_tree"]["exact_match_map"]["map"])

    kinds = ("override", "drop", "deny", "labyrinth", "challenge")
    noted = {acts.refuse(kind, code) for kind in kinds for code in acts.CODES}
    noted |= {acts.tarpit(), acts.tag(), acts.limit("shared"), acts.limit("each")}
    assert done == noted
    assert acts.allow() not in done


def test_the_order_of_ranks_is_the_order_of_cases() -> None:
    assert list(acts.RANKS.values()) == sorted(acts.RANKS.values())
    assert acts.RANKS["override"] < acts.RANKS["allow"] < acts.RANKS["deny"] < acts.RANKS["limit"] < acts.RANKS["tag"]


def test_what_stands_on_every_listener_is_small() -> None:
    assert len(acts.choose()["value"]) + len(acts.act()["value"]) < 24_576
