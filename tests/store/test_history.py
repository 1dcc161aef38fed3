"""The contract of the history, held by both: the file, and a real PostgreSQL."""

import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.history_process import lines, open_history
from tests.support.postgres import Postgres

from seawall.fleet.bundle import Assignment, Bundle, Limits, Signed, SigningKey
from seawall.kit.digest import digest
from seawall.kit.errors import InvariantError, UnavailableError
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.store.history import DamagedError, FencedError, RolloutHistory
from seawall.store.sql_history import SqlHistory
from seawall.xds.resource import CLUSTER, SECRET, Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot

KEY = SigningKey(Secret(bytes(32)))
AT = Instant(1_000.5)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a history lies that nobody else has."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'history.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return f"t{uuid.uuid4().hex[:12]}@{server.dsn}"


@pytest.fixture
def another(place: str) -> Iterator[Callable[[], RolloutHistory]]:
    """Opens it once more, as another control plane does."""
    opened: list[RolloutHistory] = []

    def open_it() -> RolloutHistory:
        opened.append(open_history(place))
        return opened[-1]

    yield open_it
    for history in opened:
        history.close()


@pytest.fixture
def history(another: Callable[[], RolloutHistory]) -> RolloutHistory:
    return another()


def resource(name: str, body: bytes = b"body", type_url: TypeUrl = CLUSTER) -> Resource:
    refs = (Ref(CLUSTER, ResourceName("other")),)
    return Resource(type_url=type_url, name=ResourceName(name), version=digest(body), body=body, refs=refs)


def snapshot(*bodies: bytes) -> Snapshot:
    return Snapshot.of(resource(f"c{i}", body) for i, body in enumerate(bodies))


def signed(content: Snapshot, **more: float) -> tuple[str, Signed]:
    created = Instant(more.get("created_at", 0.0))
    bundle = Bundle(content=content.digest, version=content.version, created_at=created)
    return bundle.name, KEY.sign(bundle)


def keep(history: RolloutHistory, content: Snapshot, at: float = 1.0) -> str:
    name, seal = signed(content)
    history.save_bundle(seal, content, Instant(at))
    return name


def leader(history: RolloutHistory, holder: str = "a", at: float = 0.0) -> int:
    epoch = history.lead(holder, Instant(at))
    assert epoch is not None
    return epoch


def within(seconds: float, claim: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def child(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.support.history_process", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={"PYTHONPATH": f"{root}/src"})


# ── who leads ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_leads_and_stays_leader(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()

    epoch = leader(first)

    assert second.lead("b", AT) is None
    assert first.lead("a", AT) == epoch
    assert first.lead("somebody else", AT) is None


def test_an_epoch_grows_and_is_not_less_than_the_time(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()
    assert leader(first, at=1_000.5) == 1_001

    first.resign("a")

    assert leader(second, "b", at=7.0) == 1_002
    second.resign("b")
    assert leader(first, at=9_999.0) == 9_999


def test_whoever_resigns_writes_no_more(history: RolloutHistory) -> None:
    epoch = leader(history)

    history.resign("a")

    with pytest.raises(FencedError, match="nobody leads"):
        history.append(epoch, lines("r", [(AT, "event", b"{}")]))


def test_nobody_resigns_for_somebody_else(history: RolloutHistory) -> None:
    epoch = leader(history)

    history.resign("b")

    assert history.lead("a", AT) == epoch


def test_a_leader_that_ends_is_followed(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()
    epoch = leader(first)

    first.close()

    within(5, lambda: second.lead("b", Instant(0.0)) == epoch + 1)


def test_a_leader_that_is_killed_is_followed(place: str, another: Callable[[], RolloutHistory]) -> None:
    process = child("lead", place)
    assert process.stdout is not None
    epoch = int(process.stdout.readline())
    second = another()
    assert second.lead("b", AT) is None

    process.kill()
    process.wait()
    process.stdout.close()

    within(5, lambda: second.lead("b", Instant(0.0)) == epoch + 1)


def test_a_leader_that_was_replaced_writes_nothing(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()
    old = leader(first)
    name = keep(first, snapshot(b"1"))
    first.resign("a")
    new = leader(second, "b")
    number = second.ask(AT, b"stop")

    writes: list[Callable[[], object]] = [
        lambda: first.append(old, lines("r", [(AT, "event", b"{}")]), answers=[number]),
        lambda: first.tell(old, {"e": KEY.sign(Assignment(edge="e", bundle="b", fence=old))}),
        lambda: first.mark_good(old, name, AT),
        lambda: first.save_state(old, 1, b"{}"),
        lambda: first.asked(old),
    ]

    for write in writes:
        with pytest.raises(FencedError, match=f"epoch {old}"):
            write()
    assert (second.log(), second.told(), second.state()) == ((), (), None)
    assert second.bundles()[0].good_since == Instant(0.0)
    assert [one.number for one in second.asked(new)] == [number]


# ── bundles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bundle_comes_back_as_it_was(another: Callable[[], RolloutHistory]) -> None:
    content = snapshot(b"1", b"22").apply(Change(put=(resource("key", b"private", SECRET),)))
    name, seal = signed(content)

    another().save_bundle(seal, content, AT)

    found = another().bundle(name)
    assert found is not None
    kept, read = found
    assert list(read.all()) == list(content.all())
    assert (kept.signed, kept.saved_at, kept.good_since) == (seal, AT, Instant(0.0))
    assert (kept.bundle.name, kept.resources, kept.bytes) == (name, 3, 10)
    assert another().bundle("unknown") is None


def test_saving_twice_is_harmless(history: RolloutHistory) -> None:
    content = snapshot(b"1")
    name, seal = signed(content)
    history.save_bundle(seal, content, AT)

    history.save_bundle(signed(content, created_at=77.0)[1], content, Instant(2_000.0))

    (kept,) = history.bundles()
    assert (kept.bundle.name, kept.signed, kept.saved_at) == (name, seal, AT)


def test_a_name_stands_for_its_bytes_only(history: RolloutHistory) -> None:
    keep(history, snapshot(b"1"))

    with pytest.raises(InvariantError):
        history.save_bundle(signed(snapshot(b"1"))[1], snapshot(b"2"), AT)

    assert len(history.bundles()) == 1


def test_the_empty_bundle_is_a_bundle(history: RolloutHistory) -> None:
    name = keep(history, EMPTY)

    found = history.bundle(name)

    assert found is not None
    assert found[1] == EMPTY


def test_equal_content_under_other_limits_is_another_bundle(history: RolloutHistory) -> None:
    content = snapshot(b"1")
    keep(history, content)

    bundle = Bundle(content=content.digest, version=content.version, limits=Limits(max_heap=1))
    history.save_bundle(KEY.sign(bundle), content, AT)

    assert [kept.bundle.limits.max_heap for kept in history.bundles()] == [1, 0]


def test_several_control_planes_save_in_turns(another: Callable[[], RolloutHistory]) -> None:
    """What one remembers of its last save may be gone, or written over, by the other."""
    planes = [another(), another()]
    reader = another()
    rng = random.Random(4)
    content, names = EMPTY, []
    for turn in range(60):
        content = content.apply(Change(put=(resource(f"c{rng.randrange(30)}", b"%d" % rng.randrange(5)),)))
        if rng.random() < 0.3:
            content = content.apply(Change(remove=(Ref(CLUSTER, ResourceName(f"c{rng.randrange(30)}")),)))
        names.append(keep(rng.choice(planes), content, turn))
        if rng.random() < 0.3:
            rng.choice(planes).retain(rng.randrange(1, 5), frozenset())

        fresh = reader.bundle(names[-1])

        assert fresh is not None
        assert fresh[1].digest == content.digest
        assert fresh[0].bytes == sum(len(one.body) for one in content.all())
    for kept in planes[0].bundles():
        assert planes[1].bundle(kept.bundle.name) is not None


def test_good_is_good_since_the_first_time(history: RolloutHistory) -> None:
    epoch = leader(history)
    name = keep(history, snapshot(b"1"))

    history.mark_good(epoch, name, Instant(5.0))
    history.mark_good(epoch, name, Instant(9.0))

    assert history.bundles()[0].good_since == 5.0
    with pytest.raises(UnavailableError, match="not in the history"):
        history.mark_good(epoch, "unknown", AT)


def test_the_newest_the_good_and_the_used_stay(history: RolloutHistory) -> None:
    epoch = leader(history)
    names = [keep(history, snapshot(b"%d" % i, b"shared"), i) for i in range(12)]
    for i in (0, 1, 2, 3):
        history.mark_good(epoch, names[i], Instant(100.0 + i))

    gone = history.retain(2, frozenset({names[6]}))

    stayed = [names[i] for i in (11, 10, 6, 3, 2, 1)]
    assert gone == 6
    assert [kept.bundle.name for kept in history.bundles()] == stayed
    assert all(history.bundle(name) is not None for name in stayed)
    assert history.bundle(names[0]) is None
    assert history.retain(2, frozenset({names[6]})) == 0
    assert _count(history, "resource") == 7


def _count(history: RolloutHistory, table: str) -> int:
    assert isinstance(history, SqlHistory)
    with history._database.reading() as session:
        return int(session.run(f"SELECT count(*) FROM {table}")[0][0])


def spoil(history: RolloutHistory, statement: str) -> None:
    """Damage a row, as a disk or a hand does."""
    assert isinstance(history, SqlHistory)
    with history._database.writing() as session:
        session.run(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE resource SET body = 'x'",
        "UPDATE resource SET version = 'x'",
        "UPDATE resource SET refs = 'x'",
        "UPDATE resource SET name = 'x' WHERE id = 1",
        "DELETE FROM resource WHERE id = 1",
        "UPDATE bundle SET members = 'x'",
        "UPDATE bundle SET body = 'x'",
        "UPDATE resource SET sealed = 1",
    ],
)
def test_a_damaged_bundle_is_reported_and_never_served(another: Callable[[], RolloutHistory], statement: str) -> None:
    first = another()
    name = keep(first, snapshot(b"1", b"2"))
    if another().__class__.__name__ == "PostgresHistory":
        statement = statement.replace("refs = 'x'", "refs = '\\x78'")

    spoil(first, statement)

    with pytest.raises(DamagedError, match=name):
        another().bundle(name)


def test_a_damaged_bundle_hides_no_other(history: RolloutHistory) -> None:
    keep(history, snapshot(b"1"))
    spoil(history, "UPDATE bundle SET body = 'x'")

    name = keep(history, snapshot(b"2"))

    assert [kept.bundle.name for kept in history.bundles()] == [name]
    assert history.retain(1, frozenset()) == 1


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_is_read_as_it_was_written(history: RolloutHistory) -> None:
    epoch = leader(history)

    assert history.append(epoch, lines("perimeter", [(AT, "event", b"1"), (AT, "action", b"2")])) == 2
    assert history.append(epoch, lines("r1", [(AT, "event", b"3")])) == 3
    assert history.append(epoch, lines("r2", [(AT, "event", b"4"), (AT, "event", b"\x00")])) == 5
    assert history.append(epoch, lines("r1", [])) == 5
    both = [
        *lines("r1", [(AT, "event", b"5")]),
        *lines("r3", [(AT, "action", b"6")]),
        *lines("r1", [(AT, "action", b"7")]),
    ]
    assert history.append(epoch, both, after=5) == 8
    assert history.append(epoch, both, after=5) == 8

    assert [(one.number, one.stream, one.kind, one.at, one.body) for one in history.log(after=1, limit=2)] == [
        (2, "perimeter", "action", AT, b"2"),
        (3, "r1", "event", AT, b"3"),
    ]
    assert [one.number for one in history.log(stream="r2")] == [4, 5]
    assert history.streams() == ("r3", "r2", "r1")
    assert history.streams(1) == ("r3",)


def test_a_damaged_entry_is_reported(history: RolloutHistory) -> None:
    epoch = leader(history)
    history.append(epoch, lines("r", [(AT, "event", b"1"), (AT, "event", b"2")]))
    history.save_state(epoch, 2, b"state")

    spoil(history, "UPDATE log SET body = 'x' WHERE number = 2")
    spoil(history, "UPDATE state SET body = 'x'")

    with pytest.raises(DamagedError, match="entry 2 of the log"):
        history.log()
    with pytest.raises(DamagedError, match="state after entry 2"):
        history.state()


def test_an_append_whose_answer_was_lost_is_safe_to_repeat(history: RolloutHistory) -> None:
    epoch = leader(history)
    entries = [(AT, "event", b"1"), (AT, "event", b"2")]
    history.append(epoch, lines("r", entries), after=0)
    history.append(epoch, lines("other", [(AT, "event", b"3")]), after=2)

    assert history.append(epoch, lines("r", entries), after=0) == 2

    assert [one.body for one in history.log()] == [b"1", b"2", b"3"]
    with pytest.raises(FencedError, match="other entries"):
        history.append(epoch, lines("r", [(AT, "event", b"4")]), after=2)
    with pytest.raises(FencedError, match="other entries"):
        history.append(epoch, lines("r", [(AT, "event", b"4")]), after=5)


def test_the_newest_state_counts(history: RolloutHistory) -> None:
    epoch = leader(history)
    assert history.state() is None

    history.save_state(epoch, 3, b"three")
    history.save_state(epoch, 5, b"five")

    assert history.state() == (5, b"five")


def test_the_log_has_no_gap_whoever_dies(place: str, another: Callable[[], RolloutHistory]) -> None:
    """Three writers at once, eight times, each killed at a random point."""
    epoch = leader(another())
    rng = random.Random()
    acknowledged: list[int] = []
    for turn in range(8):
        writers = [child("write", place, str(epoch), f"{turn}-{i}") for i in range(3)]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged.append(int(writer.stdout.readline()))
        for writer in rng.sample(writers, 3):
            time.sleep(rng.random() * 0.03)
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            assert writer.stdout is not None
            acknowledged += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line[-1:] == b"\n"]
            writer.wait()
            writer.stdout.close()

    reader = another()
    entries = [*reader.log(limit=1_000_000)]

    assert [one.number for one in entries] == list(range(1, len(entries) + 1))
    assert max(acknowledged) <= len(entries)
    # All or nothing: each turn of a writer has as many entries as it should.
    for stream in reader.streams(100):
        mine = [one for one in entries if one.stream == stream]
        turns = [int(one.at) for one in mine]
        assert turns == [turn for turn in range(turns[-1] + 1) for _ in range(turn % 4 + 1)]


def test_old_rollouts_go_as_a_whole_from_the_front(history: RolloutHistory) -> None:
    epoch = leader(history)
    for at, stream in enumerate(["r1", "perimeter", "r1", "r2", "r3", "r2", "perimeter", "r3", "r4"]):
        history.append(epoch, lines(stream, [(Instant(float(at)), "event", b"{}")]))
    keep(history, snapshot(b"old"), 0.5)
    keep(history, snapshot(b"new"), 6.5)  # while r3 goes on
    assert history.retain(1, frozenset()) == 1
    assert len(history.log()) == 9  # no state: all of it is needed

    history.save_state(epoch, 9, b"state")
    history.retain(1, frozenset())

    assert [one.number for one in history.log()] == [4, 5, 6, 7, 8, 9]
    assert history.streams() == ("r4", "r3", "r2")


# ── orders, reports, commands ────────────────────────────────────────────────────────────────────────────────────────


def test_edges_are_told_under_growing_revisions(history: RolloutHistory) -> None:
    epoch = leader(history)
    orders = {edge: KEY.sign(Assignment(edge=edge, bundle="b", fence=epoch)) for edge in ("e1", "e2", "e3")}

    assert history.tell(epoch, {"e1": orders["e1"], "e2": orders["e2"]}) == 1
    assert history.tell(epoch, {"e2": orders["e2"], "e3": orders["e3"]}) == 2
    assert history.tell(epoch, {}) == 2

    assert [(one.edge, one.revision) for one in history.told()] == [("e1", 1), ("e2", 2), ("e3", 2)]
    assert [(one.edge, one.assignment) for one in history.told(1)] == [(edge, orders[edge]) for edge in ("e2", "e3")]
    assert history.told(2) == ()


def test_the_last_word_of_each_edge_and_kind_is_heard(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()
    first.hear([])
    first.hear([("e1", "applied", AT, b"1"), ("e1", "applied", AT, b"2"), ("e1", "tally", AT, b"3")])

    second.hear([("e1", "applied", Instant(5.0), b"4")])

    heard = [(one.edge, one.kind, one.revision, one.at, one.body) for one in first.heard()]
    assert heard == [("e1", "tally", 1, AT, b"3"), ("e1", "applied", 2, 5.0, b"4")]
    assert [one.body for one in first.heard(1)] == [b"4"]


def test_each_command_is_taken_once_while_leaders_race(another: Callable[[], RolloutHistory]) -> None:
    planes = [another(), another()]
    taken: list[int] = []

    def command(plane: RolloutHistory) -> None:
        for _ in range(40):
            plane.ask(AT, b"promote")

    def rule(plane: RolloutHistory, holder: str) -> None:
        end = time.monotonic() + 20
        while len(taken) < 80 and time.monotonic() < end:
            epoch = plane.lead(holder, AT)
            if epoch is None:
                time.sleep(0.001)
                continue
            taken.extend(one.number for one in plane.asked(epoch))
            plane.resign(holder)

    threads = [threading.Thread(target=command, args=(another(),)) for _ in range(2)]
    threads += [threading.Thread(target=rule, args=(plane, f"p{i}")) for i, plane in enumerate(planes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == list(range(1, 81))


def test_a_command_stays_until_it_is_answered(another: Callable[[], RolloutHistory]) -> None:
    first, second = another(), another()
    epoch = leader(first)
    numbers = [first.ask(AT, b"pause"), second.ask(AT, b"abort")]
    assert [one.number for one in first.asked(epoch, keep=True)] == numbers
    first.append(epoch, lines("r", [(AT, "event", b"paused")]), answers=numbers[:1])

    first.close()

    within(5, lambda: second.lead("b", Instant(0.0)))
    (left,) = second.asked(epoch + 1)
    assert (left.number, left.at, left.body) == (numbers[1], AT, b"abort")
    assert second.asked(epoch + 1) == ()


def test_nothing_of_a_failed_write_stays(history: RolloutHistory) -> None:
    epoch = leader(history)

    with pytest.raises(UnavailableError):
        history.append(epoch, lines("r", [(AT, "event", b"1"), (AT, None, b"2")]))  # type: ignore[list-item] # refused

    assert history.log() == ()
    assert history.append(epoch, lines("r", [(AT, "event", b"1")])) == 1
