"""Entrance: which headers are ours alone."""

from seawall.gateway.entrance import Access, Keys, Users
from seawall.kit.secret import Secret


def test_headers_that_say_who_the_client_is_are_ours_alone() -> None:
    keys = Keys(clients=(("web", Secret(b"hush")),), sources=(), client_header="x-client")
    users = Users(lines=Secret(b"hush"), user_header="x-user")

    assert Access(name="a/p", origin="o", keys=keys, users=users).own_headers == ("x-client", "x-user")
    assert Access(name="a/p", origin="o", keys=Keys(clients=(), sources=())).own_headers == ()
    assert "hush" not in repr(keys) + repr(users)
