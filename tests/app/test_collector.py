"""Garbage is still found, with the automatic collector off."""

import asyncio
import gc
import weakref

from seawall.app.collector import collect, tended


class Cyclic:
    """Refers to itself, so only a collector can free it."""

    def __init__(self) -> None:
        self.me = self


def test_new_cycles_are_found_and_old_ones_at_the_next_look_at_everything() -> None:
    try:
        young = weakref.ref(Cyclic())
        kept = Cyclic()
        old = weakref.ref(kept)

        collect(everything=False)
        assert young() is None
        del kept
        collect(everything=False)
        assert old() is not None
        collect(everything=True)
        assert old() is None
    finally:
        gc.unfreeze()


def test_the_automatic_collector_is_off_meanwhile_and_back_afterwards() -> None:
    async def main() -> bool:
        async with tended():
            return gc.isenabled()

    assert asyncio.run(main()) is False
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
