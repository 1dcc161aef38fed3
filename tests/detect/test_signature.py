"""Signatures: planted fields are found, random ones fall out, what is normal is left alone."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from seawall.detect.sample import Sample
from seawall.detect.signature import MOST_FIELDS, MOST_ROUNDS, Excess, mine

NORMAL = 2000


def person(rng: Random) -> dict[str, str]:
    return {
        "address": f"10.{rng.randrange(8)}.{rng.randrange(255)}.1",
        "ja4": rng.choice(("chrome", "safari", "firefox")),
        "agent": rng.choice(("a", "b", "c", "d")),
        "headers": rng.choice(("h1", "h2", "h3")),
        "path": rng.choice(("/", "/list", "/search", "/item")),
        "method": "GET",
        "query": str(rng.randrange(1000)),
        "token": "",
    }


def excess(rng: Random, count: int, expected: int, **planted: str) -> Excess:
    requests = [{**person(rng), **planted} for _ in range(count)] + [person(rng) for _ in range(expected)]
    rng.shuffle(requests)
    return Excess(columns={field: [one[field] for one in requests] for field in requests[0]}, expected=float(expected))


@given(seed=st.integers(0, 50), fields=st.sets(st.sampled_from(("ja4", "agent", "headers", "path")), min_size=1))
def test_planted_fields_are_named_and_no_others(seed: int, fields: set[str]) -> None:
    rng = Random(seed)
    sample = Sample([person(rng) for _ in range(400)])
    planted = {field: f"bad-{field}" for field in fields}

    first = mine(excess(rng, 800, 200, **planted), sample)[0]

    assert {one.field: one.value for one in first.scope.match} == planted
    assert first.coverage > 0.95 and first.impact == 0.0


def test_two_attacks_at_once_are_two_signatures() -> None:
    rng = Random(1)
    sample = Sample([person(rng) for _ in range(400)])
    one, other = excess(rng, 500, 100, agent="bad-1", ja4="t1"), excess(rng, 400, 100, agent="bad-2", path="/x")
    both = Excess(
        columns={field: [*one.columns[field], *other.columns[field]] for field in one.columns}, expected=200.0
    )

    found = mine(both, sample)

    assert {frozenset((m.field, m.value) for m in each.scope.match) for each in found[:2]} == {
        frozenset({("agent", "bad-1"), ("ja4", "t1")}),
        frozenset({("agent", "bad-2"), ("path", "/x")}),
    }


def test_one_client_is_its_own_signature_whatever_tool_it_uses() -> None:
    rng = Random(2)
    sample = Sample([person(rng) for _ in range(400)])

    first = mine(excess(rng, 800, 200, address="203.0.113.9", ja4="t", agent="x"), sample)[0]

    assert first.scope.fields == {"address"}


def test_more_of_the_same_has_no_signature_with_little_impact() -> None:
    rng = Random(3)
    sample = Sample([person(rng) for _ in range(400)])

    found = mine(excess(rng, 800, 200), sample)

    assert all(one.impact > 0.005 for one in found)


def test_nothing_in_excess_has_no_signature() -> None:
    rng = Random(4)
    usual = excess(rng, 0, 200)

    assert mine(usual, Sample([person(rng) for _ in range(100)])) == []
    assert mine(Excess(columns={}, expected=0.0)) == []


def test_trusted_requests_make_a_signature_worth_less() -> None:
    rng = Random(5)
    sample = Sample([person(rng) for _ in range(400)])
    plain = excess(rng, 400, 100, agent="bad")
    trusted = Excess(columns=plain.columns, expected=plain.expected, trusted=[True] * 500)

    assert mine(trusted, sample)[0].trust == 1.0
    assert mine(trusted, sample)[0].worth < mine(plain, sample)[0].worth


def test_weights_decide_what_is_in_excess() -> None:
    rng = Random(6)
    requests = [{**person(rng), "path": "/slow"} for _ in range(50)] + [person(rng) for _ in range(500)]
    columns = {field: [one[field] for one in requests] for field in requests[0]}
    weights = [2.0] * 50 + [0.01] * 500

    first = mine(Excess(columns=columns, weights=weights, expected=5.0), Sample([person(rng) for _ in range(400)]))[0]

    assert first.scope.value("path") == "/slow"


def test_a_million_values_stay_few_fields_and_few_rounds() -> None:
    columns = {field: [f"{field}{number}" for number in range(50_000)] for field in ("a", "b", "c")}

    found = mine(Excess(columns={**columns, "d": ["x"] * 50_000}, expected=0.0))

    assert [one.scope.fields for one in found] == [{"d"}]
    assert len(found) <= MOST_ROUNDS and all(len(one.scope.match) <= MOST_FIELDS for one in found)
