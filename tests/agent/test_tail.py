"""Tail: whole lines, once, bounded; and beside the real Envoy, whoever stalls or dies."""

import asyncio
import resource
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

from seawall.agent import tail
from seawall.agent.tail import Lines, forget, prepare
from seawall.envoy.access_log import FILE, FOLDER


def lines_in(folder: Path) -> tuple[Lines, Path]:
    (folder / FOLDER).mkdir()
    path = folder / FOLDER / FILE
    path.write_bytes(b"of before\n")
    lines = Lines(folder)
    lines.open()
    return lines, path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


def test_only_whole_lines_are_read_and_each_once(tmp_path: Path) -> None:
    lines, path = lines_in(tmp_path)

    append(path, b"one\ntw")
    assert lines.read() == b"one\n"
    assert lines.read() == b""
    append(path, b"o\nthree\n")
    assert lines.read() == b"two\nthree\n"


def test_what_is_set_aside_is_read_to_its_end(tmp_path: Path) -> None:
    lines, path = lines_in(tmp_path)

    append(path, b"one\n")
    lines.set_aside()
    append(path.with_suffix(".old"), b"two\n")
    append(path, b"three\n")
    assert lines.turn() == b"one\ntwo\n"
    assert lines.read() == b"three\n"
    assert [one.name for one in path.parent.iterdir()] == [FILE]


def test_a_file_that_somebody_cuts_is_read_on_from_its_beginning(tmp_path: Path) -> None:
    lines, path = lines_in(tmp_path)

    append(path, b"one\ntw")
    assert lines.read() == b"one\n"
    path.write_bytes(b"three\n")
    assert lines.read() == b"three\n"


def test_what_never_ends_is_not_kept(tmp_path: Path) -> None:
    lines, path = lines_in(tmp_path)

    for _ in range(5):
        append(path, b"x" * tail.LONGEST_LINE)
        assert lines.read() == b""
    append(path, b"x\none\n")
    assert lines.read().endswith(b"\none\n")
    assert lines.skipped >= 4 * tail.LONGEST_LINE


def test_a_file_that_somebody_removes_is_missed(tmp_path: Path) -> None:
    lines, path = lines_in(tmp_path)
    assert not lines.is_gone

    path.unlink()
    assert lines.is_gone
    lines.open()
    assert not lines.is_gone


def test_who_is_too_late_skips_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST_BYTES", 10)
    lines, path = lines_in(tmp_path)

    append(path, b"first line\nsecond line\nthird\n")
    assert lines.read() == b"third\n"
    assert lines.skipped == len(b"first line\nsecond line\n")


def test_the_file_lies_in_memory_is_ours_alone_and_goes_with_us(tmp_path: Path) -> None:
    prepare(tmp_path)
    place = (tmp_path / FOLDER).resolve()
    assert place.stat().st_mode & 0o777 == 0o700
    (place / FILE).write_bytes(b"x")
    prepare(tmp_path)
    assert (place / FILE).exists()

    forget(tmp_path)
    assert not place.exists()
    # A reboot has emptied the memory, and the run folder not.
    (tmp_path / FOLDER).unlink(missing_ok=True)
    (tmp_path / FOLDER).symlink_to("/nonexistent")
    prepare(tmp_path)
    assert (tmp_path / FOLDER).is_dir()
    forget(tmp_path)


def _files(port: int) -> dict[str, list[Json]]:
    """Answers that need nobody but Envoy: whoever is stopped, they come."""
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    return {"gateway": gateway(port), "routes": [route("a", ["a.example"], [rule])]}


async def _ask(port: int, count: int, path: str = "/") -> list[int]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"host": "a.example"}) as client:
        return [(await client.get(path)).status_code for _ in range(count)]


async def _counted(instance: Instance, count: int) -> Json:
    def fits(top: Any) -> bool:
        return bool(round(sum(one["rate"] for one in top["routes"]) * top["seconds"]) == count)

    found: Json = await instance.until(fits, path="/v1/top?seconds=60", within=10)
    return found


def _envoy(instance: Instance) -> psutil.Process:
    children = psutil.Process(instance.process.pid).children(recursive=True)
    return next(one for one in children if one.name() == "envoy")


@pytest.mark.e2e
def test_each_request_is_counted_once() -> None:
    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port)) as instance:
            assert set(await _ask(port, 40, "/item/7?x=1")) == {302}
            top = await _counted(instance, 40)
            assert [one["value"] for one in top["busy"]["path"]] == ["/item/*"]
            assert top["clients"] == pytest.approx(1, abs=0.5)

    asyncio.run(run())


@pytest.mark.e2e
def test_nobody_who_follows_costs_memory_within_bounds_and_no_request() -> None:
    most = 64 * 1024

    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port)) as instance:
            envoy = _envoy(instance)
            soft = resource.prlimit(envoy.pid, resource.RLIMIT_FSIZE)[0]
            assert 0 < soft <= 256 * 1024 * 1024
            # What holds at the limit is tried with a smaller one: 256 MiB are a million requests.
            resource.prlimit(envoy.pid, resource.RLIMIT_FSIZE, (most, most))
            instance.process.send_signal(signal.SIGSTOP)
            try:
                assert set(await _ask(port, 1_500)) == {302}
                await asyncio.sleep(0.5)
                (log,) = instance.run_dir.rglob(f"{FOLDER}/{FILE}")
                assert 0 < log.stat().st_size <= most
            finally:
                instance.process.send_signal(signal.SIGCONT)
            # Who follows again finds the newest and makes room; the edge has noticed nothing.
            assert envoy.is_running()
            await instance.until(lambda top: top["requests"] > 0, path="/v1/top?seconds=8", within=10)

    asyncio.run(run())
