"""Addresses: which address each Gateway gets.

Pure. A Gateway that asks for none gets a slot of the pool by the digest of its name, and the next free one if an older
Gateway has that: the assignment depends on the set of Gateways only, never on the order in which they came, and a new
Gateway moves no older one.
Next room: `gateway.gateways`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import ALL, GATEWAYS
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.gateways import GatewayAddress, GatewayClassSpec, GatewaySpec
from seawall.gateway.settings import SETTINGS, Settings, is_usable, networks, pool_address, pool_size
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View
from seawall.kit.digest import digest


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses that a Gateway listens on, and what is wrong with those it asked for."""

    values: tuple[str, ...] = ()
    unsupported: tuple[Fault, ...] = ()
    unusable: tuple[Fault, ...] = ()


def settings_of(view: View) -> Settings:
    """Return the operator's settings."""
    settings = view.fact(SETTINGS, "")
    return settings if isinstance(settings, Settings) else Settings()


def class_of(view: View, gateway: GatewaySpec) -> Object | None:
    """Return the GatewayClass of a Gateway if it is ours."""
    found = view.object(object_key("GatewayClass", "", gateway.gateway_class_name))
    is_ours = (
        found is not None
        and isinstance(found.spec, GatewayClassSpec)
        and found.spec.controller_name == settings_of(view).controller
    )
    return found if is_ours else None


def assigned(view: View, _: str) -> Mapping[ObjectKey, str]:
    """Give an address of the pool to each Gateway of ours that needs one; those who came too late get none."""
    pool = networks(settings_of(view).pool)
    size = pool_size(pool)
    waiting: list[Object] = []
    taken: set[str] = set()
    for obj in view.bucket(GATEWAYS, ALL).values():
        assert isinstance(obj.spec, GatewaySpec)
        if class_of(view, obj.spec) is not None:
            taken.update(address.value for address in obj.spec.addresses if address.value)
            if _needs_one(obj.spec):
                waiting.append(obj)
    result: dict[ObjectKey, str] = {}
    for obj in sorted(waiting, key=lambda obj: (obj.meta.created, obj.meta.namespace, obj.meta.name)):
        start = int(digest(obj.key.encode())[:15], 16)
        free = (pool_address(pool, (start + step) % size) for step in range(min(size, len(taken) + 1)))
        address = next((address for address in free if address not in taken), None)
        if address is not None:
            taken.add(address)
            result[obj.key] = address
    return result


ASSIGNED: Final = Rule(assigned)


def addresses(view: View, key: ObjectKey) -> Addresses:
    """Say which addresses a Gateway listens on."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, GatewaySpec):
        return Addresses()
    settings = settings_of(view)
    values: list[str] = []
    unsupported: list[Fault] = []
    unusable: list[Fault] = []
    if _needs_one(obj.spec):
        given = view.get(ASSIGNED, "").get(key) if settings.pool else settings.bind
        if given is None:
            unusable.append(_exhausted(settings))
        else:
            values.append(given)
    for index, address in enumerate(obj.spec.addresses):
        path = f"$.spec.addresses[{index}]"
        if address.type != "IPAddress":
            unsupported.append(_unsupported(address, path))
        elif address.value and is_usable(settings, address.value):
            values.append(address.value)
        elif address.value:
            unusable.append(_unusable(address.value, path))
    return Addresses(values=tuple(dict.fromkeys(values)), unsupported=tuple(unsupported), unusable=tuple(unusable))


ADDRESSES: Final = Rule(addresses)


def _needs_one(gateway: GatewaySpec) -> bool:
    return not gateway.addresses or any(
        address.type == "IPAddress" and not address.value for address in gateway.addresses
    )


def _exhausted(settings: Settings) -> Fault:
    return Fault(
        reason="AddressNotAssigned",
        message=f"All addresses of the pool {', '.join(settings.pool)} are taken.",
        path="$.spec",
        hint="Enlarge the pool, or remove a Gateway.",
    )


def _unsupported(address: GatewayAddress, path: str) -> Fault:
    return Fault(
        reason="UnsupportedAddress",
        message=f"An address of type {address.type} cannot be used.",
        path=f"{path}.type",
        hint="Use type IPAddress.",
    )


def _unusable(value: str, path: str) -> Fault:
    return Fault(
        reason="AddressNotUsable",
        message=f"The address {value} is none that this edge may listen on.",
        path=f"{path}.value",
        hint="Use a loopback address or one that the settings `bind`, `pool` or `usable` name.",
    )
