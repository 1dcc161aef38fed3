"""One contract, two keepers: the memory and the disk always hold the same."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.store.snapshots import Memo, MemorySnapshots, SnapshotStore
from seawall.store.sqlite import SqliteSnapshots
from seawall.xds.resource import CLUSTER, LISTENER, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change


def resource(name: str, body: str, type_url: TypeUrl = CLUSTER) -> Resource:
    refs = (Ref(CLUSTER, ResourceName("a")),) if type_url == LISTENER else ()
    return Resource(
        type_url=type_url, name=ResourceName(name), version=f"v-{body}", body=body.encode() * 100, refs=refs
    )


def put(store: SnapshotStore, mark: int, **bodies: str) -> str:
    return save(store, mark, Change(put=tuple(resource(name, body) for name, body in bodies.items())))


def save(store: SnapshotStore, mark: int, change: Change) -> str:
    version = store.current().apply(change).version
    store.save(change, version, mark)
    return version


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SnapshotStore:
    return MemorySnapshots() if request.param == "memory" else SqliteSnapshots(tmp_path / "state/snapshots.db")


def test_a_new_store_is_empty(store: SnapshotStore) -> None:
    assert store.current() == EMPTY
    assert store.mark() == 0
    assert store.memo() == Memo()


def test_what_was_not_promoted_is_undone(store: SnapshotStore) -> None:
    put(store, 1, a="1", b="1")
    store.promote(1)
    good = store.current()
    put(store, 2, a="2", c="1")
    put(store, 2, a="3")
    save(store, 3, Change(remove=(Ref(CLUSTER, ResourceName("b")), Ref(CLUSTER, ResourceName("c")))))
    assert store.mark() == 3

    restored = store.restore()

    assert restored == store.current() == good
    assert [r.body for r in restored.all()] == [r.body for r in good.all()]
    assert store.mark() == 0
    assert store.restore() == good


def test_promotion_reaches_up_to_its_mark(store: SnapshotStore) -> None:
    put(store, 1, a="1")
    middle = put(store, 2, a="2")
    put(store, 3, a="3")

    store.promote(2)

    assert store.mark() == 3
    assert store.restore().version == middle


def test_a_memo_is_remembered(store: SnapshotStore) -> None:
    store.remember(Memo(refused="x", deaths=2, is_running=True))

    assert store.memo() == Memo(refused="x", deaths=2, is_running=True)


changes = st.builds(
    lambda put, remove: Change(
        put=tuple(resource(name, body, type_url) for (type_url, name), body in put.items()),
        remove=tuple(Ref(type_url, ResourceName(name)) for type_url, name in remove if (type_url, name) not in put),
    ),
    st.dictionaries(st.tuples(st.sampled_from([CLUSTER, LISTENER]), st.sampled_from("abc")), st.sampled_from("12")),
    st.sets(st.tuples(st.sampled_from([CLUSTER, LISTENER]), st.sampled_from("abc"))),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("save"), changes, st.booleans()),
        st.tuples(st.just("promote"), st.integers(0, 6)),
        st.tuples(st.just("restore")),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_memory_and_disk_never_disagree(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    file = tmp_path_factory.mktemp("state") / "snapshots.db"
    memory, disk, mark = MemorySnapshots(), SqliteSnapshots(file), 1
    for step in steps:
        match step:
            case ("save", Change() as change, bool(new_mark)):
                mark += new_mark
                save(memory, mark, change)
                save(disk, mark, change)
            case ("promote", int(upto)):
                memory.promote(upto)
                disk.promote(upto)
            case ("restore",):
                assert memory.restore() == disk.restore()
            case _:
                disk.close()
                disk = SqliteSnapshots(file)

        assert memory.current() == disk.current()
        assert memory.good() == disk.good()
    disk.close()
