"""Settings of the resolver. Pure."""

import ipaddress
from typing import Final

import msgspec

from seawall.kit.errors import ConfigError

CONTROLLER: Final = "seawall.dev/gateway-controller"

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says beside the objects.

    A Gateway that asks for no address gets one of its own from `pool`, or without a pool `bind`, which all such Gateways
    share. A Gateway may ask for a loopback address, for `bind`, and for addresses of `pool` and `usable`.
    Both lists take addresses (`10.0.0.1`), networks (`10.0.0.0/28`) and ranges (`127.2.0.1-127.2.0.199`).
    """

    controller: str = CONTROLLER
    bind: str = "127.0.0.1"
    pool: tuple[str, ...] = ()
    usable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.bind)
            networks(self.pool + self.usable)
        except ValueError as exc:
            hint = "Write addresses as 10.0.0.1, networks as 10.0.0.0/28, ranges as 127.2.0.1-127.2.0.199."
            raise ConfigError(f"The addresses to listen on cannot be read: {exc}.", hint=hint) from exc


SETTINGS: Final = "settings"
"""The table of facts that holds the Settings, under the key `""`."""


def networks(written: tuple[str, ...]) -> tuple[_Network, ...]:
    """Read a list of addresses, networks and ranges. Raises ValueError at what is none of these."""
    found: list[_Network] = []
    for text in written:
        first, dash, last = text.partition("-")
        if dash:
            found.extend(_between(first.strip(), last.strip()))
        else:
            found.append(ipaddress.ip_network(first.strip(), strict=False))
    return tuple(found)


def _between(first: str, last: str) -> tuple[_Network, ...]:
    start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    if isinstance(start, ipaddress.IPv4Address) and isinstance(end, ipaddress.IPv4Address):
        return tuple(ipaddress.summarize_address_range(start, end))
    if isinstance(start, ipaddress.IPv6Address) and isinstance(end, ipaddress.IPv6Address):
        return tuple(ipaddress.summarize_address_range(start, end))
    raise ValueError(f"{first} and {last} are not addresses of the same kind")


def is_usable(settings: Settings, address: str) -> bool:
    """Say whether a Gateway may ask for this IP address."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return False
    if wanted.is_loopback or address == settings.bind:
        return True
    return any(wanted in network for network in networks(settings.pool + settings.usable))


def pool_size(pool: tuple[_Network, ...]) -> int:
    """Count the addresses of a pool."""
    return sum(network.num_addresses for network in pool)


def pool_address(pool: tuple[_Network, ...], index: int) -> str:
    """Return an address of a pool by its place in it."""
    for network in pool:
        if index < network.num_addresses:
            return str(network[index])
        index -= network.num_addresses
    raise IndexError(index)
