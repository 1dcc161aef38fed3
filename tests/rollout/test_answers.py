"""Answers: which differences count."""

import msgspec

from seawall.rollout.answers import Answer, Seen, compare
from seawall.rollout.corpus import Target, build

REQUEST = build(Target(listener="l", host="a.shop.example"), "GET", "/cart")
FINE = Answer(status=200, headers=(("date", "now"), ("x-a", "1")), seen=Seen(method="GET", path="/cart"))


def sentences(candidate: Answer, *touched: str) -> list[tuple[str, str]]:
    return [(one.kind, one.sentence) for one in compare(REQUEST, FINE, candidate, touched)]


def test_equal_answers_do_not_differ_by_their_dates() -> None:
    assert sentences(msgspec.structs.replace(FINE, headers=(("date", "then"), ("x-a", "1")))) == []


def test_another_status_is_a_failure_unless_the_change_names_the_host() -> None:
    gone = Answer(status=404)

    assert sentences(gone) == [("failure", "GET http://a.shop.example/cart: 200 → 404")]
    assert sentences(gone, "a.shop.example")[0][0] == "note"
    assert sentences(gone, "*.shop.example")[0][0] == "note"
    assert sentences(gone, "*.b.example")[0][0] == "failure"


def test_a_5xx_or_silence_is_a_failure_on_every_host() -> None:
    assert sentences(Answer(status=503), "*")[0][0] == "failure"
    assert sentences(Answer(error="no answer"), "*")[0][0] == "failure"


def test_what_the_backend_gets_is_compared() -> None:
    other = msgspec.structs.replace(FINE, seen=Seen(method="GET", path="/", headers=(("x-b", "2"),)))

    assert [sentence for _, sentence in sentences(other)] == [
        "GET http://a.shop.example/cart: the backend is asked GET / instead of GET /cart",
        "GET http://a.shop.example/cart: the backend gets x-b: 2, which is new",
    ]
