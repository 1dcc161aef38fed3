"""Columns: rows are cut, joined and thinned without losing what they stand for."""

from bench.support.people import FIELDS as scenarios
from tests.detect.world import people, rows

from seawall.detect.attribution import MINED
from seawall.detect.baseline import VALUE_FIELDS
from seawall.detect.columns import CLIENT, FIELDS, Rows, joined, spread, totals
from seawall.detect.detectors.mining import SWELLING
from seawall.detect.detectors.outlier import KEYS
from seawall.detect.lessons import KEPT_FIELDS


def test_thinned_rows_stand_for_all() -> None:
    many = rows(*people(500))

    thin = many.thinned(100)

    assert len(thin) == 100
    assert thin.total == 1500.0
    assert 0.25 < sum(path == "/" for path in thin.column("path")) / 100 < 0.4, "a page is a third of its requests"
    assert many.thinned(5000) is many
    assert sum(totals(thin, "path").values()) == thin.total
    assert spread(10, 20) == list(range(10))


def test_joined_rows_keep_weights_and_unknown_fields_are_empty() -> None:
    one, other = rows({"path": "/a"}), rows(*people(50)).thinned(10)

    both = joined([one, Rows(), other])

    assert len(both) == 1 + len(other) and both.total == 1 + other.total
    assert set(both.column("nobody knows")) == {""}
    assert len(joined([])) == 0 and joined([one]) is one


def test_who_the_origin_refused_is_not_vouched_for() -> None:
    asked = rows({"token": "k"}, {"token": "k", "status": "401"}, {"token": "k", "status": "403", "refused": "v-1"}, {})

    assert asked.vouched() == [True, False, True, False]


def test_requests_with_a_value() -> None:
    assert len(rows({"path": "/a"}, {"path": "/b"}).having("path", "/a")) == 1


def test_every_field_that_somebody_looks_at_is_described() -> None:
    used = {*MINED, *KEPT_FIELDS, *VALUE_FIELDS, *CLIENT, *SWELLING, *KEYS, *scenarios}

    assert used <= FIELDS.keys()
