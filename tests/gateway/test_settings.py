"""What an operator may say beside the objects."""

import ipaddress

import pytest

from seawall.gateway.settings import Settings, is_usable, networks, pool_address, pool_size
from seawall.kit.errors import ConfigError


def test_pools_are_addresses_networks_and_ranges() -> None:
    pool = networks(("127.2.0.1-127.2.0.3", "10.0.0.0/30", "::1", "fd00::1-fd00::2"))

    assert pool_size(pool) == 3 + 4 + 1 + 2
    assert [pool_address(pool, index) for index in (0, 2, 3, 7, 9)] == [
        "127.2.0.1",
        "127.2.0.3",
        "10.0.0.0",
        "::1",
        "fd00::2",
    ]
    with pytest.raises(IndexError):
        pool_address(pool, 10)


@pytest.mark.parametrize("wrong", ["hello", "10.0.0.1-::1", "10.0.0.9-10.0.0.1", "10.0.0.0/99"])
def test_what_is_no_address_is_refused_with_a_remedy(wrong: str) -> None:
    with pytest.raises(ConfigError, match="ranges as"):
        Settings(pool=(wrong,))


def test_bind_must_be_an_address() -> None:
    with pytest.raises(ConfigError, match="localhost"):
        Settings(bind="localhost")


def test_usable_are_loopback_bind_and_what_is_listed() -> None:
    settings = Settings(bind="10.1.1.1", pool=("10.2.0.0/24",), usable=("192.0.2.1",))

    usable = ["127.9.9.9", "::1", "10.1.1.1", "10.2.0.9", "192.0.2.1"]
    assert all(is_usable(settings, address) for address in usable)
    assert not any(is_usable(settings, address) for address in ("192.0.2.2", "shop.example", "fd00::1"))
    assert ipaddress.ip_address("10.2.0.9") in networks(settings.pool)[0]
