"""One contract, two shelves: bundles are whole or not there."""

import sqlite3
from pathlib import Path

import pytest

from seawall.fleet.bundle import Bundle, SigningKey
from seawall.kit.digest import digest
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.store.kept import Held, KeptStore, MemoryKept, SqliteKept
from seawall.xds.resource import CLUSTER, SCOPE, Ref, Resource, ResourceName
from seawall.xds.snapshot import Snapshot

KEY = SigningKey(Secret(b"k" * 32))


def resource(name: str, text: str) -> Resource:
    body = text.encode() * 100
    refs = (Ref(CLUSTER, ResourceName("c")),) if name == "c" else ()
    return Resource(type_url=SCOPE, name=ResourceName(name), version=digest(body), body=body, refs=refs)


def held(**bodies: str) -> Held:
    snapshot = Snapshot.of([resource(name, text) for name, text in bodies.items()])
    bundle = Bundle(content=snapshot.digest, version=snapshot.version, reason="because")
    return Held(bundle=bundle, signed=KEY.sign(bundle), snapshot=snapshot, saved_at=Instant(7.0))


ONE, TWO = held(a="same", b="one", c="c"), held(a="same", b="two")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeptStore:
    return MemoryKept() if request.param == "memory" else SqliteKept(tmp_path / "state/bundles.db")


def test_what_is_saved_is_there_by_name(store: KeptStore) -> None:
    assert store.all() == {}

    store.save(ONE)
    store.save(TWO)

    assert store.all() == {ONE.bundle.name: ONE, TWO.bundle.name: TWO}
    assert list(store.all()[ONE.bundle.name].snapshot.all()) == list(ONE.snapshot.all())


def test_a_bundle_does_not_change_once_it_is_kept(store: KeptStore) -> None:
    store.save(ONE)

    store.save(Held(bundle=ONE.bundle, signed=ONE.signed, snapshot=ONE.snapshot, saved_at=Instant(99.0)))

    assert store.all()[ONE.bundle.name].saved_at == 7.0


def test_only_what_is_retained_stays(store: KeptStore) -> None:
    store.save(ONE)
    store.save(TWO)

    store.retain(frozenset({TWO.bundle.name, "unknown"}))
    assert set(store.all()) == {TWO.bundle.name}

    store.save(ONE)
    assert store.all()[ONE.bundle.name] == ONE


def test_a_file_holds_what_bundles_share_once_and_forgets_what_none_has(tmp_path: Path) -> None:
    store = SqliteKept(tmp_path / "bundles.db")
    store.save(ONE)
    store.save(TWO)
    assert count(tmp_path) == 4

    store.retain(frozenset({TWO.bundle.name}))
    assert count(tmp_path) == 2


def count(folder: Path) -> int:
    with sqlite3.connect(folder / "bundles.db") as db:
        return int(db.execute("SELECT count(*) FROM resource").fetchone()[0])


def test_a_file_gives_back_what_it_was_given_and_shares_it_with_what_is_known(tmp_path: Path) -> None:
    store = SqliteKept(tmp_path / "bundles.db")
    store.save(ONE)
    store.save(TWO)
    store.close()

    again = SqliteKept(tmp_path / "bundles.db").all(like=ONE.snapshot)

    assert again == {ONE.bundle.name: ONE, TWO.bundle.name: TWO}
    ref = Ref(SCOPE, ResourceName("a"))
    assert again[TWO.bundle.name].snapshot.get(ref) is ONE.snapshot.get(ref)


def test_a_damaged_bundle_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    store = SqliteKept(tmp_path / "bundles.db")
    store.save(ONE)
    store.save(TWO)
    store.close()
    with sqlite3.connect(tmp_path / "bundles.db") as db:
        db.execute("UPDATE resource SET body = 'x' WHERE version = ?", (resource("b", "one").version,))

    again = SqliteKept(tmp_path / "bundles.db")

    assert set(again.all()) == {TWO.bundle.name}
    again.save(ONE)
    assert set(again.all()) == {ONE.bundle.name, TWO.bundle.name}


def test_a_bundle_under_anothers_name_is_dropped(tmp_path: Path) -> None:
    store = SqliteKept(tmp_path / "bundles.db")
    store.save(ONE)
    store.close()
    with sqlite3.connect(tmp_path / "bundles.db") as db:
        db.execute("UPDATE bundle SET name = ?", (TWO.bundle.name,))

    assert SqliteKept(tmp_path / "bundles.db").all() == {}


@pytest.mark.parametrize("content", [b"garbage" * 2000, b"SQLite format 3\0" + b"garbage" * 2000])
def test_a_file_that_cannot_be_read_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundles.db").write_bytes(content)

    store = SqliteKept(tmp_path / "bundles.db")

    assert store.all() == {}
    assert (tmp_path / "bundles.db.unreadable").exists()
