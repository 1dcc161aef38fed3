"""The history on a PostgreSQL that goes away, comes back, hangs; and what it never says."""

import random
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.store.test_history import AT, child, keep, leader, snapshot, within
from tests.support.history_process import lines
from tests.support.postgres import Postgres, running

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant
from seawall.store import postgres_history
from seawall.store.history import FencedError
from seawall.store.postgres_history import PostgresHistory


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A server that the test may kill."""
    with running() as server:
        yield server


@pytest.fixture
def schema() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def is_there(history: PostgresHistory) -> bool:
    try:
        history.bundles()
    except UnavailableError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_it_goes_on_when_the_server_is_back(mortal: Postgres, how: signal.Signals) -> None:
    history = PostgresHistory(mortal.dsn)
    epoch = leader(history)
    name = keep(history, snapshot(b"1"))
    history.append(epoch, lines("r", [(AT, "event", b"1")]), after=0)

    mortal.stop(how)
    calls = (
        history.bundles,
        lambda: history.append(epoch, lines("r", [(AT, "event", b"2")])),
        lambda: history.lead("a", AT),
    )
    for call in calls:
        with pytest.raises(UnavailableError) as found:
            call()
        assert found.value.retry_after
    mortal.start()

    within(10, lambda: is_there(history))
    assert history.lead("a", Instant(0.0)) == epoch  # nobody else has led meanwhile
    assert history.append(epoch, lines("r", [(AT, "event", b"2")]), after=1) == 2
    assert [one.body for one in history.log()] == [b"1", b"2"]
    assert history.bundle(name) is not None


def test_the_server_may_die_at_any_moment(mortal: Postgres) -> None:
    """Nothing that was answered is lost; what was not answered is repeated, and stands there once."""
    history = PostgresHistory(mortal.dsn)
    epoch = leader(history)
    rng = random.Random()
    stopped = threading.Event()
    problems: list[Exception] = []

    def write() -> None:
        last = 0
        while not stopped.is_set():
            entries = [(AT, "event", b"%d" % (last + i + 1)) for i in range(last % 3 + 1)]
            try:
                last = history.append(epoch, lines("r", entries), after=last)
            except FencedError as exc:
                problems.append(exc)
                return
            except UnavailableError:
                stopped.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(5):
        stopped.wait(rng.random() * 0.2)
        mortal.stop(signal.SIGKILL)
        mortal.start()
        within(10, lambda: is_there(PostgresHistory(mortal.dsn)))
    stopped.set()
    writer.join()

    within(10, lambda: is_there(history))
    entries = history.log(limit=1_000_000)
    assert problems == []
    assert [(one.number, one.body) for one in entries] == [(i, b"%d" % i) for i in range(1, len(entries) + 1)]
    assert entries


def test_whoever_loses_its_session_loses_the_lead(postgres: Postgres, schema: str) -> None:
    first, second = PostgresHistory(postgres.dsn, schema=schema), PostgresHistory(postgres.dsn, schema=schema)
    epoch = leader(first)
    assert second.lead("b", AT) is None

    assert first._server._link is not None
    with psycopg.connect(postgres.dsn) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (first._server._link.info.backend_pid,))

    within(5, lambda: second.lead("b", Instant(0.0)) == epoch + 1)
    with pytest.raises(UnavailableError):
        first.append(epoch, lines("r", [(AT, "event", b"{}")]))
    within(5, lambda: is_there(first))
    with pytest.raises(UnavailableError, match=f"b leads under epoch {epoch + 1}"):
        first.append(epoch, lines("r", [(AT, "event", b"{}")]))
    assert first.lead("a", AT) is None


def test_a_leader_that_hangs_is_followed(postgres: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_history, "_HANGS", 0.5)
    process = child("lead", f"{schema}@{postgres.dsn}")
    assert process.stdout is not None
    epoch = int(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    second = PostgresHistory(postgres.dsn, schema=schema)

    within(10, lambda: second.lead("b", Instant(0.0)) == epoch + 1)

    process.kill()
    process.wait()
    process.stdout.close()


def test_a_server_that_hangs_is_not_waited_for(mortal: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_history, "_ANSWER", 0.5)
    history = PostgresHistory(mortal.dsn)
    epoch = leader(history)
    assert history._server._link is not None
    backend = history._server._link.info.backend_pid

    # The session's own server process; the postmaster as well, or it would take new connections.
    mortal.send(signal.SIGSTOP, backend)
    with pytest.raises(UnavailableError, match="PostgreSQL at"):
        history.append(epoch, lines("r", [(AT, "event", b"{}")]))
    mortal.send(signal.SIGCONT, backend)

    within(10, lambda: is_there(history))
    within(10, lambda: history.lead("a", Instant(0.0)) == epoch)
    assert history.append(epoch, lines("r", [(AT, "event", b"{}")]), after=0) == 1


def test_two_that_start_at_once_make_one_schema(postgres: Postgres, schema: str) -> None:
    planes = [PostgresHistory(postgres.dsn, schema=schema) for _ in range(4)]
    failures: list[Exception] = []

    def use(plane: PostgresHistory) -> None:
        try:
            plane.ask(AT, b"{}")
        except UnavailableError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=use, args=(plane,)) for plane in planes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(planes[0].asked(leader(planes[0]))) == 4


def test_a_schema_of_a_later_release_is_left_alone(postgres: Postgres, schema: str) -> None:
    PostgresHistory(postgres.dsn, schema=schema).bundles()
    with psycopg.connect(postgres.dsn) as admin:
        admin.execute(f"INSERT INTO {schema}.migration VALUES (99)".encode())

    with pytest.raises(ConfigError, match="later release"):
        PostgresHistory(postgres.dsn, schema=schema).bundles()


def test_two_perimeters_share_a_database(postgres: Postgres, schema: str) -> None:
    first, second = PostgresHistory(postgres.dsn, schema=schema), PostgresHistory(postgres.dsn, schema=schema + "b")

    assert leader(first)
    assert leader(second)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hunter2@[bad/db",
        "host=x password=hunter2 nonsense=1",
        "postgresql://u:hunter2@localhost:notaport/db",
        "postgresql://u:x@hunter2@localhost/db",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(dsn: str) -> None:
    with pytest.raises(ConfigError) as found:
        PostgresHistory(dsn)

    assert "hunter2" not in str(found.value)
    assert "notaport" not in str(found.value)


def test_a_password_is_in_no_message(postgres: Postgres, tmp_path: Path) -> None:
    dsns = (f"host={tmp_path} password=hunter2", f"{postgres.dsn} password=hunter2 dbname=hunter2")
    for dsn in dsns:
        history = PostgresHistory(dsn)

        with pytest.raises(UnavailableError) as found:
            history.bundles()

        assert "hunter2" not in str(found.value)
        assert "hunter2" not in repr(vars(history._server))


def test_a_strange_schema_is_refused() -> None:
    with pytest.raises(ConfigError, match="schema"):
        PostgresHistory("host=x", schema="a; DROP TABLE b")
