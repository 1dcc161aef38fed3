"""Sending an edge only what it lacks."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet import history as module
from seawall.fleet.history import History
from seawall.xds.resource import CLUSTER, Ref, Resource, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot


def put(name: str, body: str) -> Change:
    resource = Resource(type_url=CLUSTER, name=ResourceName(name), version=body, body=body.encode())
    return Change(put=(resource,))


def remove(name: str) -> Change:
    return Change(remove=(Ref(CLUSTER, ResourceName(name)),))


changes = st.one_of(
    st.builds(put, st.sampled_from("abc"), st.sampled_from("12")), st.builds(remove, st.sampled_from("abc"))
)


@given(st.lists(changes, max_size=20))
def test_the_changes_since_any_version_lead_to_the_newest(steps: list[Change]) -> None:
    history, snapshots = History(), [EMPTY]
    history.advance(EMPTY, None)
    for change in steps:
        snapshots.append(snapshots[-1].apply(change))
        history.advance(snapshots[-1], change)

    for snapshot in snapshots:
        since = history.since(snapshot.version)
        assert since is not None
        assert snapshot.apply(since) == snapshots[-1] == history.current


def test_an_unknown_version_is_unknown() -> None:
    history = History()
    assert history.since("") is None
    history.advance(EMPTY.apply(put("a", "1")), None)

    assert history.since("other") is None
    assert history.since(EMPTY.version) is None


def test_a_jump_forgets_the_way() -> None:
    history = History()
    history.advance(EMPTY, None)
    history.advance(Snapshot.of(put("a", "1").put), None)

    assert history.since(EMPTY.version) is None


def test_old_changes_are_forgotten() -> None:
    history, snapshot = History(), EMPTY
    history.advance(snapshot, None)
    versions = [snapshot.version]
    for number in range(2 * module._MOST_CHANGES + 5):
        change = put("a", str(number))
        snapshot = snapshot.apply(change)
        versions.append(snapshot.version)
        history.advance(snapshot, change)

    assert history.since(versions[0]) is None
    assert history.since(versions[-module._MOST_CHANGES]) == change
    assert len(history._positions) <= 2 * module._MOST_CHANGES


def test_many_members_are_forgotten_too() -> None:
    history = History()
    history.advance(EMPTY, None)
    huge = Change(remove=tuple(Ref(CLUSTER, ResourceName(str(i))) for i in range(module._MOST_MEMBERS)))
    one = put("a", "1")
    history.advance(EMPTY.apply(one), Change(put=one.put, remove=huge.remove))

    assert history.since(EMPTY.version) is None
    assert history.since(EMPTY.apply(one).version) == Change()
