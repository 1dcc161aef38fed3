"""A snapshot is a value, and a cheap one to change."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.xds.resource import CLUSTER, SCOPE, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot

KEYS = [(kind, ResourceName(f"{n}")) for kind in (CLUSTER, SCOPE) for n in range(5)]
histories = st.lists(st.dictionaries(st.sampled_from(KEYS), st.integers(-1, 3), max_size=6), max_size=8)


def resource(kind: TypeUrl, name: ResourceName, version: int) -> Resource:
    return Resource(type_url=kind, name=name, version=str(version), body=str(version).encode())


def change(step: dict[tuple[TypeUrl, ResourceName], int]) -> Change:
    """A version below 0 removes."""
    put = tuple(resource(kind, name, version) for (kind, name), version in step.items() if version >= 0)
    remove = tuple(Ref(kind, name) for (kind, name), version in step.items() if version < 0)
    return Change(put=put, remove=remove)


@given(histories)
def test_a_snapshot_is_what_its_members_are_however_it_came_about(
    history: list[dict[tuple[TypeUrl, ResourceName], int]],
) -> None:
    snapshot, model = EMPTY, dict[Ref, Resource]()
    for step in history:
        before, members = snapshot, list(snapshot.all())
        snapshot = snapshot.apply(change(step))
        model |= {one.ref: one for one in change(step).put}
        for ref in change(step).remove:
            model.pop(ref, None)
        assert list(before.all()) == members

    assert {one.ref: one for one in snapshot.all()} == model
    assert len(snapshot) == len(model)
    assert snapshot.version == Snapshot.of(reversed(list(model.values()))).version
    assert all(snapshot.get(ref) == one for ref, one in model.items())


@given(histories, histories)
def test_the_difference_leads_from_one_to_the_other(
    one: list[dict[tuple[TypeUrl, ResourceName], int]], other: list[dict[tuple[TypeUrl, ResourceName], int]]
) -> None:
    first, second = EMPTY, EMPTY
    for step in one:
        first = first.apply(change(step))
    for step in other:
        second = second.apply(change(step))

    assert first.apply(second.difference(first)) == second
    assert second.difference(second).is_empty


def test_a_resource_under_another_version_is_another_snapshot() -> None:
    snapshots = {Snapshot.of([resource(CLUSTER, ResourceName("a"), version)]) for version in (1, 2, 1)}

    assert len(snapshots) == 2
    assert EMPTY.version == "0" * 32
    assert EMPTY.get(Ref(CLUSTER, ResourceName("a"))) is None
    assert Snapshot.of([]) == EMPTY != object()


@given(histories, histories)
def test_equal_content_has_an_equal_digest_and_other_content_another(
    one: list[dict[tuple[TypeUrl, ResourceName], int]], two: list[dict[tuple[TypeUrl, ResourceName], int]]
) -> None:
    snapshots = [EMPTY, EMPTY]
    for number, history in enumerate((one, two)):
        for step in history:
            snapshots[number] = snapshots[number].apply(change(step))
            # Asked on the way too: a remembered digest must not outlive its bucket.
            assert snapshots[number].digest == Snapshot.of(snapshots[number].all()).digest

    assert (snapshots[0].digest == snapshots[1].digest) == (snapshots[0] == snapshots[1])
