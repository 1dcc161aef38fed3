"""Undo: who was written last is suspected first."""

from seawall.app.undo import Undo
from seawall.gateway.graph import ObjectKey

A, B, C = ObjectKey("HTTPRoute/n/a"), ObjectKey("HTTPRoute/n/b"), ObjectKey("HTTPRoute/n/c")


def undo() -> Undo:
    found = Undo()
    found.step("v1", {A: None, B: None})
    found.step("v2", {B: None})
    found.step("v3", {C: None})
    return found


def test_the_newest_of_these_is_what_the_last_step_has_written() -> None:
    assert undo().newest((A, B, C), "v3") == (C,)
    assert undo().newest((A, B), "v3") == (B,)


def test_what_was_written_after_the_version_is_not_in_it() -> None:
    assert undo().newest((A, B, C), "v2") == (B,)
    assert undo().newest((A, B, C), "adjusted by guards") == (C,)


def test_of_what_was_written_at_once_nothing_is_newest() -> None:
    assert undo().newest((A, B, C), "v1") == ()
    assert undo().newest((B,), "v3") == ()
    assert undo().newest((), "v3") == ()


def test_what_has_settled_is_no_suspect() -> None:
    found = undo()
    found.settled("v2")
    assert found.newest((A, B, C), "v3") == ()
