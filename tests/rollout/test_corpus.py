"""Corpus: deterministic, broad, and nothing in it that a client did not say."""

from seawall.rollout.corpus import Sample, Target, corpus, samples

TARGET = Target(listener="l", host="shop.example")


def test_it_is_the_same_every_time_and_every_name_is_told_once() -> None:
    once = corpus((TARGET,))

    assert once == corpus((TARGET,))
    assert len(once) >= 60
    assert {request.kind for request in once} == {"normal", "hostile", "malformed"}


def test_headers_that_clients_have_sent_are_tried() -> None:
    assert any(b"x-legacy: true" in request.wire for request in corpus((TARGET,), ("x-legacy",)))


def test_samples_of_odd_bytes_are_left_out_and_hosts_below_a_wildcard_are_asked_at_the_door() -> None:
    kept = Sample(method="GET", host="shop.example", path="/cart", headers=("x-a", "content-length"))
    split = Sample(method="GET", host="shop.example", path="/\r\nx: y")
    other = Sample(method="GET", host="other.example", path="/")

    found = samples((TARGET,), (kept, split, other))

    assert [request.wire for request in found] == [
        b"GET /cart HTTP/1.1\r\nhost: shop.example\r\nx-a: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: other.example\r\n\r\n",
    ]
