"""Bundles and orders: named by content, signed, and worth nothing once a bit is turned."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.fleet.bundle import (
    Assignment,
    Bundle,
    ForgedError,
    Limits,
    Signed,
    SigningKey,
    read_assignment,
    read_bundle,
)
from seawall.kit.errors import ConfigError
from seawall.kit.secret import Secret
from seawall.kit.units import Instant

KEY = SigningKey(Secret(bytes(range(32))))
OTHER = SigningKey(Secret(b"o" * 32))
TRUSTED = frozenset({KEY.public})
BUNDLE = Bundle(content="c", version="v", created_at=Instant(1.0), reason="because")
ORDER = Assignment(edge="e1", bundle=BUNDLE.name, fence=3)


def test_a_bundle_is_named_by_what_it_makes_an_edge_do() -> None:
    assert BUNDLE.name == Bundle(content="c", version="v", created_at=Instant(2.0), software="9", reason="else").name
    assert BUNDLE.name != Bundle(content="d", version="v").name
    assert BUNDLE.name != Bundle(content="c", version="v", limits=Limits(max_heap=1)).name


def test_what_was_signed_is_read_back() -> None:
    assert read_bundle(KEY.sign(BUNDLE), TRUSTED) == BUNDLE
    assert read_assignment(KEY.sign(ORDER), TRUSTED) == ORDER


def test_a_strangers_signature_is_worth_nothing() -> None:
    with pytest.raises(ForgedError, match="does not trust"):
        read_bundle(OTHER.sign(BUNDLE), TRUSTED)
    claimed = msgspec.structs.replace(OTHER.sign(BUNDLE), key=KEY.public)
    with pytest.raises(ForgedError, match="does not fit"):
        read_bundle(claimed, TRUSTED)


def test_a_signed_bundle_is_no_order() -> None:
    with pytest.raises(ForgedError):
        read_assignment(KEY.sign(BUNDLE), TRUSTED)


def test_a_key_that_is_none_is_no_key() -> None:
    with pytest.raises(ForgedError):
        read_bundle(Signed(body=b"", key="zz", signature=b""), frozenset({"zz"}))
    with pytest.raises(ConfigError, match="32 bytes"):
        SigningKey(Secret(b"short"))


@given(st.data())
def test_no_bit_can_be_turned(data: st.DataObject) -> None:
    signed = KEY.sign(ORDER)
    part = data.draw(st.sampled_from(["body", "signature"]))
    raw: bytes = getattr(signed, part)
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    turned = bytearray(raw)
    turned[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ForgedError):
        read_assignment(msgspec.structs.replace(signed, **{part: bytes(turned)}), TRUSTED)
