"""Every outage of the museum is stopped by the guard and at the stage that its folder names, at the cost that it names."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.museum import run
from tests.museum.scene import Scene
from tests.support.fleet import Fleet

pytestmark = pytest.mark.e2e

_FOLDERS = sorted(run.FOLDERS, key=lambda folder: run.outage(folder).number)


class Museum:
    """One fleet for all tests; after one that failed, the next gets a new one."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._fleet: Fleet | None = None
        self._scene: Scene | None = None

    def replay(self, folder: str) -> list[run.Row]:
        try:
            return self._runner.run(self._replay(folder))
        except BaseException as error:
            self.close(error)
            raise

    def close(self, error: BaseException | None = None) -> None:
        if self._fleet is not None:
            self._runner.run(self._fleet.__aexit__(type(error) if error else None, error, None))
        self._fleet = self._scene = None

    def end(self) -> None:
        self.close()
        self._runner.close()

    async def _replay(self, folder: str) -> list[run.Row]:
        if self._scene is None:
            self._fleet = await run.fleet().__aenter__()
            self._scene = Scene(self._fleet)
            await self._scene.settle()
        return await run.replay(self._scene, run.outage(folder))


@pytest.fixture(scope="module")
def museum() -> Iterator[Museum]:
    opened = Museum()
    yield opened
    opened.end()


@pytest.mark.parametrize("folder", _FOLDERS)
def test_outage_is_stopped_as_its_folder_says(museum: Museum, folder: str) -> None:
    rows = museum.replay(folder)

    assert [problem for row in rows for problem in row.broken] == []


@pytest.mark.parametrize("folder", _FOLDERS)
def test_every_folder_says_what_happened_and_what_must_stop_it(folder: str) -> None:
    outage = run.outage(folder)
    text = (Path(__file__).parent / folder / "README.md").read_text(encoding="utf-8")

    assert outage.name in text.splitlines()[0]
    for promise in outage.promises:
        assert f"| {promise.injected} | {promise.stage} | {promise.guard} |" in text


def test_no_two_folders_replay_the_same_outage() -> None:
    numbers = [run.outage(folder).number for folder in _FOLDERS]

    assert len(set(numbers)) == len(numbers)
