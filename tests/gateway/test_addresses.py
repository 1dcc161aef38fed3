"""A Gateway keeps its address."""

from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import Settings
from tests.gateway.world import edge, resolved

POOL = Settings(pool=("127.9.0.1-127.9.0.9",))


def _addresses(world: Resolver) -> dict[str, str]:
    return {
        key.rpartition("/")[2]: status.body["addresses"][0]["value"]
        for key, status in world.statuses.items()
        if key.startswith("Gateway/") and status.body["addresses"]
    }


def test_each_gateway_gets_one_of_its_own_and_new_ones_move_no_older() -> None:
    gateways = [edge(name=f"g{at}", at=at)[1] for at in range(9)]
    world = resolved(edge()[0], settings=POOL)

    seen: dict[str, str] = {}
    for gateway in gateways:
        world.update(put=[gateway])
        now = _addresses(world)
        assert seen.items() <= now.items()
        seen = now

    assert len(set(seen.values())) == 9


def test_an_address_that_somebody_asks_for_is_given_to_nobody_else() -> None:
    asked = [edge(name=f"asked{n}", addresses=[{"value": f"127.9.0.{n}"}])[1] for n in range(1, 9)]

    world = resolved(*edge(), *asked, settings=POOL)

    assert _addresses(world)["edge"] == "127.9.0.9"


def test_without_a_pool_gateways_share_the_bind_address() -> None:
    world = resolved(*edge(), edge(name="other")[1], settings=Settings(bind="127.0.0.5"))

    assert set(_addresses(world).values()) == {"127.0.0.5"}
