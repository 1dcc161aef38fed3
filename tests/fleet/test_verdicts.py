"""Verdicts on the wire: what an edge reads is what was written, and what is no verdict is refused as a whole."""

import msgspec
import pytest

from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Down, Verdicts
from seawall.kit.units import Instant

ONE = Entry(id="v1", generation=3, expires=Instant(2e9), kind="limit", match={"agent": "x"}, rate=1.5, is_override=True)


def test_it_comes_back_as_it_was_written() -> None:
    message = Verdicts(number=7, whole=True, put=(ONE,), gone=("v0",))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Down) == message


def test_a_kind_that_nobody_knows_is_no_verdict() -> None:
    raw = msgspec.to_builtins(Verdicts(number=1, put=(ONE,)))
    raw["put"][0]["kind"] = "explode"

    with pytest.raises(msgspec.ValidationError, match="explode"):
        msgspec.convert(raw, Down)
