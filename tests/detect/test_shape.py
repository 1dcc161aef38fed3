"""Shapes: people fetch what pages need; tools do not."""

from tests.detect.world import BOTNET, bots, people, sight, slot

from seawall.detect.scope import Scope, scope
from seawall.detect.shape import shape


def test_people_and_bots_differ() -> None:
    seen = sight(slot(*people(30), *bots(60)))

    crowd, botnet = shape(seen, scope("shop", {"agent": "Chrome/156"})), shape(seen, BOTNET)

    assert crowd.people == 1.0 and crowd.clients == 30
    assert botnet.people == 0.0 and botnet.clients == 60 and botnet.main == ("tool", "bot/1")
    assert shape(seen, Scope()).requests == 150


def test_parts_that_are_asked_in_the_scope_itself_are_not_beside_it() -> None:
    images = [{"address": f"192.0.2.{n}", "path": "/hero.jpg", "fetch": "image"} for n in range(40)]

    assert shape(sight(slot(*images)), scope("shop", {"path": "/hero.jpg"})).beside == 0.0


def test_who_asks_one_path_with_a_browsers_header_is_no_person() -> None:
    seen = sight(slot(*[{"path": "/api", "fetch": "empty"}] * 50))

    assert shape(seen, Scope(route="shop")).people == 0.0


def test_known_and_vouched_clients_are_counted() -> None:
    seen = sight(slot({"token": "k"}, {"address": "192.0.2.2"}), known=frozenset({"192.0.2.1 browser Chrome/156"}))

    looks = shape(seen, Scope())

    assert (looks.known, looks.vouched, looks.accounts) == (0.5, 0.5, 1)


def test_nobody_has_no_shape() -> None:
    assert shape(sight(slot()), Scope()).requests == 0


def test_a_network_that_a_person_wrote_holds_its_addresses() -> None:
    seen = sight(slot(*bots(10)))

    assert shape(seen, scope("", {"address": "198.51.0.0/16"})).requests == 10
    assert shape(seen, scope("", {"address": "198.51.0.0/16", "agent": "x"})).requests == 0
