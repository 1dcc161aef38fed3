"""The journal: what is remembered survives; damage costs the memory, nothing else."""

from pathlib import Path

import pytest

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Meta, Object
from seawall.gateway.resources.core import SecretSpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.source.journal import Entry, Journal, spec_digest

ENTRY = Entry(key=ObjectKey("HTTPRoute/a/b"), created=Instant(5.0), generation=3, digest="d", file="f.yaml")
GONE = Entry(key=ENTRY.key, created=Instant(0.0), generation=0)


def test_entries_are_read_back_and_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal"
    Journal(path).append([ENTRY])
    Journal(path).append([Entry(key=ENTRY.key, created=Instant(5.0), generation=4, digest="e", file="f.yaml")])

    entries = Journal(path).read()

    assert [entry.generation for entry in entries.values()] == [4]


def test_gone_objects_are_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([ENTRY, GONE])

    assert journal.read() == {}


def test_damaged_lines_are_passed_over_and_told(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([ENTRY])
    path.write_bytes(b"\xff\x00nonsense\n" + path.read_bytes() + b'["half')

    journal = Journal(path)

    assert journal.read() == {ENTRY.key: ENTRY}
    assert "2 damaged lines" in journal.trouble
    assert Journal(path).read() == {ENTRY.key: ENTRY}, "the damage is gone after one start"


def test_a_grown_journal_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([ENTRY] * 500)

    Journal(path).read()

    assert len(path.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("name", ["folder", "folder/../file/below"])
def test_a_journal_that_cannot_be_used_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / name)

    assert journal.read() == {}
    journal.append([ENTRY])

    assert "cannot be" in journal.trouble


def test_without_a_path_nothing_is_kept() -> None:
    journal = Journal(None)
    journal.append([ENTRY])

    assert journal.read() == {}
    assert journal.trouble == ""


def test_digests_name_specs_but_never_secrets() -> None:
    route = Object(kind="HTTPRoute", meta=Meta(name="a"), spec=HTTPRouteSpec())
    secret = Object(kind="Secret", meta=Meta(name="a"), spec=SecretSpec(data={"a": Secret(b"b")}))

    assert spec_digest(route) == spec_digest(Object(kind="HTTPRoute", meta=Meta(name="b"), spec=HTTPRouteSpec()))
    assert spec_digest(route) != spec_digest(
        Object(kind="HTTPRoute", meta=Meta(name="a"), spec=HTTPRouteSpec(hostnames=("a",)))
    )
    assert spec_digest(secret) == ""
